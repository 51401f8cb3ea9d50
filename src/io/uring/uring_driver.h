// UringDriver: the production Driver, over one io_uring. Linux 6.1 or newer.
//
// One per shard. create() may run on any thread; the thread of the first wait() is the shard's from
// then on. It is destroyed on any thread, once that one has ended or on itself, with no op in
// flight (cancel, and wait for the completions): what the kernel could still write to must not go.
//
// Each wait() is one io_uring_enter, or none when completions are left from the last turn. Nothing
// is allocated after create(), but by the calls marked "now" for set-up.
// Fatal: the ring itself fails. Panic: a completion that belongs to nothing, a close of a handle
// that is not open, a second thread, an op in flight at the end.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/driver.h"

struct io_uring_cqe;

namespace io {

class BufferRing;
class Ring;

struct UringOptions {
    std::uint32_t submissions = 1024;      // SQEs; more in a turn only cost more system calls
    std::uint32_t completions = 16384;     // CQEs; more at once only cost the kernel allocations
    std::uint32_t reaped_max = 256;        // completions handed out per turn
    std::uint32_t workers_of_files = 8;    // io-wq threads at most, for files
    std::uint32_t workers_of_sockets = 8;  // and for everything else
    std::uint32_t buffer_rings_max = 8;
    std::uint32_t drivers_max = 256;  // other drivers whose doorbell this one may ring
};

class UringDriver final : public Driver {
  public:
    // Fails with a sentence for a person that names the switch to turn.
    [[nodiscard]] static base::Result<std::unique_ptr<UringDriver>> create(
        const UringOptions& options);
    ~UringDriver() override;

    void submit(Op& op) override;
    void cancel(Op& op) override;
    std::span<const Reaped> wait(base::MonoTime deadline) override;

    [[nodiscard]] base::MonoTime now() override;
    [[nodiscard]] base::WallTime wall_now() override;
    void random(base::MutableBytes into) override;

    [[nodiscard]] base::Result<BufferRingId> add_buffer_ring(std::uint32_t count,
                                                             std::uint32_t size) override;
    [[nodiscard]] base::MutableBytes buffer(BufferRingId ring, std::int32_t id) override;
    void return_buffer(BufferRingId ring, std::int32_t id) override;

    [[nodiscard]] base::Result<Handle> listen(const SocketAddress& address,
                                              const ListenOptions& options) override;
    [[nodiscard]] base::Result<Handle> socket(int family, const SocketAddress& source) override;
    [[nodiscard]] SocketAddress local_address(Handle socket) override;
    [[nodiscard]] SocketAddress peer_address(Handle socket) override;
    // Queued, so that it costs no system call of its own: the descriptor is free and the peer
    // hears of it at the next wait().
    void close(Handle handle) override;

    [[nodiscard]] base::Result<std::vector<std::string>> list_directory(Handle directory) override;
    [[nodiscard]] base::Result<std::uint64_t> file_size(Handle file) override;
    void drop_cache(Handle file) override;
    [[nodiscard]] base::Status try_lock(Handle file) override;
    [[nodiscard]] base::Result<SpaceInfo> space(Handle directory) override;

    // At most one message to each driver per turn. REQUIRES: `other` outlives this driver's next
    // wait().
    void ring_doorbell(Driver& other) override;
    void wake() override;

    [[noreturn]] void fatal(std::string_view sentence) override;
    [[nodiscard]] bool dead() const override { return false; }

    [[nodiscard]] const DriverCounters& counters() const override { return counters_; }

  private:
    explicit UringDriver(const UringOptions& options);

    void arm_wake();
    [[nodiscard]] base::Duration left_until(base::MonoTime deadline);
    void reap();
    void reap_internal(const io_uring_cqe& cqe);
    [[nodiscard]] Completion finish(const Op& op, const io_uring_cqe& cqe);
    void note_opened(Handle handle, bool writable);
    [[nodiscard]] bool opened_for_writing(Handle handle) const;

    UringOptions options_;
    std::unique_ptr<Ring> ring_;
    std::vector<std::unique_ptr<BufferRing>> buffer_rings_;
    std::vector<Reaped> reaped_;       // of this turn; reserved in full
    std::vector<msghdr> headers_;      // of send_vector, one for each place of the queue
    std::vector<bool> writable_;       // by descriptor: opened here for writing, so a plain file
    std::vector<Driver*> rung_;        // doorbells that are queued; reserved in full
    std::uint64_t rung_at_ = 0;        // Ring::calls() when they were
    std::uint64_t in_flight_ = 0;      // ops that the kernel, or the queue to it, has
    int wake_descriptor_ = -1;         // an eventfd
    std::atomic<bool> woken_ = false;  // wake() wrote to it and the shard has not yet seen that
    std::array<std::byte, 256> entropy_{};
    std::size_t entropy_left_ = 0;  // at the end of entropy_
    base::MonoTime now_ = now();    // as it was read last
    DriverCounters counters_;
};

}  // namespace io
