// Entry: what the scheduler keeps in memory of one queued message. EntrySlab: where entries live.
//
// An entry is one message for one site. It holds no address, no reply and no content: an attempt
// reads those from the store. Its link serves, one at a time, the site's ready queue and the retry
// wheel. The store keeps nothing per message, so a queued recipient costs 88 bytes where it has a
// message of its own, and 16 where it shares one (and 88 by the message, and what the allocator
// adds): under the 150 bytes that the design allows.
//
// Lives on its shard; the slab owns it. Panic: a state change that the table does not know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/list.h"
#include "base/time.h"
#include "rt/timer_wheel.h"
#include "store/listener.h"
#include "store/location.h"
#include "store/stored_message.h"

namespace queue {

enum class EntryState : std::uint8_t {
    free,         // a slot of the slab
    ready,        // in its site's ready queue
    in_delivery,  // a delivery has it
    deferred,     // on the retry wheel
    held,         // waits for the operator; on no list
};
[[nodiscard]] const char* name_of(EntryState state);

// Unix time in whole seconds, rounded up, so that nothing is due early. Good until 2106.
using Seconds = std::uint32_t;
[[nodiscard]] Seconds seconds_of(base::WallTime time);

// One recipient, in the envelope's order.
struct RecipientEntry {
    store::Location outcome;  // of the last attempt; nowhere until it is durable
    Seconds next_s = 0;       // deferred: when it is due
    std::uint16_t attempts = 0;
    store::RecipientStatus status = store::RecipientStatus::pending;
    // The sender was told of the delay, or is not to be.
    bool delay_told = false;
};
static_assert(sizeof(RecipientEntry) == 16);

// A Timer is a node of one list. While deferred that list is a slot of the retry wheel; while ready
// it is the site's queue.
class Entry : public rt::Timer {
  public:
    explicit Entry(Fire fire) : rt::Timer(fire) {}

    [[nodiscard]] EntryState state() const { return state_; }
    // REQUIRES: the table in entry.cc knows the change, and the entry is on no list.
    void transition(EntryState to);

    [[nodiscard]] base::WallTime arrival() const { return base::wall_from_unix_ms(arrival_ms_); }

    // A new message. REQUIRES: free, and without recipients.
    void set(store::MessageRef message, base::WallTime arrival, std::size_t recipients);
    // Gives the recipients' memory back.
    void clear();
    [[nodiscard]] std::span<RecipientEntry> recipients() {
        return {count_ == 1 ? &one_ : many_, count_};
    }
    [[nodiscard]] std::span<const RecipientEntry> recipients() const {
        return {count_ == 1 ? &one_ : many_, count_};
    }
    // To be tried in an attempt that is due at due_s.
    [[nodiscard]] bool is_due(const RecipientEntry& recipient) const;

    store::MessageRef message;
    Seconds due_s = 0;  // the attempt that is waited for, or under way
    std::uint16_t site = 0;

  private:
    EntryState state_ = EntryState::free;
    std::uint32_t count_ = 0;
    std::int64_t arrival_ms_ = 0;
    union {
        RecipientEntry one_{};
        RecipientEntry* many_;
    };
};
static_assert(sizeof(Entry) == 88);

// Slots of entries in chunks, so that no table is ever moved. The chunk knows its owner, so that a
// timer that fires finds its scheduler without a pointer in each entry.
class EntrySlab {
  public:
    static constexpr std::size_t kChunkBytes = 64 * 1024;

    // `owner` is what owner_of() gives; `fire` is the timers' function.
    EntrySlab(void* owner, rt::Timer::Fire fire) : owner_(owner), fire_(fire) {}
    EntrySlab(const EntrySlab&) = delete;
    EntrySlab& operator=(const EntrySlab&) = delete;
    // What is still queued is forgotten here, and found again by the next start. REQUIRES: no entry
    // is on a list that goes before the slab.
    ~EntrySlab();

    // In the state `free`.
    [[nodiscard]] Entry& take();
    // REQUIRES: the entry is in the state `free`.
    void give_back(Entry& entry);

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t bytes() const { return chunks_.size() * kChunkBytes; }
    // Slots are numbered from 0 to slots() - 1, in no order of time; an entry keeps its slot.
    [[nodiscard]] std::size_t slots() const { return chunks_.size() * kPerChunk; }
    [[nodiscard]] Entry& slot(std::size_t number);

    [[nodiscard]] static void* owner_of(const Entry& entry);

  private:
    struct Chunk;
    static constexpr std::size_t kPerChunk = (kChunkBytes - sizeof(void*)) / sizeof(Entry);
    void add_chunk();

    void* owner_;
    rt::Timer::Fire fire_;
    std::vector<Chunk*> chunks_;
    base::List<rt::Timer> free_;
    std::size_t size_ = 0;
};

}  // namespace queue
