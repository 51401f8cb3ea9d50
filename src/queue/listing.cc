#include "queue/listing.h"

#include "base/assert.h"
#include "rt/awaiters.h"
#include "store/store.h"

namespace queue {
namespace {

// How many slots are looked at before other tasks have their turn.
constexpr std::size_t kSlotsPerTurn = 4096;

// What is resident, taken before the first wait: behind one the entry may be gone.
void copy_resident(const Scheduler& scheduler, const Entry& entry, ListedMessage& message,
                   std::vector<store::Location>& outcomes) {
    message.id = entry.message.id;
    message.state = entry.state();
    message.arrival = entry.arrival();
    message.hold_reason = entry.hold_reason;
    message.site = scheduler.site_of(entry).route().name;
    message.site_dead = scheduler.site_of(entry).dead();
    const bool begun =
        message.state == EntryState::ready || message.state == EntryState::in_delivery;
    message.recipients.resize(entry.recipients().size());
    for (std::size_t i = 0; i < entry.recipients().size(); ++i) {
        const RecipientEntry& from = entry.recipients()[i];
        ListedRecipient& to = message.recipients[i];
        to.status = from.status;
        to.due = begun && entry.is_due(from);
        to.attempts = from.attempts;
        if (from.status == store::RecipientStatus::deferred) {
            to.next_attempt = base::wall_from_unix_ms(std::int64_t{from.next_s} * 1000);
        }
        outcomes.push_back(from.outcome);
    }
}

// False: the message has gone meanwhile. One that cannot be read is listed by what is resident.
rt::Task<bool> read_entry(Scheduler& scheduler, const Entry& entry, const std::atomic<bool>& stop,
                          ListedMessage& message) {
    const store::MessageRef reference = entry.message;
    std::vector<store::Location> outcomes;
    copy_resident(scheduler, entry, message, outcomes);
    store::StoredMessage stored;
    const base::Status read = co_await scheduler.store().read_message(reference, stored);
    if (!read && entry.message.id == reference.id && entry.state() != EntryState::free) {
        message.readable = false;
        co_return true;
    }
    if (!read || stored.id != reference.id ||
        stored.envelope.recipient_count() != message.recipients.size()) {
        co_return false;
    }
    message.size_bytes = stored.facts.content_bytes();
    message.sender = stored.envelope.reverse_path();
    store::StoredOutcome outcome;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        ListedRecipient& recipient = message.recipients[i];
        recipient.path = stored.envelope.recipient(i);
        if (stop.load(std::memory_order_relaxed)) {
            break;
        }
        if (outcomes[i].nowhere() || entry.message.id != reference.id ||
            entry.state() == EntryState::free) {
            continue;
        }
        const base::Status told =
            co_await scheduler.store().read_outcome(reference.id.partition(), outcomes[i], outcome);
        if (told && outcome.id == reference.id) {
            recipient.reply = outcome.reply;
            recipient.relay = outcome.relay;
            recipient.last_attempt = outcome.at;
        }
    }
    co_return true;
}

}  // namespace

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
        const Entry& entry = scheduler.slot(at);
        if (entry.state() == EntryState::free) {
            continue;
        }
        page.messages.emplace_back();
        const bool there = co_await read_entry(scheduler, entry, stop, page.messages.back());
        recipients += page.messages.back().recipients.size();
        if (!there) {
            page.messages.pop_back();
        }
    }
}

rt::Task<bool> show_message(Scheduler& scheduler, mail::QueueId id, const std::atomic<bool>& stop,
                            ListedMessage& message) {
    for (std::size_t at = 0; at < scheduler.slots() && !stop.load(std::memory_order_relaxed);
         ++at) {
        if (at % kSlotsPerTurn == kSlotsPerTurn - 1) {
            co_await rt::NextTurn();
        }
        const Entry& entry = scheduler.slot(at);
        if (entry.state() == EntryState::free || entry.message.id != id) {
            continue;
        }
        message = ListedMessage();
        const bool there = co_await read_entry(scheduler, entry, stop, message);
        co_return there;
    }
    co_return false;
}

}  // namespace queue
