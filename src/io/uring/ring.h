// Ring: one io_uring with the set-up and the habits that UringDriver needs. It knows SQEs and CQEs,
// not Ops.
//
// Owned by one UringDriver. It is created switched off (R_DISABLED), so that any thread may create
// it; the thread that enters it first is its shard's from then on (SINGLE_ISSUER), and no other one
// may enter.
// Fatal: the kernel refuses to take operations for 10 s, loses a completion, or refuses io_uring
// after having allowed it. Panic: entered from a second thread.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include <liburing.h>

#include "base/result.h"
#include "base/time.h"

namespace io {

class Ring {
  public:
    struct Sizes {
        std::uint32_t submissions;         // a power of two
        std::uint32_t completions;         // a power of two
        std::uint32_t workers_of_files;    // io-wq threads at most, for files
        std::uint32_t workers_of_sockets;  // and for everything else
    };

    // Fails with a sentence for a person.
    [[nodiscard]] static base::Result<std::unique_ptr<Ring>> create(const Sizes& sizes);
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    // Carries out closes that are still queued, and gives the ring up. REQUIRES: nothing that the
    // kernel could still write to is in flight.
    ~Ring();

    // The next free SQE, cleared. Hands over what is queued, without waiting, when the queue is
    // full.
    [[nodiscard]] io_uring_sqe& next();
    // Which place of the queue it has, below Sizes::submissions. It is free again when the kernel
    // took the SQE.
    [[nodiscard]] std::size_t place_of(const io_uring_sqe& sqe) const;

    // Hands over what is queued, in one system call, and waits until a completion is there or
    // `wait_at_most` passed (0: does not wait, kForever: no bound). May come back early with none.
    static constexpr base::Duration kForever = base::Duration::max();
    void enter(base::Duration wait_at_most);

    [[nodiscard]] std::uint32_t queued() const { return io_uring_sq_ready(&ring_); }
    // Completions that are there; at(i) is the i-th of them, oldest first.
    [[nodiscard]] std::uint32_t ready() const { return io_uring_cq_ready(&ring_); }
    [[nodiscard]] const io_uring_cqe& at(std::uint32_t index) const;
    void release(std::uint32_t count) { io_uring_cq_advance(&ring_, count); }

    // How often something may have been handed over: each system call counts.
    [[nodiscard]] std::uint64_t calls() const { return calls_; }
    [[nodiscard]] int descriptor() const { return ring_.ring_fd; }
    [[nodiscard]] io_uring& raw() { return ring_; }

  private:
    explicit Ring(const Sizes& sizes) : sizes_(sizes) {}
    void bind();
    void make_room();
    int call(std::uint32_t wait_for, base::Duration wait_at_most);

    io_uring ring_{};
    Sizes sizes_;
    std::thread::id thread_;  // none until bind()
    unsigned enter_flags_ = 0;
    std::uint64_t calls_ = 0;
};

}  // namespace io
