// Listing: what `ringpost queue list` and `queue show` tell about one shard's queue. Reads the
// store for what is not resident, a page at a time, so that a long queue neither fills memory nor
// holds up the shard.
//
// Whoever asks may call it off from another thread by raising `stop`: the page ends before its next
// read, as far as it came.
//
// Runs on the shard, in a task of the caller's. Nothing is locked: a message may end or change
// while it is read, and then is left out or shown as it was.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "mail/queue_id.h"
#include "mail/status_code.h"
#include "queue/entry.h"
#include "queue/scheduler.h"
#include "rt/task.h"
#include "store/rule.h"
#include "store/stored_message.h"

namespace queue {

struct ListedRecipient {
    // A bounce that it meets next; it is what it was until its sender was told, which may take
    // long.
    [[nodiscard]] bool to_be_bounced() const {
        return foreseen && status == store::RecipientStatus::failed;
    }
    std::string path;
    store::RecipientStatus status = store::RecipientStatus::pending;
    store::RecipientStatus status_now = store::RecipientStatus::pending;  // where it is foreseen
    std::uint32_t attempts = 0;
    bool due = false;             // its time has come
    bool in_attempt = false;      // a delivery has it
    bool foreseen = false;        // a rule that it meets next makes `status` of it
    bool meant = true;            // by the filter of the listing
    bool delay_wanted = true;     // its sender wants to hear of a delay
    base::WallTime next_attempt;  // deferred only
    base::WallTime last_attempt;  // with attempts > 0
    mail::Reply reply;            // the last one; code 0 with words of our own
    std::string relay;            // who said it, or was tried last
};

struct ListedMessage {
    mail::QueueId id;
    EntryState state = EntryState::ready;
    base::WallTime arrival;
    std::uint64_t size_bytes = 0;
    std::string sender;  // "" is the null path
    std::string site;
    bool site_dead = false;
    HoldReason hold_reason = HoldReason::none;
    bool readable = true;  // false: sender, size, paths and replies are unknown, and empty
    std::vector<ListedRecipient> recipients;
};

struct ListedPage {
    std::vector<ListedMessage> messages;
    std::uint64_t next_cursor = 0;  // for the next page; 0: that was the last one
    std::uint64_t slots = 0;        // of the queue: cursors are below
};

// A page ends when it has one of these.
struct PageLimits {
    std::size_t messages = 200;
    std::size_t recipients = 500;
    std::size_t reads = 2000;  // of messages, those that the filter leaves out with them
    std::size_t slots = 1U << 17U;
    bool replies = true;  // with the last one of each recipient, which may cost a read each
};

// Messages with a recipient that `filter` means, from `cursor` on (0: from the beginning); a page
// may be empty and not the last. The order is that of slots in memory. Each message that is queued
// all the while comes once. What a rule says of a message that has not met it yet is shown as done;
// an attempt that is under way meanwhile is shown, too.
// `filter`, `page` and `stop` must outlive the task.
[[nodiscard]] rt::Task<void> list_messages(Scheduler& scheduler, std::uint64_t cursor,
                                           const store::Rule& filter, PageLimits limits,
                                           const std::atomic<bool>& stop, ListedPage& page);

// True when that message is queued here. What is resident is that of the moment when the task ends.
// `message` and `stop` must outlive the task.
[[nodiscard]] rt::Task<bool> show_message(Scheduler& scheduler, mail::QueueId id,
                                          const std::atomic<bool>& stop, ListedMessage& message);

}  // namespace queue
