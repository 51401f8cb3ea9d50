#include "app/relay_queue_view.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace app {
namespace {

RecipientState state_of(store::RecipientStatus status) {
    switch (status) {
        case store::RecipientStatus::pending:
            return RecipientState::pending;
        case store::RecipientStatus::deferred:
            return RecipientState::deferred;
        case store::RecipientStatus::held:
            return RecipientState::held;
        case store::RecipientStatus::delivered:
            return RecipientState::delivered;
        case store::RecipientStatus::failed:
            return RecipientState::bounced;
        case store::RecipientStatus::expired:
            return RecipientState::expired;
        case store::RecipientStatus::deleted:
            return RecipientState::deleted;
    }
    RP_PANIC("no such RecipientStatus");
}

// "450 4.2.1 Later" as it came, or our own words where there was no reply.
std::string text_of(const mail::Reply& reply) {
    std::string text;
    if (reply.code != 0) {
        text += std::to_string(reply.code) + ' ';
    }
    if (reply.status.present() && reply.code != 0) {
        text += std::to_string(reply.status.klass) + '.' + std::to_string(reply.status.subject) +
                '.' + std::to_string(reply.status.detail) + ' ';
    }
    return text + reply.text;
}

WaitsFor wait_of(const queue::ListedMessage& message, const queue::ListedRecipient& recipient) {
    if (store::is_final(recipient.status) || message.state == queue::EntryState::held ||
        recipient.status == store::RecipientStatus::held) {
        return WaitsFor::nothing;
    }
    // A message that was put off has recipients that wait for no time of their own.
    if (!recipient.due && recipient.status == store::RecipientStatus::deferred) {
        return WaitsFor::time;
    }
    return message.site_dead && message.state == queue::EntryState::ready ? WaitsFor::site
                                                                          : WaitsFor::turn;
}

base::Error stopping() {
    return base::Error(ESHUTDOWN, "the server is stopping");
}

}  // namespace

QueueMessage queue_message_of(queue::ListedMessage& listed) {
    QueueMessage message;
    message.id = listed.id;
    message.arrival = listed.arrival;
    message.size_bytes = listed.size_bytes;
    message.sender = std::move(listed.sender);
    message.hold_reason = queue::words_of(listed.hold_reason);
    message.readable = listed.readable;
    for (queue::ListedRecipient& one : listed.recipients) {
        QueueRecipient recipient;
        recipient.address = std::move(one.path);
        recipient.to_be_bounced = one.to_be_bounced();
        const store::RecipientStatus status = recipient.to_be_bounced ? one.status_now : one.status;
        recipient.state = listed.state == queue::EntryState::held && !store::is_final(status)
                              ? RecipientState::held
                              : state_of(status);
        recipient.waits_for = wait_of(listed, one);
        if (recipient.waits_for == WaitsFor::time) {
            recipient.next_attempt = one.next_attempt;
        }
        recipient.attempts = one.attempts;
        recipient.in_attempt = one.in_attempt;
        recipient.meant = one.meant;
        recipient.last_reply = text_of(one.reply);
        message.recipients.push_back(std::move(recipient));
    }
    return message;
}

void RelayQueueView::stop() {
    stopped_ = true;
    const std::unique_lock lock(mutex_);
}

base::Result<QueuePage> RelayQueueView::page(QueueCursor from, const store::Rule& filter,
                                             const QueuePageWish& wish) {
    if (stopped_) {
        return std::unexpected(stopping());
    }
    const std::shared_lock lock(mutex_);
    if (stopped_) {  // while the lock was waited for
        return std::unexpected(stopping());
    }
    QueuePage page;
    if (from.shard >= relay_.threads().size()) {
        return page;
    }
    const bool one = filter.only != mail::QueueId();
    if (one) {
        from = {.shard = filter.only.partition() % relay_.threads().size()};  // owned by number
    }
    queue::ListedPage listed;
    relay_.threads()
        .run<void>(from.shard,
                   [this, &from, &listed, &filter, &wish] {
                       const queue::PageLimits limits{.messages = wish.messages_max,
                                                      .replies = wish.replies};
                       return queue::list_messages(relay_.shard(from.shard).scheduler(),
                                                   from.position, filter, limits, stopped_, listed);
                   })
        .get();
    if (stopped_) {
        return std::unexpected(stopping());
    }
    for (queue::ListedMessage& message : listed.messages) {
        page.messages.push_back(queue_message_of(message));
    }
    const std::uint64_t behind = from.looked_at - from.position;
    if (listed.next_cursor != 0) {
        page.next = QueueCursor{.shard = from.shard, .position = listed.next_cursor};
    } else if (!one && from.shard + 1 < relay_.threads().size()) {
        page.next = QueueCursor{.shard = from.shard + 1};
    }
    if (page.next) {
        // The other shards hold as many, about.
        page.next->looked_at =
            behind + (listed.next_cursor != 0 ? listed.next_cursor : listed.slots);
        page.next->of = std::max(listed.slots * relay_.threads().size(), page.next->looked_at);
    }
    return page;
}

}  // namespace app
