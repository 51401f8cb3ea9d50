#include "store/batch_walk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/crc32c.h"
#include "store/log_reader.h"

namespace store {

BatchWalk::BatchWalk(rt::Shard& shard, bool tolerate_errors, std::size_t window_bytes)
    : shard_(shard),
      tolerate_errors_(tolerate_errors),
      window_(window_bytes),
      area_(window_bytes) {}

void BatchWalk::start(Segment& segment, std::uint64_t from, std::uint64_t limit) {
    segment_ = &segment;
    limit_ = std::min(limit, segment.bytes);
    cursor_ = from;
    window_bytes_ = 0;
}

rt::Task<base::Result<bool>> BatchWalk::next() {
    while (cursor_ < limit_) {
        base::Bytes block = in_window(cursor_, format::kBlock);
        if (block.empty()) {
            std::uint64_t size = std::min<std::uint64_t>(window_.size(), limit_ - cursor_);
            base::Status status = co_await fill(window_, size, cursor_);
            if (!status.has_value() && size > format::kBlock) {
                // What cannot be read may be content, which nobody needs here.
                size = format::kBlock;
                status = co_await fill(window_, size, cursor_);
            }
            if (!status.has_value()) {
                co_return std::unexpected(status.error());
            }
            window_at_ = cursor_;
            window_bytes_ = size;
            block = in_window(cursor_, format::kBlock);
        }
        const auto header =
            format::batch_header_at(block, segment_->seed, segment_->id, cursor_, segment_->bytes);
        if (header) {
            header_ = *header;
            offset_ = cursor_;
            cursor_ = end();
            records_ = {};
            co_return true;
        }
        cursor_ += format::kBlock;
    }
    co_return false;
}

rt::Task<base::Result<bool>> BatchWalk::read_records() {
    const std::uint64_t size = header_.record_area_bytes();
    base::Bytes area = in_window(offset_, size);
    if (area.empty()) {
        const base::Status status = co_await fill(area_, size, offset_);
        if (!status.has_value()) {
            co_return std::unexpected(status.error());
        }
        area = base::Bytes(area_.bytes()).first(size);
    }
    const base::Bytes records = area.subspan(sizeof(format::BatchHeader), header_.record_bytes);
    if (!format::records_valid(header_, records, segment_->seed, offset_)) {
        co_return false;
    }
    records_ = records;
    co_return true;
}

rt::Task<base::Result<bool>> BatchWalk::content_valid() {
    const std::uint64_t size = std::uint64_t{header_.data_blocks} * format::kBlock;
    if (size == 0) {
        co_return true;
    }
    const std::uint64_t start = offset_ + header_.record_area_bytes();
    const base::Status status = co_await fill(content_, size, start);
    if (!status.has_value()) {
        co_return std::unexpected(status.error());
    }
    RecordReader records = reader();
    while (const auto record = records.next()) {
        const auto extent = decode_extent(*record);
        if (!extent) {
            continue;
        }
        const std::uint64_t at = std::uint64_t{extent->block} * format::kBlock;
        if (at < start || at - start > size || extent->bytes > size - (at - start)) {
            co_return false;
        }
        const base::Bytes bytes = content_.bytes().subspan(at - start, extent->bytes);
        if (base::crc32c(0, bytes) != extent->crc) {
            co_return false;
        }
    }
    co_return true;
}

base::Bytes BatchWalk::in_window(std::uint64_t offset, std::uint64_t bytes) const {
    if (offset < window_at_ || offset + bytes > window_at_ + window_bytes_) {
        return {};
    }
    return base::Bytes(window_.bytes()).subspan(offset - window_at_, bytes);
}

// A file that is shorter than it should be reads as zeros behind its end.
rt::Task<base::Status> BatchWalk::fill(AlignedBuffer& into, std::size_t bytes,
                                       std::uint64_t offset) {
    if (into.size() < bytes) {
        into = AlignedBuffer(bytes);
    }
    const base::MutableBytes memory = into.bytes().first(bytes);
    bytes_read_ += bytes;
    base::Status status = co_await read_fully(shard_, op_, segment_->handle.get(), memory, offset);
    if (status.has_value() || shard_.driver().dead()) {
        co_return status;
    }
    const bool ended = status.error().number() == ENODATA;
    if (!ended && !tolerate_errors_) {
        co_return status;
    }
    for (std::size_t at = 0; at < bytes; at += format::kBlock) {
        const base::MutableBytes block = memory.subspan(at, format::kBlock);
        status = co_await read_fully(shard_, op_, segment_->handle.get(), block, offset + at);
        if (!status.has_value()) {
            std::memset(block.data(), 0, block.size());
            unreadable_ += status.error().number() == ENODATA ? 0 : 1;
        }
    }
    co_return base::Status();
}

}  // namespace store
