// Driver: the one seam between the program and the kernel, the clock and chance. UringDriver is
// production; SimDriver (tests/sim) is a simulated world run from a seed. Nothing above this header
// calls the system by itself.
//
// One driver per shard; all calls come from that shard's thread, except wake(). Calls marked "now"
// act at once and never block for long; they are meant for set-up, accept and close. Everything
// else goes through submit().
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "io/address.h"
#include "io/op.h"

namespace io {

struct Reaped {
    Op* op;
    Completion completion;
};

struct ListenOptions {
    std::uint32_t backlog = 4096;
    bool reuse_port =
        true;  // each shard has its own socket on the address; the kernel spreads connections
};

struct SpaceInfo {
    std::uint64_t free_bytes = 0;  // what an unprivileged process may still take
    std::uint64_t total_bytes = 0;
};

// Counts since the start, for metrics and benchmarks.
struct DriverCounters {
    std::uint64_t turns = 0;      // calls of wait()
    std::uint64_t submitted = 0;  // ops handed over
    std::uint64_t completed = 0;  // completions reaped
};

class Driver {
  public:
    Driver() = default;
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
    virtual ~Driver() = default;

    // Queues `op`; the kernel sees it at the next wait(). Always completes later, never inside the
    // call.
    virtual void submit(Op& op) = 0;
    // Asks for an early end. The op still completes exactly once more: with ECANCELED, or with its
    // own result when that came first. Nothing when it is not in flight. Only that last completion
    // ends the driver's use of its memory.
    virtual void cancel(Op& op) = 0;
    // Hands over what was queued, in one system call, and waits until something completed,
    // `deadline` passed, or the doorbell rang. Gives completions in the order the kernel gave them,
    // at most the driver's budget per turn (the rest comes with the next call, which then does not
    // wait). The span holds until the next call.
    virtual std::span<const Reaped> wait(base::MonoTime deadline) = 0;

    [[nodiscard]] virtual base::MonoTime now() = 0;
    [[nodiscard]] virtual base::WallTime wall_now() = 0;
    // Unpredictable bytes, fit for secrets.
    virtual void random(base::MutableBytes into) = 0;

    // A ring of `count` (a power of two, at most 32768) buffers of `size` bytes for
    // receive_multishot. Buffers that are out belong to the caller until return_buffer(). When none
    // is left, receives end with ENOBUFS.
    [[nodiscard]] virtual base::Result<BufferRingId> add_buffer_ring(std::uint32_t count,
                                                                     std::uint32_t size) = 0;
    [[nodiscard]] virtual base::MutableBytes buffer(BufferRingId ring, std::int32_t id) = 0;
    virtual void return_buffer(BufferRingId ring, std::int32_t id) = 0;

    // Sockets, now. All are streams, non-blocking for the caller, close-on-exec, with TCP_NODELAY.
    [[nodiscard]] virtual base::Result<Handle> listen(const SocketAddress& address,
                                                      const ListenOptions& options) = 0;
    // `source`: the local address to bind, or an empty one.
    [[nodiscard]] virtual base::Result<Handle> socket(int family, const SocketAddress& source) = 0;
    [[nodiscard]] virtual SocketAddress local_address(Handle socket) = 0;
    [[nodiscard]] virtual SocketAddress peer_address(Handle socket) = 0;
    // Gives the handle up, of a socket or a file; at the latest the next wait() carries it out (so
    // a lock or an address may be taken until then). REQUIRES: no op on it is in flight (cancel,
    // then wait for the completion).
    virtual void close(Handle handle) = 0;

    // Files, now: for the start and the control of a spool.
    // Names in a directory without "." and "..", in no order.
    [[nodiscard]] virtual base::Result<std::vector<std::string>> list_directory(
        Handle directory) = 0;
    [[nodiscard]] virtual base::Result<std::uint64_t> file_size(Handle file) = 0;
    // Forgets what the system caches of the file and need not write: what is read next is what the
    // disk holds. A failed sync leaves pages that look clean and are not on the disk.
    virtual void drop_cache(Handle file) = 0;
    // An exclusive lock on the open file; EWOULDBLOCK when another open of it holds one. Held until
    // the handle is closed and no operation of the kernel's on it is left.
    [[nodiscard]] virtual base::Status try_lock(Handle file) = 0;
    [[nodiscard]] virtual base::Result<SpaceInfo> space(Handle directory) = 0;

    // Ends the other shard's wait. Called on this driver's thread; `other` is of the same kind.
    virtual void ring_doorbell(Driver& other) = 0;
    // Ends this driver's wait. The one call that any thread may make.
    virtual void wake() = 0;

    // The environment broke (a failed sync, a lost ring): says so and ends the process with exit
    // code 75. In the simulator it returns, with every later effect of this program discarded: so
    // the caller must return to the loop right after it.
    virtual void fatal(std::string_view sentence) = 0;
    // True after fatal() returned (simulator only); the loop ends.
    [[nodiscard]] virtual bool dead() const = 0;

    [[nodiscard]] virtual const DriverCounters& counters() const = 0;
};

// Owns a handle and closes it. Move-only.
class OwnedHandle {
  public:
    OwnedHandle() = default;
    OwnedHandle(Driver& driver, Handle handle) : driver_(&driver), handle_(handle) {}
    OwnedHandle(OwnedHandle&& other) noexcept
        : driver_(other.driver_), handle_(std::exchange(other.handle_, kNoHandle)) {}
    OwnedHandle& operator=(OwnedHandle&& other) noexcept {
        if (this != &other) {
            reset();
            driver_ = other.driver_;
            handle_ = std::exchange(other.handle_, kNoHandle);
        }
        return *this;
    }
    ~OwnedHandle() { reset(); }

    [[nodiscard]] Handle get() const { return handle_; }
    [[nodiscard]] explicit operator bool() const { return handle_ >= 0; }
    [[nodiscard]] Handle release() { return std::exchange(handle_, kNoHandle); }
    void reset() {
        if (handle_ >= 0) {
            driver_->close(std::exchange(handle_, kNoHandle));
        }
    }

  private:
    Driver* driver_ = nullptr;
    Handle handle_ = kNoHandle;
};

// A buffer that the kernel filled, until it goes back to its ring. Move-only; `bytes()` is what was
// received.
class Lease {
  public:
    Lease() = default;
    Lease(Driver& driver, BufferRingId ring, const Completion& completion)
        : driver_(&driver), id_(completion.buffer), size_(completion.result), ring_(ring) {
        RP_ASSERT(completion.buffer >= 0 && completion.result >= 0);
    }
    Lease(Lease&& other) noexcept
        : driver_(other.driver_),
          id_(std::exchange(other.id_, -1)),
          size_(other.size_),
          ring_(other.ring_) {}
    Lease& operator=(Lease&& other) noexcept {
        if (this != &other) {
            reset();
            driver_ = other.driver_;
            id_ = std::exchange(other.id_, -1);
            size_ = other.size_;
            ring_ = other.ring_;
        }
        return *this;
    }
    ~Lease() { reset(); }

    [[nodiscard]] explicit operator bool() const { return id_ >= 0; }
    [[nodiscard]] base::Bytes bytes() const {
        return id_ < 0 ? base::Bytes()
                       : base::Bytes(driver_->buffer(ring_, id_))
                             .first(static_cast<std::size_t>(size_));
    }
    void reset() {
        if (id_ >= 0) {
            driver_->return_buffer(ring_, std::exchange(id_, -1));
        }
    }

  private:
    Driver* driver_ = nullptr;
    std::int32_t id_ = -1;
    std::int32_t size_ = 0;
    BufferRingId ring_ = 0;
};

}  // namespace io
