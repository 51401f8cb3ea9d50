#include "io/uring/ring.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>

#include <unistd.h>

#include "base/assert.h"
#include "io/uring/fatal.h"
#include "io/uring/kernel_probe.h"

namespace io {
namespace {

constexpr long kRefusalPauseNs = 1'000'000;
constexpr int kRefusalsMax = 10'000;

constexpr unsigned kSetupFlags =
    // One thread submits, so the kernel takes no lock for it. Needed by DEFER_TASKRUN.
    IORING_SETUP_SINGLE_ISSUER |
    // Completions are worked off when the shard enters to wait, not by interrupting it at any
    // return from the kernel: batches, and no inter-processor interrupt. What COOP_TASKRUN would
    // spare is spared by this already.
    IORING_SETUP_DEFER_TASKRUN |
    // An SQE that the kernel refuses gets a completion of its own and does not hold up those
    // behind it, so a turn needs one call.
    IORING_SETUP_SUBMIT_ALL |
    // Multishot operations complete many times each, so the completion queue is longer than twice
    // the submission queue. Overflow loses nothing (FEAT_NODROP) but costs an allocation for each.
    IORING_SETUP_CQSIZE |
    // Off at first. The thread that switches it on becomes the single issuer: so the program can
    // make all its shards' drivers, see each failure, and only then start their threads.
    IORING_SETUP_R_DISABLED;

}  // namespace

base::Result<std::unique_ptr<Ring>> Ring::create(const Sizes& sizes) {
    std::unique_ptr<Ring> ring(new Ring(sizes));
    io_uring_params params{};
    params.flags = kSetupFlags;
    params.cq_entries = sizes.completions;
    const int error = -io_uring_queue_init_params(sizes.submissions, &ring->ring_, &params);
    if (error > 0) {
        ring->ring_.ring_fd = -1;
        return base::fail(error, explain_setup_failure(error, read_kernel_facts()));
    }
    // A child between fork and exec must not see the queues: it could not use them (the ring
    // belongs to our thread), and copying on write would take them from us.
    io_uring_ring_dontfork(&ring->ring_);
    // call() relies on it: place i of the queue is SQE i, always.
    for (unsigned i = 0; i < ring->ring_.sq.ring_entries; ++i) {
        ring->ring_.sq.array[i] = i;
    }
    return ring;
}

Ring::~Ring() {
    if (ring_.ring_fd < 0) {
        return;
    }
    const io_uring_sq& queue = ring_.sq;
    for (unsigned i = *queue.khead; i != queue.sqe_tail; ++i) {
        const io_uring_sqe& sqe = queue.sqes[i & queue.ring_mask];
        if (sqe.opcode == IORING_OP_CLOSE) {
            ::close(sqe.fd);
        }
    }
    io_uring_queue_exit(&ring_);
}

// On the shard's thread, once: these three bind to the calling thread.
void Ring::bind() {
    thread_ = std::this_thread::get_id();
    // io_uring_enable_rings() is declared, but missing from liburing 2.3's shared library.
    if (const int error = -io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                             IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
        error > 0) {
        end_process(std::string("cannot switch the ring on: ") + std::strerror(error));
    }
    // Spares a look-up of the descriptor on each enter. Only a saving: without it, on we go.
    if (io_uring_register_ring_fd(&ring_) == 1) {
        enter_flags_ |= IORING_ENTER_REGISTERED_RING;
    }
    // Otherwise bounded workers are as many as 4 per core, and unbounded ones as many as the
    // process may have threads: a slow disk would fill the machine with them.
    unsigned workers[2] = {sizes_.workers_of_files, sizes_.workers_of_sockets};
    if (const int error = -io_uring_register_iowq_max_workers(&ring_, workers); error > 0) {
        end_process(std::string("cannot limit the ring's worker threads: ") + std::strerror(error));
    }
}

std::size_t Ring::place_of(const io_uring_sqe& sqe) const {
    return static_cast<std::size_t>(&sqe - ring_.sq.sqes);
}

const io_uring_cqe& Ring::at(std::uint32_t index) const {
    return ring_.cq.cqes[(*ring_.cq.khead + index) & ring_.cq.ring_mask];
}

io_uring_sqe& Ring::next() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
        make_room();
        sqe = io_uring_get_sqe(&ring_);
        RP_ASSERT(sqe != nullptr);
    }
    std::memset(sqe, 0, sizeof *sqe);
    return *sqe;
}

// The queue is full in the middle of a turn.
void Ring::make_room() {
    const std::uint32_t before = queued();
    for (int refusals = 0; queued() == before; ++refusals) {
        const int result = call(0, base::Duration::zero());
        if (result >= 0 || result == -EINTR) continue;
        if (refusals == kRefusalsMax) {
            end_process("the kernel has taken no I/O for 10 seconds; it is short of memory");
        }
        const timespec pause{0, kRefusalPauseNs};
        ::nanosleep(&pause, nullptr);
    }
}

void Ring::enter(base::Duration wait_at_most) {
    const bool waits = wait_at_most > base::Duration::zero();
    const int result = call(waits ? 1 : 0, wait_at_most);
    if ((result == -EAGAIN || result == -EBUSY) && waits && ready() == 0) {
        // The kernel is short of memory and took nothing. What it has in hand will free some: so
        // wait for that, but look again soon.
        const timespec pause{0, kRefusalPauseNs};
        ::nanosleep(&pause, nullptr);
    }
}

// One io_uring_enter. A count of SQEs taken, or -EINTR, -ETIME, -EAGAIN, -EBUSY; none else comes
// back. What was not taken stays queued for the next call.
int Ring::call(std::uint32_t wait_for, base::Duration wait_at_most) {
    if (thread_ == std::thread::id()) {
        bind();
    }
    RP_ASSERT(thread_ == std::this_thread::get_id());
    ++calls_;
    io_uring_sq& queue = ring_.sq;
    // liburing's own submit functions leave GETEVENTS out when completions are there already; under
    // DEFER_TASKRUN the ones that wait to be worked off would starve behind them. So the tail is
    // published here, and every call asks for events.
    io_uring_smp_store_release(queue.ktail, queue.sqe_tail);
    __kernel_timespec timeout{};
    io_uring_getevents_arg argument{};
    if (wait_for > 0 && wait_at_most != kForever) {
        timeout.tv_sec = wait_at_most.count() / 1'000'000'000;
        timeout.tv_nsec = wait_at_most.count() % 1'000'000'000;
        argument.ts = reinterpret_cast<std::uintptr_t>(&timeout);
    }
    const int result =
        io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), queued(), wait_for,
                        enter_flags_ | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                        reinterpret_cast<sigset_t*>(&argument), sizeof argument);
    switch (result < 0 ? -result : 0) {
        case 0:
        case EINTR:   // a signal: the loop looks round and comes back
        case ETIME:   // the timeout
        case EAGAIN:  // no memory for more operations
        case EBUSY:   // completions have overflowed: take some first
            return result;
        case EBADR:
            end_process("the kernel lost a completion, being out of memory");
        case EEXIST:
            RP_PANIC("the ring belongs to another thread");
        default:
            end_process(std::string("the ring failed: ") + std::strerror(-result));
    }
}

}  // namespace io
