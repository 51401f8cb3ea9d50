// Cleaner: keeps a partition's space near what is alive in it. It takes the segment whose cleaning
// pays best, copies what is alive there behind other things that live long, into segments of its
// own, and tells the log where each thing is now. The source is freed like any segment in which
// nothing is alive.
//
// It begins when the files take more than twice the live bytes and four segments, and ends below
// that. Which segment: cost and benefit as in
// Rosenblum & Ousterhout, "The design and implementation of a log-structured file system" (1992),
// (1 - u) * age / (1 + u), with the number of segments behind it as its age. It reads and
// writes at most `cleaner_bytes_per_s`, unless space is beyond the bound.
//
// What is moved is durable in its new place before the log says so, and the log says so durably
// before the table does: a reader finds it in one place or the other, a crash leaves the first. A
// relocation is applied only where the message, or the outcome, is still where it was taken from.
//
// Owned by its partition. Fatal: a write or sync that failed, as the committer's. Warning: what
// cannot be read stays where it is, and holds its segment.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "rt/awaiters.h"
#include "rt/task.h"
#include "store/batch_walk.h"
#include "store/checkpoint.h"
#include "store/committer.h"
#include "store/message_table.h"
#include "store/read_buffer.h"
#include "store/segment.h"
#include "store/segment_pool.h"

namespace store {

class Cleaner {
  public:
    struct Links {
        PartitionFiles& files;
        MessageTable& table;
        SegmentTable& segments;
        SegmentPool& pool;
        Committer& committer;
        Checkpointer& checkpointer;
        ReadBufferPool& buffers;
        StoreCounters& counters;
        const StoreOptions& options;
    };
    explicit Cleaner(const Links& links);
    Cleaner(const Cleaner&) = delete;
    Cleaner& operator=(const Cleaner&) = delete;
    ~Cleaner();

    // Cleans as it is wanted, until stop(), or until the driver is dead.
    [[nodiscard]] rt::Task<void> run();
    void stop();
    // To be called at the end of each turn.
    void poll();

  private:
    // Of one batch: at most that, and a quarter of a segment; and of records about an eighth, and
    // fewer than a place in a batch can tell apart, extents included.
    static constexpr std::size_t kContentBytes = 512U << 10U;
    static constexpr std::size_t kItemsMost = Location::kIndexMax / 2;
    // Of a read: a commit may wait behind it.
    static constexpr std::size_t kWindowBytes = 128U << 10U;
    [[nodiscard]] std::size_t content_bytes_max() const;
    // Segments beside twice the live bytes: where it begins, and where there is no time to lose.
    static constexpr std::uint64_t kSlack = 4;
    static constexpr std::uint64_t kBound = 5;
    // How many segments must be prepared for the cleaner to take one while no more can be.
    static constexpr std::size_t kNeededWhileFull = 3;
    static constexpr double kUseless = 0.8;  // as full as that, cleaning frees next to nothing

    // One record on its way, with what it describes.
    struct Item {
        format::RecordType type{};
        mail::QueueId id;
        Location from;
        std::uint32_t recipient = format::Relocation::kMessage;
        std::vector<std::byte> payload;
        std::vector<Piece> pieces;
    };
    struct StagedPiece {
        Item* item = nullptr;
        std::size_t piece = 0;
        std::size_t offset = 0;  // in content_
    };

    [[nodiscard]] std::uint64_t used_bytes() const;
    // The files take more than twice the live bytes, so many segments, and those bytes.
    [[nodiscard]] bool wanted(std::uint64_t segments, std::uint64_t besides = 0) const;
    // Segments that hold nothing, and are not free yet.
    struct Dead {
        std::uint64_t bytes = 0;
        bool may_go = false;  // some of them, once two checkpoints are newer
    };
    [[nodiscard]] Dead count_dead() const;
    [[nodiscard]] Segment* choose() const;
    [[nodiscard]] bool dead() const { return links_.files.shard.driver().dead(); }
    [[nodiscard]] bool ending() const { return stopping_ || dead(); }

    [[nodiscard]] rt::Task<void> clean(Segment& victim);
    [[nodiscard]] rt::Task<void> take_batch(Segment& victim);
    [[nodiscard]] rt::Task<void> take_message(mail::QueueId id);
    [[nodiscard]] rt::Task<bool> read_commit(Item& item);
    [[nodiscard]] rt::Task<bool> stage_piece(Item& item, std::size_t number);
    [[nodiscard]] bool pays(const Segment& victim, mail::QueueId id) const;
    void take_outcome(const Record& record, Location location);
    [[nodiscard]] rt::Task<bool> flush();
    [[nodiscard]] rt::Task<bool> make_room(std::uint64_t bytes);
    [[nodiscard]] rt::Task<bool> write(std::uint64_t area, std::uint64_t bytes);
    [[nodiscard]] std::uint64_t area_bytes() const;
    void put_records(std::uint64_t area);
    void hand_over();
    [[nodiscard]] rt::Task<void> throttle();
    void use(Segment& container);
    void end_pass(Segment& victim);

    Links links_;
    BatchWalk walk_;
    std::vector<std::unique_ptr<Item>> items_;  // whole, and not yet written
    std::unique_ptr<Item> open_;                // the one that is being staged
    std::vector<StagedPiece> staged_;
    std::vector<Location> places_;   // of items_, once laid out
    std::set<std::uint64_t> taken_;  // messages of this pass
    std::array<iovec, 2> vector_{};
    AlignedBuffer content_;
    std::size_t content_bytes_ = 0;
    std::size_t record_bytes_ = 0;
    AlignedBuffer area_;
    format::BatchHeader header_;

    std::uint64_t active_id_ = 0;  // where it appended last, if that is still there
    Segment* active_ = nullptr;    // where it appends; while a pass is under way
    std::vector<Segment*> held_;
    std::uint64_t next_sequence_ = 1;
    std::uint64_t copied_bytes_ = 0;  // read and written, besides what the walk reads
    std::uint64_t paid_bytes_ = 0;    // of both, for which it has waited
    rt::AwaitableOp op_;
    rt::Sleep sleep_;
    rt::Wakeup wakeup_;
    rt::Wakeup durable_;
    bool no_room_ = false;                // the last pass ended for want of a segment
    std::uint64_t seen_bytes_ = 0;        // that were used, when nothing was to be gained
    std::uint64_t seen_checkpoints_ = 0;  // … and how many there had been
    bool waiting_ = false;
    bool stopping_ = false;
};

}  // namespace store
