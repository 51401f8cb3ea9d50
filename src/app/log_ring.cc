#include "app/log_ring.h"

#include <bit>
#include <cstring>

#include "base/assert.h"

namespace app {

LogRing::LogRing(std::size_t capacity)
    : capacity_(capacity), bytes_(std::make_unique<std::byte[]>(capacity)) {
    RP_ASSERT(std::has_single_bit(capacity) && capacity >= 4 * kRecordBytesMax);
}

void LogRing::push(base::Bytes record) {
    RP_ASSERT(!record.empty() && record.size() <= kRecordBytesMax);
    std::uint64_t at = written_.load(std::memory_order_relaxed);
    const std::uint64_t space = space_of(record.size());
    const std::uint64_t to_end = capacity_ - at % capacity_;
    const std::uint64_t skipped = space > to_end ? to_end : 0;  // a record lies in one piece
    if (at + skipped + space - read_seen_ > capacity_) {
        read_seen_ = read_.load(std::memory_order_acquire);
        if (at + skipped + space - read_seen_ > capacity_) {
            dropped_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
    }
    if (skipped > 0) {
        base::store_le(&bytes_[at % capacity_], kWrap);
        at += skipped;
    }
    std::byte* const place = &bytes_[at % capacity_];
    base::store_le(place, std::uint64_t{record.size()});
    std::memcpy(place + kAlign, record.data(), record.size());
    written_.store(at + space, std::memory_order_release);
}

std::optional<base::Bytes> LogRing::front() {
    std::uint64_t at = read_.load(std::memory_order_relaxed);
    if (at == written_seen_) {
        written_seen_ = written_.load(std::memory_order_acquire);
        if (at == written_seen_) {
            return std::nullopt;
        }
    }
    if (base::load_le<std::uint64_t>(&bytes_[at % capacity_]) == kWrap) {
        at += capacity_ - at % capacity_;
        read_.store(at, std::memory_order_release);
        RP_ASSERT(at < written_seen_);
    }
    const std::byte* const place = &bytes_[at % capacity_];
    const auto size = base::load_le<std::uint64_t>(place);
    RP_ASSERT(size > 0 && size <= kRecordBytesMax);
    return base::Bytes(place + kAlign, size);
}

void LogRing::pop() {
    const std::uint64_t at = read_.load(std::memory_order_relaxed);
    RP_ASSERT(at < written_seen_);
    const auto size = base::load_le<std::uint64_t>(&bytes_[at % capacity_]);
    read_.store(at + space_of(size), std::memory_order_release);
}

}  // namespace app
