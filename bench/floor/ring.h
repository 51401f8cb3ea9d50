// Ring: the thread's io_uring with its receive buffers, set up as ringpost's shards set up theirs.
//
// One per thread, made on it. Every completion goes to an Op; a null one is for nobody. Failures of
// the environment end the process with a word: this is a yardstick, not a server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <liburing.h>

namespace bench {

[[noreturn]] void die(const char* what, int error);

class Op {
  public:
    Op() = default;
    Op(const Op&) = delete;
    Op& operator=(const Op&) = delete;
    virtual ~Op() = default;
    virtual void done(const io_uring_cqe& cqe) = 0;
};

class Ring {
  public:
    static constexpr unsigned kBuffers = 1024;
    static constexpr unsigned kBufferBytes = 16384;

    Ring();
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    // An entry whose completion goes to `op`.
    [[nodiscard]] io_uring_sqe& entry(Op* op);
    // A multishot receive into the ring's buffers.
    void receive(int socket, Op& op);
    void close(int descriptor);
    // What a completion of receive() brought; empty at the end of the stream.
    [[nodiscard]] std::span<const char> received(const io_uring_cqe& cqe) const;
    void give_back(const io_uring_cqe& cqe);

    // Submits, waits for a completion, or that long at most (negative: without a bound), and hands
    // out all there are.
    void turn(std::int64_t wait_ns);

  private:
    io_uring ring_{};
    io_uring_buf_ring* entries_ = nullptr;
    char* buffers_ = nullptr;
};

}  // namespace bench
