#include "io/uring/uring_driver.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/uring/buffer_ring.h"
#include "io/uring/fatal.h"
#include "io/uring/kernel_probe.h"
#include "io/uring/prepare.h"
#include "io/uring/ring.h"
#include "io/uring/tag.h"

// The kernel carries a doorbell from thread to thread, which ThreadSanitizer cannot see.
#if defined(__SANITIZE_THREAD__)
#define RP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RP_TSAN 1
#endif
#endif
#ifdef RP_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace io {
namespace {

static_assert(alignof(Op) > kTagMask && alignof(UringDriver) > kTagMask,
              "the low bits of user_data carry a tag");

// Descriptors of which writable_ can know; above, every sync is a full one.
constexpr std::uint64_t kTrackedDescriptorsMax = 1U << 20;

// linux/errno.h, which is not for programs.
constexpr int kFirstRestart = 512;
constexpr int kLastRestart = 516;

void doorbell_leaves([[maybe_unused]] UringDriver* target) {
#ifdef RP_TSAN
    __tsan_release(target);
#endif
}

void doorbell_came([[maybe_unused]] UringDriver* target) {
#ifdef RP_TSAN
    __tsan_acquire(target);
#endif
}

std::chrono::nanoseconds read_clock(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

base::Result<std::unique_ptr<UringDriver>> UringDriver::create(const UringOptions& options) {
    if (base::Status probed = probe_kernel(); !probed) {
        return std::unexpected(probed.error());
    }
    std::unique_ptr<UringDriver> driver(new UringDriver(options));
    base::Result<std::unique_ptr<Ring>> ring =
        Ring::create({options.submissions, options.completions, options.workers_of_files,
                      options.workers_of_sockets});
    if (!ring) {
        return std::unexpected(ring.error());
    }
    driver->ring_ = std::move(*ring);
    driver->wake_descriptor_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (driver->wake_descriptor_ < 0) {
        return base::fail(errno, explain_setup_failure(errno, read_kernel_facts()));
    }
    driver->arm_wake();
    return driver;
}

UringDriver::UringDriver(const UringOptions& options)
    : options_(options), headers_(options.submissions) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    writable_.resize(std::min<std::uint64_t>(limit.rlim_cur, kTrackedDescriptorsMax));
    reaped_.reserve(options.reaped_max);
    rung_.reserve(options.drivers_max);
    buffer_rings_.reserve(options.buffer_rings_max);
}

UringDriver::~UringDriver() {
    RP_ASSERT(in_flight_ == 0);
    // What the kernel has still is the poll on the eventfd, which writes to no memory of ours and
    // goes with the ring.
    ring_.reset();
    buffer_rings_.clear();
    if (wake_descriptor_ >= 0) {
        ::close(wake_descriptor_);
    }
}

void UringDriver::submit(Op& op) {
    op.start();
    ++in_flight_;
    ++counters_.submitted;
    io_uring_sqe& sqe = ring_->next();
    const SyncKind sync =
        opened_for_writing(op.parameters().handle) ? SyncKind::data : SyncKind::all;
    prepare(op, sync, sqe, headers_[ring_->place_of(sqe)]);
    sqe.user_data = tagged(Tag::op, &op);
}

void UringDriver::cancel(Op& op) {
    if (!op.in_flight()) {
        return;
    }
    // Entries are taken in order: so an op that is queued is found by a cancel queued behind it,
    // and one that ends and is submitted anew before the next wait() is not.
    io_uring_sqe& sqe = ring_->next();
    io_uring_prep_cancel64(&sqe, tagged(Tag::op, &op), 0);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe.user_data = tagged(Tag::cancel);
}

std::span<const Reaped> UringDriver::wait(base::MonoTime deadline) {
    ++counters_.turns;
    const bool left_over = ring_->ready() > 0;
    if (!left_over) {
        ring_->enter(deadline == base::kNever ? Ring::kForever : left_until(deadline));
    } else if (ring_->queued() > 0) {
        ring_->enter(base::Duration::zero());
    }
    reap();
    counters_.completed += reaped_.size();
    return reaped_;
}

base::MonoTime UringDriver::now() {
    now_ = base::MonoTime(read_clock(CLOCK_MONOTONIC));
    return now_;
}

// Most deadlines are far off. For those the clock as it was read last, a turn ago, does.
base::Duration UringDriver::left_until(base::MonoTime deadline) {
    constexpr base::Duration kNear = std::chrono::milliseconds(5);
    return deadline - (deadline - now_ > kNear ? now_ : now());
}

base::WallTime UringDriver::wall_now() {
    return base::WallTime(read_clock(CLOCK_REALTIME));
}

void UringDriver::random(base::MutableBytes into) {
    while (!into.empty()) {
        if (entropy_left_ == 0) {
            // 256 bytes come whole or not at all; EINTR only before the machine has any.
            while (::getrandom(entropy_.data(), entropy_.size(), 0) !=
                   static_cast<ssize_t>(entropy_.size())) {
                RP_ASSERT(errno == EINTR);
            }
            entropy_left_ = entropy_.size();
        }
        const std::size_t size = std::min(into.size(), entropy_left_);
        std::byte* const from = entropy_.data() + (entropy_.size() - entropy_left_);
        std::memcpy(into.data(), from, size);
        // A secret must not lie here for longer than with whom it was made for.
        ::explicit_bzero(from, size);
        entropy_left_ -= size;
        into = into.subspan(size);
    }
}

base::Result<BufferRingId> UringDriver::add_buffer_ring(std::uint32_t count, std::uint32_t size) {
    RP_ASSERT(buffer_rings_.size() < options_.buffer_rings_max);
    const auto id = static_cast<BufferRingId>(buffer_rings_.size());
    base::Result<std::unique_ptr<BufferRing>> buffers =
        BufferRing::create(ring_->raw(), id, count, size);
    if (!buffers) {
        return std::unexpected(buffers.error());
    }
    buffer_rings_.push_back(std::move(*buffers));
    return id;
}

base::MutableBytes UringDriver::buffer(BufferRingId ring, std::int32_t id) {
    RP_ASSERT(ring < buffer_rings_.size() && id >= 0);
    return buffer_rings_[ring]->bytes(static_cast<std::uint32_t>(id));
}

void UringDriver::return_buffer(BufferRingId ring, std::int32_t id) {
    RP_ASSERT(ring < buffer_rings_.size() && id >= 0);
    buffer_rings_[ring]->put_back(static_cast<std::uint32_t>(id));
}

void UringDriver::close(Handle handle) {
    RP_ASSERT(handle >= 0);
    note_opened(handle, false);
    io_uring_sqe& sqe = ring_->next();
    io_uring_prep_close(&sqe, handle);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe.user_data = tagged(Tag::close);
}

// One ring for all letters of a turn: it leaves behind them, when the turn's operations are handed
// over. Where a long turn hands over some in its middle, the target may have looked already.
void UringDriver::ring_doorbell(Driver& other) {
    if (rung_at_ != ring_->calls()) {
        rung_at_ = ring_->calls();
        rung_.clear();
    }
    if (std::ranges::find(rung_, &other) != rung_.end()) {
        return;
    }
    RP_ASSERT(&other != this && rung_.size() < options_.drivers_max);
    rung_.push_back(&other);
    auto& target = static_cast<UringDriver&>(other);
    io_uring_sqe& sqe = ring_->next();
    io_uring_prep_msg_ring(&sqe, target.ring_->descriptor(), 0, tagged(Tag::doorbell), 0);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe.user_data = tagged(Tag::doorbell_out, &target);
    doorbell_leaves(&target);
}

// Also called by other threads.
void UringDriver::wake() {
    if (!woken_.exchange(true)) {
        const std::uint64_t one = 1;
        // The counter is never read back: it would take ages to be full.
        const ssize_t written = ::write(wake_descriptor_, &one, sizeof one);
        RP_ASSERT(written == sizeof one);
    }
}

// The poll triggers at each write and needs no read between, so a wake costs the shard nothing.
void UringDriver::arm_wake() {
    io_uring_sqe& sqe = ring_->next();
    io_uring_prep_poll_multishot(&sqe, wake_descriptor_, POLLIN);
    sqe.user_data = tagged(Tag::wake);
}

void UringDriver::fatal(std::string_view sentence) {
    end_process(sentence);
}

void UringDriver::note_opened(Handle handle, bool writable) {
    if (static_cast<std::size_t>(handle) < writable_.size()) {
        writable_[static_cast<std::size_t>(handle)] = writable;
    }
}

bool UringDriver::opened_for_writing(Handle handle) const {
    return handle >= 0 && static_cast<std::size_t>(handle) < writable_.size() &&
           writable_[static_cast<std::size_t>(handle)];
}

// ---- Completions. No code of the ops' owners runs in here.

void UringDriver::reap() {
    reaped_.clear();
    const std::uint32_t ready = ring_->ready();
    std::uint32_t seen = 0;
    for (; seen < ready && reaped_.size() < options_.reaped_max; ++seen) {
        const io_uring_cqe& cqe = ring_->at(seen);
        if (tag_of(cqe.user_data) != Tag::op) {
            reap_internal(cqe);
            continue;
        }
        Op* const op = pointer_of<Op>(cqe.user_data);
        const Completion completion = finish(*op, cqe);
        if (!completion.more) {
            RP_ASSERT(in_flight_ > 0);
            --in_flight_;
        }
        reaped_.push_back({op, completion});
    }
    ring_->release(seen);
}

Completion UringDriver::finish(const Op& op, const io_uring_cqe& cqe) {
    RP_ASSERT(op.in_flight());
    Completion completion;
    completion.result = cqe.res;
    completion.more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    switch (op.code()) {
        case OpCode::receive_multishot:
            if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
                const std::uint32_t id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
                BufferRing& buffers = *buffer_rings_[op.parameters().ring];
                buffers.take(id);
                if (cqe.res > 0) {
                    completion.buffer = static_cast<std::int32_t>(id);
                } else {
                    // Some kernels use a buffer up to say that the stream ended.
                    buffers.put_back(id);
                }
            }
            RP_ASSERT(completion.buffer >= 0 || cqe.res <= 0);
            break;
        case OpCode::accept_multishot:
            break;
        case OpCode::open:
            if (cqe.res >= 0) {
                note_opened(cqe.res, op.parameters().mode.write);
            }
            RP_ASSERT(!completion.more);
            break;
        default:
            RP_ASSERT(!completion.more);
            break;
    }
    // A cancel that finds an op in the middle of something, on a worker thread, interrupts the
    // worker; nothing else interrupts an op. Depending on the op the kernel's own numbers for "to
    // be restarted" (ERESTARTSYS and so on) come out.
    if (completion.result == -EINTR ||
        (completion.result <= -kFirstRestart && completion.result >= -kLastRestart)) {
        completion.result = -ECANCELED;
    }
    return completion;
}

void UringDriver::reap_internal(const io_uring_cqe& cqe) {
    switch (tag_of(cqe.user_data)) {
        case Tag::doorbell:
            doorbell_came(this);
            return;
        case Tag::doorbell_out:
            // Its ring is off still, or its queue is full: by the other way then.
            pointer_of<UringDriver>(cqe.user_data)->wake();
            return;
        case Tag::wake:
            // Before the owner looks at what it was woken for, so that a wake() from now on writes
            // again.
            woken_.exchange(false);
            if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
                arm_wake();
            }
            return;
        case Tag::cancel:
            // The op was ending by itself (ENOENT, EALREADY): its own completion tells.
            return;
        case Tag::close:
            RP_ASSERT(cqe.res != -EBADF);
            return;
        case Tag::op:
            break;
    }
    RP_PANIC("a completion that belongs to nothing");
}

}  // namespace io
