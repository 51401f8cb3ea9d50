#include "queue/listing.h"

#include <algorithm>

#include "base/assert.h"
#include "queue/rule_match.h"
#include "rt/awaiters.h"
#include "store/store.h"

namespace queue {
namespace {

// How many slots are looked at before other tasks have their turn.
constexpr std::size_t kSlotsPerTurn = 4096;

// All but what listed messages have from the store.
void copy_resident(Scheduler& scheduler, const Entry& entry, ListedMessage& message) {
    message.id = entry.id();
    message.state = entry.state();
    message.arrival = entry.arrival();
    message.hold_reason = entry.hold_reason;
    message.site = scheduler.site_of(entry).route().name;
    message.site_dead = scheduler.site_of(entry).dead();
    const bool tried =
        message.state == EntryState::in_delivery && !scheduler.rules().has_in_hand(entry);
    const bool begun = message.state == EntryState::ready || tried;
    message.recipients.resize(entry.recipients().size());
    for (std::size_t i = 0; i < entry.recipients().size(); ++i) {
        const store::RecipientState& from = entry.recipients()[i];
        ListedRecipient& to = message.recipients[i];
        to.status = from.status;
        to.due = begun && entry.is_due(from);
        to.in_attempt = to.due && tried;
        to.foreseen = false;
        to.attempts = from.attempts;
        if (from.status == store::RecipientStatus::deferred) {
            to.next_attempt = base::wall_from_unix_seconds(from.next_s);
        }
    }
}

// What the rules that it has not met yet are about to make of it. `envelope`: nullptr where it
// cannot be read.
void foresee(Scheduler& scheduler, const Entry& entry, const mail::Envelope* envelope,
             ListedMessage& message) {
    if (!scheduler.rules().due(entry)) {
        return;
    }
    const auto now_s = base::unix_seconds(scheduler.shard().wall_now());
    for (const Rules::Verdict& verdict : scheduler.rules().judge(entry, envelope)) {
        ListedRecipient& recipient = message.recipients[verdict.recipient];
        recipient.foreseen = true;
        recipient.status_now = recipient.status;
        recipient.status =
            verdict.bounced_by != nullptr ? store::RecipientStatus::failed : verdict.status;
        recipient.next_attempt = base::wall_from_unix_seconds(verdict.next_s);
        const bool deferred = recipient.status == store::RecipientStatus::deferred;
        const bool pending = recipient.status == store::RecipientStatus::pending;
        recipient.due = pending || (deferred && verdict.next_s <= now_s);
        if ((pending || deferred) && message.state == EntryState::held) {  // released as a whole
            message.state = EntryState::ready;
            message.hold_reason = HoldReason::none;
        }
    }
}

// False: nobody of it is meant.
bool apply_filter(const store::Rule& filter, ListedMessage& message) {
    const bool sender = message.readable ? means_sender(filter, message.sender)
                                         : !needs_envelope(filter);  // as rules have it
    bool any = false;
    for (ListedRecipient& recipient : message.recipients) {
        const store::RecipientStatus known =
            recipient.to_be_bounced() ? recipient.status_now : recipient.status;
        const store::RecipientStatus status =
            message.state == EntryState::held && !store::is_final(known)
                ? store::RecipientStatus::held
                : known;
        recipient.meant = sender && means_status(filter, status) &&
                          (!message.readable || means_recipient(filter, recipient.path));
        any = any || recipient.meant;
    }
    return any;
}

// Before anything is read. What has rules to meet may be anything by then.
bool may_be_meant(Scheduler& scheduler, const Entry& entry, const store::Rule& filter) {
    return means_message(filter, entry.id(), entry.message().arrival_ms()) &&
           (entry.state() == EntryState::held || scheduler.rules().due(entry) ||
            std::ranges::any_of(entry.recipients(), [&filter](const auto& recipient) {
                return means_status(filter, recipient.status);
            }));
}

rt::Task<void> read_outcomes(Scheduler& scheduler, const std::atomic<bool>& stop,
                             ListedMessage& message) {
    store::StoredOutcome outcome;
    for (std::uint32_t i = 0; i < message.recipients.size(); ++i) {
        ListedRecipient& recipient = message.recipients[i];
        if (stop.load(std::memory_order_relaxed)) {
            break;
        }
        if (recipient.attempts == 0 && recipient.status == store::RecipientStatus::pending) {
            continue;
        }
        const base::Status told = co_await scheduler.store().read_outcome(message.id, i, outcome);
        if (told) {
            recipient.reply = outcome.reply;
            recipient.relay = outcome.relay;
            recipient.last_attempt = outcome.at;
        }
    }
}

// False: the message has gone meanwhile, or is not meant. One that cannot be read is listed by what
// is resident. `stored` is left with what was read.
rt::Task<bool> read_entry(Scheduler& scheduler, mail::QueueId id, const store::Rule& filter,
                          bool replies, const std::atomic<bool>& stop, store::StoredMessage& stored,
                          ListedMessage& message) {
    const Entry* entry = scheduler.find(id);
    if (entry == nullptr) {
        co_return false;
    }
    copy_resident(scheduler, *entry, message);  // before the first wait: the entry may go in it
    const base::Status read = co_await scheduler.store().read_message(id, stored);
    entry = scheduler.find(id);
    if (entry != nullptr) {  // much may have happened while it was read
        copy_resident(scheduler, *entry, message);
    }
    if (!read && entry != nullptr) {
        message.readable = false;
        foresee(scheduler, *entry, nullptr, message);
        co_return apply_filter(filter, message);
    }
    if (!read || stored.envelope.recipient_count() != message.recipients.size()) {
        co_return false;
    }
    message.size_bytes = stored.facts.content_bytes();
    message.sender = stored.envelope.reverse_path();
    for (std::uint32_t i = 0; i < message.recipients.size(); ++i) {
        message.recipients[i].path = stored.envelope.recipient(i);
        message.recipients[i].delay_wanted = stored.envelope.notify(i).delay();
    }
    if (entry != nullptr) {
        foresee(scheduler, *entry, &stored.envelope, message);
    }
    if (!apply_filter(filter, message)) {
        co_return false;
    }
    if (replies) {
        co_await read_outcomes(scheduler, stop, message);
    }
    co_return std::ranges::any_of(message.recipients, [](const ListedRecipient& recipient) {
        return recipient.status != store::RecipientStatus::deleted || recipient.in_attempt;
    });
}

}  // namespace

rt::Task<void> list_messages(Scheduler& scheduler, std::uint64_t cursor, const store::Rule& filter,
                             PageLimits limits, const std::atomic<bool>& stop, ListedPage& page) {
    RP_ASSERT(limits.messages > 0 && limits.recipients > 0 && limits.reads > 0);
    page.messages.clear();
    page.next_cursor = 0;
    page.slots = scheduler.slots();
    store::StoredMessage stored;
    if (filter.only != mail::QueueId()) {
        const Entry* entry = scheduler.find(filter.only);
        if (entry == nullptr || !may_be_meant(scheduler, *entry, filter)) {
            co_return;
        }
        page.messages.emplace_back();
        const bool there = co_await read_entry(scheduler, filter.only, filter, limits.replies, stop,
                                               stored, page.messages.back());
        page.messages.resize(there ? 1 : 0);
        co_return;
    }
    std::size_t recipients = 0;
    std::size_t reads = 0;
    for (std::uint64_t at = cursor; at < scheduler.slots(); ++at) {
        if (page.messages.size() == limits.messages || recipients >= limits.recipients ||
            reads == limits.reads || at - cursor == limits.slots ||
            stop.load(std::memory_order_relaxed)) {
            page.next_cursor = at;
            co_return;
        }
        if (at % kSlotsPerTurn == kSlotsPerTurn - 1) {
            co_await rt::NextTurn();
        }
        const Entry* entry = scheduler.slot(at);
        if (entry == nullptr || !may_be_meant(scheduler, *entry, filter)) {
            continue;
        }
        ++reads;
        page.messages.emplace_back();
        const bool there = co_await read_entry(scheduler, entry->id(), filter, limits.replies, stop,
                                               stored, page.messages.back());
        if (there) {
            recipients += page.messages.back().recipients.size();
        } else {
            page.messages.pop_back();
        }
    }
}

rt::Task<bool> show_message(Scheduler& scheduler, mail::QueueId id, const std::atomic<bool>& stop,
                            ListedMessage& message) {
    message = ListedMessage();
    const store::Rule any;
    store::StoredMessage stored;
    const bool there = co_await read_entry(scheduler, id, any, true, stop, stored, message);
    const Entry* entry = scheduler.find(id);
    if (there && entry != nullptr) {  // much may have happened while its replies were read
        copy_resident(scheduler, *entry, message);
        foresee(scheduler, *entry, message.readable ? &stored.envelope : nullptr, message);
    }
    co_return there;
}

}  // namespace queue
