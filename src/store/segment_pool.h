// SegmentPool: prepares a partition's next segments off the hot path, and takes back what is free.
//
// A segment is prepared by writing zeros over all of it (so that writes into it allocate nothing
// and change no metadata), its header block, a sync, a rename into place and a sync of the
// directory: only then may the log use it. A free one is renamed away, gets a new header and a new
// name; its stale bytes need no clearing, since no checksum of them holds under the new id.
//
// Owned by its partition. Disk full (or no descriptors left): starved() until a retry succeeds.
// Fatal: any other failure, since it says that the disk or the directory is broken.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "mail/log_event.h"
#include "rt/awaiters.h"
#include "rt/shard.h"
#include "rt/task.h"
#include "store/chunk_pool.h"
#include "store/segment.h"

namespace store {

// Where a partition's files are and how they are opened.
struct PartitionFiles {
    rt::Shard& shard;
    mail::EventLog& log;
    std::string path;  // of the partition, for sentences
    StoreId store{};
    std::uint32_t partition = 0;
    io::Handle directory = io::kNoHandle;
    bool direct = true;      // false once the file system refused O_DIRECT
    rt::Sleep sleep{};       // while a lock is waited for
    bool read_only = false;  // for a look from outside: nothing is locked, synced or written
};

// How the log's files are opened: for appending, durable as each write completes.
[[nodiscard]] io::OpenMode append_mode(const PartitionFiles& files);

class SegmentPool {
  public:
    struct Options {
        std::uint64_t segment_bytes = 0;
        std::uint32_t ahead = 3;
        base::Duration space_retry{};
    };
    SegmentPool(PartitionFiles& files, const Options& options);
    SegmentPool(const SegmentPool&) = delete;
    SegmentPool& operator=(const SegmentPool&) = delete;

    // Both before the first prepare().
    void set_next(std::uint64_t segment) { next_ = segment; }
    void set_epoch(std::uint32_t epoch) { epoch_ = epoch; }
    // Every batch up to this sequence is durable: what segments prepared from now on say.
    void set_watermark(std::uint64_t sequence) { watermark_ = sequence; }

    // Prepares one segment; a small one where there is no room for more, and then it is starved().
    // Not while run() runs.
    [[nodiscard]] rt::Task<base::Status> prepare();
    // Keeps segments prepared until stop(), or until the driver is dead: one, and `ahead` of them
    // after want_all(). So a log that is hardly used takes little of the disk.
    [[nodiscard]] rt::Task<void> run();
    void want_all();
    void stop();

    [[nodiscard]] std::size_t prepared() const { return prepared_.size(); }
    [[nodiscard]] bool starved() const { return starved_; }
    // Of the files that it has.
    [[nodiscard]] std::uint64_t bytes() const;
    // The disk is full to the last: the reserve is used up, and several tries in a row to make even
    // a small segment have failed.
    [[nodiscard]] bool barren() const { return starved_ && failures_ >= kFailuresMost; }
    // For a stop that waits for a segment: tries again at once, and is not barren() before as many
    // tries have failed from now on.
    void try_anew();
    [[nodiscard]] std::uint64_t small_bytes() const {
        return std::max(options_.segment_bytes / 16, kSmallestBytes);
    }
    // REQUIRES: prepared() > 0.
    [[nodiscard]] std::unique_ptr<Segment> take();
    // Nothing in it is alive, no one reads it, and the log says so durably.
    void give_back(std::unique_ptr<Segment> segment);

    [[nodiscard]] std::uint64_t created() const { return created_; }
    [[nodiscard]] std::uint64_t recycled() const { return recycled_; }

  private:
    static constexpr std::size_t kFreeKept = 2;  // more are removed from the disk
    // Small segments kept on the disk for when it is full: so outcomes go on, and the next start,
    // which cannot go on in an old segment, finds one.
    static constexpr std::size_t kReserve = 3;
    static constexpr std::uint64_t kSmallestBytes = 16U << 10U;
    static constexpr std::size_t kSmallPrepared = 2;  // of them at a time, while it is full
    static constexpr std::uint32_t kFailuresMost = 3;
    static constexpr std::size_t kZerosBytes = 1U << 20U;

    [[nodiscard]] rt::Task<base::Status> prepare_small();
    // Gives the segment, in place and locked, with the next id.
    [[nodiscard]] rt::Task<base::Result<std::unique_ptr<Segment>>> create(std::uint64_t bytes);
    [[nodiscard]] rt::Task<base::Status> fill(io::Handle file, std::uint64_t bytes);
    [[nodiscard]] rt::Task<base::Status> write_zeros(io::Handle file, std::uint64_t bytes);
    [[nodiscard]] rt::Task<base::Status> recycle(std::unique_ptr<Segment> segment);
    [[nodiscard]] rt::Task<base::Status> remove(std::unique_ptr<Segment> segment);
    [[nodiscard]] rt::Task<base::Status> write_header(io::Handle file, std::uint64_t bytes);
    // Renames to the segment's name and makes that durable.
    [[nodiscard]] rt::Task<base::Status> put_in_place(const char* temporary, std::uint64_t id);
    // It has the next id from now on.
    void number(Segment& segment);
    [[nodiscard]] bool dead();
    void note_starved(const base::Error& error);
    void end_starvation();

    PartitionFiles& files_;
    Options options_;
    std::uint64_t next_ = 1;
    std::uint32_t epoch_ = 1;
    std::uint64_t watermark_ = 0;
    std::deque<std::unique_ptr<Segment>> prepared_;
    std::deque<std::unique_ptr<Segment>> free_;
    std::deque<std::unique_ptr<Segment>> reserve_;
    AlignedBuffer zeros_;
    AlignedBuffer header_;
    rt::AwaitableOp op_;
    rt::Wakeup wakeup_;
    rt::Sleep sleep_;
    std::string name_;
    std::string other_name_;
    std::uint32_t wanted_ = 1;
    bool starved_ = false;
    std::uint32_t failures_ = 0;  // in a row, to prepare a small one
    bool stopping_ = false;
    std::uint64_t created_ = 0;
    std::uint64_t recycled_ = 0;
};

}  // namespace store
