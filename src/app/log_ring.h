// LogRing: events on their way from a shard to the log thread, as bytes.
//
// One producer (a shard), one consumer (the log thread), no lock, no allocation after it is made,
// and no system call: the consumer looks by itself from time to time. Full: the record is dropped
// and counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"

namespace app {

class LogRing {
  public:
    static constexpr std::size_t kRecordBytesMax = 8192;

    // REQUIRES: `capacity` is a power of two, at least four times kRecordBytesMax.
    explicit LogRing(std::size_t capacity);
    LogRing(const LogRing&) = delete;
    LogRing& operator=(const LogRing&) = delete;

    // Producer: copies `record` in. REQUIRES: 0 < record.size() <= kRecordBytesMax.
    void push(base::Bytes record);

    // Consumer: the oldest record, which stays until pop(); nothing when there is none.
    [[nodiscard]] std::optional<base::Bytes> front();
    // Consumer. REQUIRES: front() gave a record.
    void pop();

    // Consumer: how many records were dropped since the ring was made.
    [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  private:
    static constexpr std::size_t kAlign = 8;
    // Before each record: its size; kWrap sends the reader back to the start.
    static constexpr std::uint64_t kWrap = ~std::uint64_t{0};

    [[nodiscard]] static std::uint64_t space_of(std::size_t record) {
        return kAlign + base::round_up(record, kAlign);
    }

    const std::size_t capacity_;
    const std::unique_ptr<std::byte[]> bytes_;
    // Positions count bytes since the beginning and never wrap; modulo capacity_ they are places.
    // Each side keeps a copy of the other's position, so that it reads the shared one only when it
    // must.
    alignas(64) std::atomic<std::uint64_t> written_ = 0;
    std::uint64_t read_seen_ = 0;
    std::atomic<std::uint64_t> dropped_ = 0;
    alignas(64) std::atomic<std::uint64_t> read_ = 0;
    std::uint64_t written_seen_ = 0;
};

}  // namespace app
