// OutcomeBuffer: outcomes, finishes, relocations and rules on their way to the log, already in
// their final form: they say nothing about where they will lie.
//
// Two of these per partition: one gathers while the other is being written.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/waiter.h"
#include "store/record_writer.h"
#include "store/store.h"

namespace store {

class OutcomeBuffer {
  public:
    enum class Kind : std::uint8_t { outcome, finish, relocation, change, rule, rule_end };
    struct Entry {
        // Of an outcome and a finish alone: else it may have ended when the record is durable.
        Message* message = nullptr;
        std::uint32_t recipient = 0;
        std::uint32_t bytes = 0;
        Kind kind = Kind::outcome;
    };

    void add(Message& message, const Outcome& outcome);
    void add_finish(Message& message);
    void add_relocation(const format::Relocation& fixed,
                        std::span<const format::SegmentShare> others);
    void add_change(mail::QueueId id, std::span<const RecipientChange> changes,
                    std::uint32_t rules_met, bool more);
    void add_rule(const Rule& rule);
    void add_rule_end(std::uint32_t number);
    void add_waiter(base::Waiter& waiter) { waiters_.push_back(waiter); }
    void wake_all();
    // What they wait for does not come.
    void forget_waiters();

    // Something is not yet durable.
    [[nodiscard]] bool pending() const { return !entries_.empty(); }
    // What is not yet planned into a batch begins here.
    [[nodiscard]] bool empty() const { return next_ == entries_.size(); }
    [[nodiscard]] const Entry& next() const { return entries_[next_]; }
    // Takes next() into the batch that is being planned.
    void plan();
    // What the planned ones are: bytes for the batch, then entries for when it is durable.
    [[nodiscard]] base::Bytes planned_bytes() const;
    [[nodiscard]] std::span<const Entry> planned() const;
    // The planned ones are durable: forgets them, and all when none is left.
    void planned_done();

    [[nodiscard]] std::size_t bytes() const { return bytes_.size(); }
    void swap(OutcomeBuffer& other) noexcept;

  private:
    // Room for a record of so many bytes of payload; `entry.bytes` is set.
    [[nodiscard]] RecordWriter append(std::uint64_t payload, Entry entry);

    std::vector<std::byte> bytes_;
    std::vector<Entry> entries_;
    std::size_t done_ = 0;  // entries that are durable
    std::size_t next_ = 0;  // entries that are durable or planned
    std::size_t done_byte_ = 0;
    std::size_t next_byte_ = 0;
    base::WaiterList waiters_;
};

}  // namespace store
