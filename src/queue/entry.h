// Entry: what the scheduler keeps in memory of one queued message, beside the store's Message.
//
// An entry is one message for one site. It holds no address, no reply and no content: an attempt
// reads those from the store. Its link serves, one at a time, the site's ready queue and the retry
// wheel. 48 bytes; message_table.h says what the store adds.
//
// Lives on its shard, in the scheduler's slab; the message's `owner` is its entry. Panic: a state
// change that the table does not know.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "rt/timer_wheel.h"
#include "store/message_table.h"

namespace queue {

enum class EntryState : std::uint8_t {
    arrived,      // nothing is decided yet
    ready,        // in its site's ready queue
    in_delivery,  // a delivery has it
    deferred,     // on the retry wheel
    held,         // waits for the operator; on no list
};
[[nodiscard]] const char* name_of(EntryState state);

// Why an entry is held as a whole, where it is by the relay itself. It is not recorded: the next
// start reads the message again, and holds it again if that fails again.
enum class HoldReason : std::uint8_t {
    none,         // its recipients are, as their records say
    unreadable,   // its envelope: the disk gave an error
    damaged,      // its envelope: the checksum does not match
    content_bad,  // its content, for one of these reasons, which the log tells
};
[[nodiscard]] std::string_view words_of(HoldReason reason);

// What a deferred entry waits for that could do nothing, though there was something to do.
enum class PutOff : std::uint8_t {
    no,                  // it could: it waits for its next attempt
    memory,              // to be read
    notification_room,   // its sender is to be told, and the spool takes no notification
    notification_limit,  // its sender is to be told, and the limit of notifications is reached
};

// A Timer is a node of one list. While deferred that list is a slot of the retry wheel; while ready
// it is the site's queue.
class Entry : public rt::Timer {
  public:
    Entry(Fire fire, store::Message& of) : rt::Timer(fire), message_(&of) {}

    [[nodiscard]] EntryState state() const { return state_; }
    // REQUIRES: the table in entry.cc knows the change, and the entry is on no list.
    void transition(EntryState to);
    // REQUIRES: it is deferred. Ends with the next transition.
    void put_off(PutOff why);
    [[nodiscard]] PutOff put_off() const { return put_off_; }

    // It was taken from its wait on the retry wheel for something that may leave that as it was.
    // Ends with the next transition.
    void interrupt_wait() { wait_interrupted_ = true; }
    [[nodiscard]] bool wait_interrupted() const { return wait_interrupted_; }

    [[nodiscard]] store::Message& message() { return *message_; }
    [[nodiscard]] const store::Message& message() const { return *message_; }
    [[nodiscard]] mail::QueueId id() const { return message_->id(); }
    [[nodiscard]] base::WallTime arrival() const { return message_->arrival(); }
    [[nodiscard]] std::span<store::RecipientState> recipients() { return message_->recipients(); }
    [[nodiscard]] std::span<const store::RecipientState> recipients() const {
        return std::as_const(*message_).recipients();
    }
    // To be tried in an attempt that is due at due_s.
    [[nodiscard]] bool is_due(const store::RecipientState& recipient) const;

    base::UnixSeconds due_s = 0;  // the attempt that is waited for, or under way
    std::uint16_t site = 0;
    HoldReason hold_reason = HoldReason::none;

  private:
    friend class Site;
    EntryState state_ : 4 = EntryState::arrived;
    bool overdue_ : 1 = false;  // ready, and on the site's list of those
    PutOff put_off_ : 2 = PutOff::no;
    bool wait_interrupted_ : 1 = false;
    store::Message* message_;
};
static_assert(sizeof(Entry) <= 48);

}  // namespace queue
