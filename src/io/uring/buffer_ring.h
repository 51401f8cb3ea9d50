// BufferRing: buffers that the kernel takes for multishot receives, as many as it needs when data
// is there. By hand, since liburing 2.3 has no io_uring_setup_buf_ring().
//
// Owned by one UringDriver, used on its shard. A buffer is with the kernel, or out: lent to whoever
// holds its completion. Panic: a buffer comes back that was not out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <liburing.h>

#include "base/bytes.h"
#include "base/result.h"

namespace io {

class BufferRing {
  public:
    // REQUIRES: `count` is a power of two, at most 32768; `size` is above 0.
    [[nodiscard]] static base::Result<std::unique_ptr<BufferRing>> create(io_uring& ring,
                                                                          std::uint16_t group,
                                                                          std::uint32_t count,
                                                                          std::uint32_t size);
    BufferRing(const BufferRing&) = delete;
    BufferRing& operator=(const BufferRing&) = delete;
    // REQUIRES: the kernel's ring is gone, or no receive on this one is in flight.
    ~BufferRing();

    // The kernel filled it and its completion was reaped.
    void take(std::uint32_t id);
    // The kernel may use it again.
    void put_back(std::uint32_t id);
    // REQUIRES: it is out.
    [[nodiscard]] base::MutableBytes bytes(std::uint32_t id) const;

  private:
    BufferRing(std::uint32_t count, std::uint32_t size) : out_(count), count_(count), size_(size) {}
    [[nodiscard]] std::byte* start_of(std::uint32_t id) const;
    void publish(std::uint32_t id);

    io_uring_buf_ring* entries_ = nullptr;  // shared with the kernel
    std::byte* memory_ = nullptr;
    std::vector<bool> out_;
    std::uint32_t count_;
    std::uint32_t size_;
};

}  // namespace io
