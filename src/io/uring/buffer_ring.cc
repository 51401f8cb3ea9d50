#include "io/uring/buffer_ring.h"

#include <bit>
#include <cerrno>
#include <string>

#include <sys/mman.h>

#include "base/assert.h"

namespace io {
namespace {

// Whole pages, zeroed, or nullptr.
void* map(std::size_t size) {
    void* memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

base::Result<std::unique_ptr<BufferRing>> BufferRing::create(io_uring& ring, std::uint16_t group,
                                                             std::uint32_t count,
                                                             std::uint32_t size) {
    RP_ASSERT(std::has_single_bit(count) && count <= 32768 && size > 0);
    std::unique_ptr<BufferRing> buffers(new BufferRing(count, size));
    // The kernel pins the entries by page, so they start on one.
    buffers->entries_ = static_cast<io_uring_buf_ring*>(map(count * sizeof(io_uring_buf)));
    buffers->memory_ = static_cast<std::byte*>(map(std::size_t{count} * size));
    if (buffers->entries_ == nullptr || buffers->memory_ == nullptr) {
        return base::fail(ENOMEM, "there is no memory for " + std::to_string(count) +
                                      " receive buffers of " + std::to_string(size) + " bytes");
    }
    // A child between fork and exec gets no part of either: it would make us copy on write, and
    // the kernel would go on filling the pages that we no longer have.
    ::madvise(buffers->entries_, count * sizeof(io_uring_buf), MADV_DONTFORK);
    ::madvise(buffers->memory_, std::size_t{count} * size, MADV_DONTFORK);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffers->entries_);
    registration.ring_entries = count;
    registration.bgid = group;
    if (const int error = -io_uring_register_buf_ring(&ring, &registration, 0); error > 0) {
        return base::fail(
            error, "the kernel refuses a ring of " + std::to_string(count) + " receive buffers");
    }
    for (std::uint32_t id = 0; id < count; ++id) {
        buffers->publish(id);
    }
    return buffers;
}

BufferRing::~BufferRing() {
    if (entries_ != nullptr) {
        ::munmap(entries_, count_ * sizeof(io_uring_buf));
    }
    if (memory_ != nullptr) {
        ::munmap(memory_, std::size_t{count_} * size_);
    }
}

std::byte* BufferRing::start_of(std::uint32_t id) const {
    RP_ASSERT(id < count_);
    return memory_ + std::size_t{id} * size_;
}

void BufferRing::publish(std::uint32_t id) {
    io_uring_buf_ring_add(entries_, start_of(id), size_, static_cast<std::uint16_t>(id),
                          io_uring_buf_ring_mask(count_), 0);
    io_uring_buf_ring_advance(entries_, 1);
}

void BufferRing::take(std::uint32_t id) {
    RP_ASSERT(id < count_ && !out_[id]);
    out_[id] = true;
}

void BufferRing::put_back(std::uint32_t id) {
    RP_ASSERT(id < count_ && out_[id]);
    out_[id] = false;
    publish(id);
}

base::MutableBytes BufferRing::bytes(std::uint32_t id) const {
    RP_ASSERT(id < count_ && out_[id]);
    return {start_of(id), size_};
}

}  // namespace io
