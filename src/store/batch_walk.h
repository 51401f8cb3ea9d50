// BatchWalk: goes through one segment and finds every batch whose header validates, in order. Where
// none begins it tries each later 4 KiB boundary, so it also finds what lies behind damage.
//
// Used by recovery alone. A block that cannot be read ends the walk with the error, or, in salvage,
// counts as bytes that validate nowhere.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "store/chunk_pool.h"
#include "store/record_reader.h"
#include "store/segment.h"

namespace store {

class BatchWalk {
  public:
    static constexpr std::size_t kWindowBytes = 1U << 20U;  // of a read

    BatchWalk(rt::Shard& shard, bool tolerate_errors, std::size_t window_bytes = kWindowBytes);

    // From offset `from` on (a block boundary), up to `limit`. `segment` must outlive the walk
    // through it.
    void start(Segment& segment, std::uint64_t from, std::uint64_t limit);
    // Goes to the next batch: false when there is none.
    [[nodiscard]] rt::Task<base::Result<bool>> next();
    [[nodiscard]] const format::BatchHeader& header() const { return header_; }
    [[nodiscard]] std::uint64_t offset() const { return offset_; }
    [[nodiscard]] std::uint64_t end() const { return offset_ + header_.bytes(); }

    // The records of the batch at hand, until the next call; empty and false where their checksum
    // does not hold.
    [[nodiscard]] rt::Task<base::Result<bool>> read_records();
    [[nodiscard]] base::Bytes records() const { return records_; }
    [[nodiscard]] RecordReader reader() const { return {records_, header_.record_count}; }
    // Whether the content that its extent records name is there. REQUIRES: records were read.
    [[nodiscard]] rt::Task<base::Result<bool>> content_valid();

    // What it has read so far, of all segments.
    [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }
    // Blocks that could not be read.
    [[nodiscard]] std::uint64_t unreadable() const { return unreadable_; }

  private:
    [[nodiscard]] rt::Task<base::Status> fill(AlignedBuffer& into, std::size_t bytes,
                                              std::uint64_t offset);
    [[nodiscard]] base::Bytes in_window(std::uint64_t offset, std::uint64_t bytes) const;

    rt::Shard& shard_;
    bool tolerate_errors_;
    Segment* segment_ = nullptr;
    std::uint64_t limit_ = 0;
    std::uint64_t cursor_ = 0;
    format::BatchHeader header_;
    std::uint64_t offset_ = 0;
    AlignedBuffer window_;
    std::uint64_t window_at_ = 0;
    std::uint64_t window_bytes_ = 0;
    AlignedBuffer area_;
    AlignedBuffer content_;
    base::Bytes records_;
    rt::AwaitableOp op_;
    std::uint64_t bytes_read_ = 0;
    std::uint64_t unreadable_ = 0;
};

}  // namespace store
