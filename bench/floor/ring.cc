#include "ring.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

namespace bench {
namespace {

constexpr unsigned kSubmissions = 1024;
constexpr unsigned kCompletions = 16384;

void* map(std::size_t bytes) {
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap", errno);
    return memory;
}

}  // namespace

void die(const char* what, int error) {
    std::fprintf(stderr, "floor: %s: %s\n", what, std::strerror(error));
    std::_Exit(1);
}

Ring::Ring() {
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    parameters.cq_entries = kCompletions;
    if (const int error = -io_uring_queue_init_params(kSubmissions, &ring_, &parameters);
        error > 0) {
        die("io_uring_setup", error);
    }
    static_cast<void>(io_uring_register_ring_fd(&ring_));  // spares a look-up; only a saving
    entries_ = static_cast<io_uring_buf_ring*>(map(kBuffers * sizeof(io_uring_buf)));
    buffers_ = static_cast<char*>(map(std::size_t{kBuffers} * kBufferBytes));
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(entries_);
    registration.ring_entries = kBuffers;
    if (const int error = -io_uring_register_buf_ring(&ring_, &registration, 0); error > 0) {
        die("io_uring_register", error);
    }
    for (unsigned id = 0; id < kBuffers; ++id) {
        io_uring_buf_ring_add(entries_, buffers_ + std::size_t{id} * kBufferBytes, kBufferBytes,
                              static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffers),
                              static_cast<int>(id));
    }
    io_uring_buf_ring_advance(entries_, static_cast<int>(kBuffers));
}

io_uring_sqe& Ring::entry(Op* op) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
        io_uring_submit(&ring_);
        sqe = io_uring_get_sqe(&ring_);
    }
    sqe->user_data = reinterpret_cast<std::uintptr_t>(op);
    return *sqe;
}

void Ring::receive(int socket, Op& op) {
    io_uring_sqe& sqe = entry(&op);
    io_uring_prep_recv_multishot(&sqe, socket, nullptr, 0, 0);
    sqe.flags |= IOSQE_BUFFER_SELECT;
}

void Ring::close(int descriptor) {
    io_uring_sqe& sqe = entry(nullptr);
    io_uring_prep_close(&sqe, descriptor);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
}

std::span<const char> Ring::received(const io_uring_cqe& cqe) const {
    if (cqe.res <= 0 || (cqe.flags & IORING_CQE_F_BUFFER) == 0) {
        return {};
    }
    const std::size_t id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    return {buffers_ + id * kBufferBytes, static_cast<std::size_t>(cqe.res)};
}

void Ring::give_back(const io_uring_cqe& cqe) {
    if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) {
        return;
    }
    const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    io_uring_buf_ring_add(entries_, buffers_ + std::size_t{id} * kBufferBytes, kBufferBytes,
                          static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffers), 0);
    io_uring_buf_ring_advance(entries_, 1);
}

void Ring::turn(std::int64_t wait_ns) {
    io_uring_cqe* cqe = nullptr;
    if (wait_ns < 0) {
        io_uring_submit_and_wait(&ring_, 1);
    } else {
        __kernel_timespec time{.tv_sec = wait_ns / 1'000'000'000,
                               .tv_nsec = wait_ns % 1'000'000'000};
        io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &time, nullptr);
    }
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
        if (cqe->user_data != 0) {
            reinterpret_cast<Op*>(cqe->user_data)->done(*cqe);
        }
        ++seen;
    }
    io_uring_cq_advance(&ring_, seen);
}

}  // namespace bench
