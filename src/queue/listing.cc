#include "queue/listing.h"

#include "base/assert.h"
#include "rt/awaiters.h"
#include "store/store.h"

namespace queue {
namespace {

// How many slots are looked at before other tasks have their turn.
constexpr std::size_t kSlotsPerTurn = 4096;

// False: the message has gone meanwhile. One that cannot be read is listed by what is resident.
rt::Task<bool> read_entry(Scheduler& scheduler, mail::QueueId id, const std::atomic<bool>& stop,
                          ListedMessage& message) {
    const Entry* entry = scheduler.find(id);
    if (entry == nullptr) {
        co_return false;
    }
    copy_resident(scheduler, *entry, message);  // before the first wait: the entry may go in it
    store::StoredMessage stored;
    const base::Status read = co_await scheduler.store().read_message(id, stored);
    if (!read && scheduler.find(id) != nullptr) {
        message.readable = false;
        co_return true;
    }
    if (!read || stored.envelope.recipient_count() != message.recipients.size()) {
        co_return false;
    }
    message.size_bytes = stored.facts.content_bytes();
    message.sender = stored.envelope.reverse_path();
    store::StoredOutcome outcome;
    for (std::uint32_t i = 0; i < message.recipients.size(); ++i) {
        ListedRecipient& recipient = message.recipients[i];
        recipient.path = stored.envelope.recipient(i);
        if (stop.load(std::memory_order_relaxed)) {
            break;
        }
        if (recipient.status == store::RecipientStatus::pending) {
            continue;
        }
        const base::Status told = co_await scheduler.store().read_outcome(id, i, outcome);
        if (told) {
            recipient.reply = outcome.reply;
            recipient.relay = outcome.relay;
            recipient.last_attempt = outcome.at;
        }
    }
    co_return true;
}

}  // namespace

void copy_resident(const Scheduler& scheduler, const Entry& entry, ListedMessage& message) {
    message.id = entry.id();
    message.state = entry.state();
    message.arrival = entry.arrival();
    message.hold_reason = entry.hold_reason;
    message.site = scheduler.site_of(entry).route().name;
    message.site_dead = scheduler.site_of(entry).dead();
    const bool begun =
        message.state == EntryState::ready || message.state == EntryState::in_delivery;
    message.recipients.resize(entry.recipients().size());
    for (std::size_t i = 0; i < entry.recipients().size(); ++i) {
        const store::RecipientState& from = entry.recipients()[i];
        ListedRecipient& to = message.recipients[i];
        to.status = from.status;
        to.due = begun && entry.is_due(from);
        to.attempts = from.attempts;
        if (from.status == store::RecipientStatus::deferred) {
            to.next_attempt = base::wall_from_unix_seconds(from.next_s);
        }
    }
}

rt::Task<void> list_messages(Scheduler& scheduler, std::uint64_t cursor, PageLimits limits,
                             const std::atomic<bool>& stop, ListedPage& page) {
    RP_ASSERT(limits.messages > 0 && limits.recipients > 0);
    page.messages.clear();
    page.next_cursor = 0;
    std::size_t recipients = 0;
    for (std::uint64_t at = cursor; at < scheduler.slots(); ++at) {
        if (page.messages.size() == limits.messages || recipients >= limits.recipients ||
            stop.load(std::memory_order_relaxed)) {
            page.next_cursor = at;
            co_return;
        }
        if (at % kSlotsPerTurn == kSlotsPerTurn - 1) {
            co_await rt::NextTurn();
        }
        const Entry* entry = scheduler.slot(at);
        if (entry == nullptr) {
            continue;
        }
        page.messages.emplace_back();
        const bool there = co_await read_entry(scheduler, entry->id(), stop, page.messages.back());
        recipients += page.messages.back().recipients.size();
        if (!there) {
            page.messages.pop_back();
        }
    }
}

rt::Task<bool> show_message(Scheduler& scheduler, mail::QueueId id, const std::atomic<bool>& stop,
                            ListedMessage& message) {
    message = ListedMessage();
    const bool there = co_await read_entry(scheduler, id, stop, message);
    co_return there;
}

}  // namespace queue
