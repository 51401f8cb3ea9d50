// Checkpointer: writes the table of messages to a file, in the background, so that a start reads
// that and the log behind it, and segments become free whose records no start reads again.
//
// A checkpoint is fuzzy: it begins at a position of the log, and then takes the table as it finds
// it, a page per turn of the loop, while the log goes on. Whatever changes meanwhile is behind that
// position, and applying it twice does no harm. The file gets its name when it is whole and synced,
// and the log has all that the table had by then: else a start would find the half of what happened
// to a message.
// Two generations are kept; what may be freed rests on the older one.
//
// Owned by its partition. One is begun when as much log is behind the last one as
// `checkpoint_bytes` says, or twice the size of that checkpoint, if that is more: so writing them
// costs at most half as much again as the log, and the log behind them is bounded: what a start has
// read behind the newest one counts, so that no row of kills makes it longer.
//
// On a full disk the older one's file is written over: so space goes on to be given back. Warning:
// a checkpoint that cannot be written even so is given up with a notice, and begun anew when as
// much log again is written. Nothing depends on it but the time of the next start and the space of
// segments that hold nothing alive.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "store/checkpoint_page.h"
#include "store/chunk_pool.h"
#include "store/committer.h"
#include "store/message_table.h"
#include "store/segment.h"
#include "store/segment_pool.h"

namespace store {

// Generations on the disk; 0 where there is none.
struct KeptCheckpoints {
    std::uint64_t older = 0;
    std::uint64_t newer = 0;
    // The segment in which the log behind the newer one begins.
    std::uint64_t newer_start = 0;
    std::uint64_t newer_bytes = 0;
    std::uint64_t highest = 0;  // generation that was ever seen, damaged ones included
    // Of the log behind the newer one (of all of it, where there is none), as a start read it: what
    // one kill after another leaves adds up.
    std::uint64_t behind_bytes = 0;
    // What a start read of files to find all of it: each end of a log leaves one that is not full.
    std::uint64_t searched_bytes = 0;
    // Others that a crash, or damage, left; they go when there are two good ones.
    std::vector<std::uint64_t> stale = {};
};

class Checkpointer {
  public:
    struct Links {
        PartitionFiles& files;
        const MessageTable& table;
        const RuleTable& rules;
        SegmentTable& segments;
        const Committer& committer;
        StoreCounters& counters;
        std::uint64_t bytes;  // of log between two; 0: none are written
    };
    explicit Checkpointer(const Links& links);
    Checkpointer(const Checkpointer&) = delete;
    Checkpointer& operator=(const Checkpointer&) = delete;

    // What recovery found. Before run().
    void set_kept(const KeptCheckpoints& kept) {
        kept_ = kept;
        requested_ = kept.newer != 0 && kept.older == 0;  // one alone is soon one of two
    }
    // Writes them as they are due, until stop(), or until the driver is dead.
    [[nodiscard]] rt::Task<void> run();
    void stop();
    // To be called at the end of each turn: begins one that is due.
    void poll();
    // One is wanted now, if any log is behind the last one.
    void request() { requested_ = true; }
    // There is one.
    [[nodiscard]] bool any() const { return kept_.newer != 0; }
    // … and another: losing one of them loses nothing, whatever segments were freed.
    [[nodiscard]] bool two() const { return kept_.older != 0; }
    // One more, when there is log behind the last one. REQUIRES: run() has ended, and nothing waits
    // to be written to the log.
    [[nodiscard]] rt::Task<void> write_last();

    // No start reads records of older segments, whichever of the checkpoints it uses.
    [[nodiscard]] std::uint64_t covered_below() const { return covered_below_; }

  private:
    static constexpr std::size_t kSlotsPerTurn = 8192;
    static constexpr std::size_t kSegmentsUsual = 64;
    // So often what makes one due may be searched at a start.
    static constexpr std::uint64_t kSearchedMost = 4;

    [[nodiscard]] rt::Task<void> write();
    // `over_older`: into the older one's blocks.
    [[nodiscard]] rt::Task<base::Status> write_file(bool over_older);
    [[nodiscard]] rt::Task<base::Status> open_file(bool over_older);
    [[nodiscard]] rt::Task<base::Status> write_pages();
    [[nodiscard]] rt::Task<base::Status> write_page(bool last);
    [[nodiscard]] rt::Task<base::Status> wait_for_log();
    [[nodiscard]] bool must_wait_for_log() const;
    [[nodiscard]] rt::Task<base::Status> put_in_place();
    [[nodiscard]] rt::Task<void> remove_old();
    [[nodiscard]] bool due() const;
    // Of log behind the last one that was begun.
    [[nodiscard]] std::uint64_t behind() const;
    [[nodiscard]] bool dead() const { return links_.files.shard.driver().dead(); }
    [[nodiscard]] rt::Task<base::Status> write_start();
    template <typename T>
    [[nodiscard]] rt::Task<base::Status> put_all(std::span<const T> items);
    enum class Filled : std::uint8_t { full, more, all };
    // Takes what fits of the table into the page; `more` when it has looked at enough for a turn.
    [[nodiscard]] Filled fill_page();
    void begin_page();

    Links links_;
    KeptCheckpoints kept_;
    std::uint64_t covered_below_ = 0;
    std::uint64_t log_bytes_ = 0;  // of the committer's, when the last one began
    AlignedBuffer memory_;
    std::optional<CheckpointPageWriter> page_;
    format::PlaceSeed seed_;
    std::vector<format::CheckpointSegment> segments_;  // keeps its memory
    std::vector<Rule> rules_;                          // those of the log before start_
    std::uint32_t newest_rule_ = 0;                    // …
    std::uint32_t page_number_ = 0;
    std::size_t next_slot_ = 0;
    mail::QueueId partial_;             // the message at next_slot_, when a part of it is written
    std::uint32_t next_recipient_ = 0;  // … from this one on is not
    Committer::Position start_;
    io::OwnedHandle file_;
    std::string name_;
    rt::AwaitableOp op_;
    rt::Wakeup wakeup_;
    std::uint64_t table_records_ = 0;  // the log had taken so many when the last page was filled
    bool waits_for_log_ = false;
    bool writing_ = false;
    bool requested_ = false;
    bool stopping_ = false;
};

}  // namespace store
