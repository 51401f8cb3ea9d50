// Segment: one file of the log, and SegmentTable: those of a partition that hold or may hold
// something alive, in log order.
//
// Owned by its partition. What is alive is counted here from what recovery found and what was
// written since; no count is ever read from the disk.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "io/driver.h"
#include "store/format.h"

namespace store {

struct Segment {
    std::uint64_t id = 0;
    std::uint64_t bytes = 0;
    io::OwnedHandle handle;  // for reading, and for writing while it is the active one
    format::PlaceSeed seed;
    std::uint64_t end = 0;            // behind the last valid batch
    std::uint64_t last_sequence = 0;  // of that batch
    // What needs it: messages and transactions with content or the commit record here, each once,
    // and recipients whose last outcome is here.
    std::uint64_t live = 0;
    std::uint64_t live_units = 0;  // what they take, as format::SegmentShare counts
    std::uint32_t pins = 0;        // readers
    bool moved = false;            // it holds what the cleaner put there, and is no part of the log
    bool cleaning = false;         // … or was cleaned, and what is left could not be moved
    // A message was moved out of it, or a record in it says that one was: the log alone does not
    // tell all of the message any more, so the segment counts as alive until checkpoints do.
    bool until_covered = false;
    bool damaged = false;  // salvaged from: kept aside when it is free, never used again
};

class SegmentTable {
  public:
    [[nodiscard]] bool empty() const { return segments_.empty(); }
    [[nodiscard]] std::size_t size() const { return segments_.size(); }
    [[nodiscard]] Segment& oldest() { return *segments_.front(); }
    [[nodiscard]] Segment& newest() { return *segments_.back(); }
    [[nodiscard]] Segment& at(std::size_t index) { return *segments_[index]; }
    // nullptr when it is not (or no longer) there.
    [[nodiscard]] Segment* find(std::uint64_t id);

    // REQUIRES: newer than all that are there.
    void push_back(std::unique_ptr<Segment> segment);
    [[nodiscard]] std::unique_ptr<Segment> pop_oldest() { return take(0); }
    [[nodiscard]] std::unique_ptr<Segment> take(std::size_t index);

    // One thing more or less needs it. REQUIRES: it is there.
    void hold(std::uint64_t id, std::uint32_t units);
    void drop(std::uint64_t id, std::uint32_t units);
    // What holds it already takes that.
    void add_units(std::uint64_t id, std::uint32_t units);
    // No start reads records of older segments any more: no `until_covered` counts there.
    void set_covered_below(std::uint64_t id) { covered_below_ = id; }
    [[nodiscard]] std::uint64_t covered_below() const { return covered_below_; }
    // Of all that are here.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t live_bytes() const {
        return live_units_ * format::SegmentShare::kUnit;
    }
    // Nobody reads there any more, by one. REQUIRES: pinned.
    void unpin(Segment& segment);
    // True once after a segment has come to be needed and read by nothing.
    [[nodiscard]] bool take_emptied() { return std::exchange(emptied_, false); }

    // The log is written there: it counts as alive, and is never freed.
    void set_log_end(std::uint64_t id) { log_end_ = id; }
    [[nodiscard]] std::uint64_t log_end() const { return log_end_; }
    // The oldest segment that is alive.
    [[nodiscard]] std::uint64_t first_alive() const;

  private:
    std::deque<std::unique_ptr<Segment>> segments_;
    bool emptied_ = false;
    std::uint64_t covered_below_ = 0;
    std::uint64_t log_end_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t live_units_ = 0;
};

}  // namespace store
