// SimDriver: io::Driver over the simulated world. One per shard of a simulated host's program,
// owned by the host; see world.h for how turns and wait() go together, and host.h for what happens
// when the program dies.
//
// Stricter than the kernel where that finds bugs: the memory of a write must not change while it is
// in flight (Panic), a buffer's bytes are spoilt when it goes back to its ring, a handle is never
// used again, and closing one with an operation in flight is a Panic.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/prng.h"
#include "io/driver.h"
#include "sim/host.h"
#include "sim/world.h"

namespace sim {

class SimDriver final : public io::Driver {
  public:
    SimDriver(Host& host, Process& process, std::size_t index);
    ~SimDriver() override;

    // The shard's turn: wait() once, finish what it gave, run what became ready. Called by the
    // world whenever wait() would not block.
    void set_turn(std::function<void()> turn);

    void submit(io::Op& op) override;
    void cancel(io::Op& op) override;
    std::span<const io::Reaped> wait(base::MonoTime deadline) override;
    [[nodiscard]] base::MonoTime now() override;
    [[nodiscard]] base::WallTime wall_now() override;
    void random(base::MutableBytes into) override;
    [[nodiscard]] base::Result<io::BufferRingId> add_buffer_ring(std::uint32_t count,
                                                                 std::uint32_t size) override;
    [[nodiscard]] base::MutableBytes buffer(io::BufferRingId ring, std::int32_t id) override;
    void return_buffer(io::BufferRingId ring, std::int32_t id) override;
    [[nodiscard]] base::Result<io::Handle> listen(const io::SocketAddress& address,
                                                  const io::ListenOptions& options) override;
    [[nodiscard]] base::Result<io::Handle> socket(int family,
                                                  const io::SocketAddress& source) override;
    [[nodiscard]] io::SocketAddress local_address(io::Handle socket) override;
    [[nodiscard]] io::SocketAddress peer_address(io::Handle socket) override;
    void close(io::Handle handle) override;
    [[nodiscard]] base::Result<std::vector<std::string>> list_directory(
        io::Handle directory) override;
    [[nodiscard]] base::Result<std::uint64_t> file_size(io::Handle file) override;
    void drop_cache(io::Handle file) override;
    [[nodiscard]] base::Status try_lock(io::Handle file) override;
    [[nodiscard]] base::Result<io::SpaceInfo> space(io::Handle directory) override;
    void ring_doorbell(io::Driver& other) override;
    void wake() override;
    void fatal(std::string_view sentence) override;
    [[nodiscard]] bool dead() const override;
    [[nodiscard]] const io::DriverCounters& counters() const override { return counters_; }

    [[nodiscard]] Host& host() { return host_; }
    [[nodiscard]] std::size_t index() const { return index_; }
    // Submitted and not yet given back by wait().
    [[nodiscard]] std::size_t in_flight() const { return flights_.size(); }
    // Buffers of all rings that the program holds.
    [[nodiscard]] std::size_t leases_out() const;

  private:
    friend class Host;

    enum class Phase : std::uint8_t { queued, started, completed };
    // One operation between submit() and its last completion.
    struct Flight {
        io::Op* op;
        io::OpCode code;
        io::Op::Parameters parameters;
        Phase phase = Phase::queued;
        bool waits = false;            // sockets: for what the socket may bring
        bool attempt_planned = false;  // sockets: an event will look whether it can go on
        bool attempted = false;        // sockets: it has been tried once
        bool no_cancel = false;        // files: too far to be cancelled
        EventId event;                 // files: when it takes effect
        std::uint64_t write = 0;       // files: the disk's name for a write in flight
        std::shared_ptr<OpenFile> file;
    };
    struct BufferRing {
        std::uint32_t size;
        std::vector<std::unique_ptr<std::byte[]>> memory;  // each made when it is first used
        std::deque<std::int32_t> free;
        std::vector<bool> out;
        [[nodiscard]] base::MutableBytes bytes(std::int32_t id);
    };
    struct Done {
        FlightId id;
        io::Reaped reaped;
    };

    // sim_driver.cc
    void hand_over();
    void start(FlightId id);
    void complete(FlightId id, std::int32_t result);
    void complete_more(FlightId id, std::int32_t result, std::int32_t buffer, bool more);
    void complete_soon(FlightId id, std::int32_t result);
    void cancel_started(FlightId id);
    void plan_turn(base::MonoTime time);
    void take_turn();
    void take_dead_turn();
    void ring();
    void drive_until_due(base::MonoTime deadline);
    [[nodiscard]] std::span<const io::Reaped> reap();
    [[nodiscard]] std::span<const io::Reaped> reap_dead(base::MonoTime deadline);
    [[nodiscard]] Process::Entry* entry(io::Handle handle);
    [[nodiscard]] base::Result<io::Handle> add_entry(Process::Entry entry);
    // The flight while it is with the kernel, else nullptr.
    [[nodiscard]] Flight* started(FlightId id);
    // Calls `then` on this driver after `delay`, unless its program has died by then.
    EventId later(base::Duration delay, const char* label,
                  std::function<void(SimDriver& driver)> then);

    // sim_driver_files.cc
    void start_file(FlightId id, Flight& flight);
    void start_read(FlightId id, Flight& flight);
    void start_write(FlightId id, Flight& flight);
    void start_sync(FlightId id, Flight& flight);
    void start_allocate(FlightId id, Flight& flight);
    void start_open(FlightId id, Flight& flight, Disk::Inode directory);
    void start_names(FlightId id, Flight& flight);
    void cancel_file(FlightId id, Flight& flight);
    // Runs `effect` when the operation takes effect, whether the program lives then or not, and
    // completes it with what that gives.
    void in_a_while(FlightId id, Flight& flight, base::Duration delay, const char* label,
                    std::function<std::int32_t()> effect);
    [[nodiscard]] base::Duration disk_delay(io::OpCode code,
                                            const std::optional<Injection>& injection);

    // sim_driver_sockets.cc
    void start_socket(FlightId id, Flight& flight);
    void plan_attempt(FlightId id);
    void attempt(FlightId id);
    void attempt_accept(FlightId id, Flight& flight, EndpointId listener);
    void tell_bytes(EndpointId endpoint, bool sent, base::Bytes bytes);
    void attempt_receive_multishot(FlightId id, Flight& flight, EndpointId endpoint);
    // Nothing while it has to wait.
    [[nodiscard]] std::optional<std::int32_t> try_once(Flight& flight, EndpointId endpoint);
    [[nodiscard]] std::optional<std::int32_t> try_send(Flight& flight, EndpointId endpoint);
    [[nodiscard]] bool is_first_of_its_kind(FlightId id, const Flight& flight) const;
    [[nodiscard]] Network::Changed changed_callback(io::Handle handle);
    // Something happened to the socket: whoever waits on it looks again.
    static void changed(Process& process, io::Handle handle);

    Host& host_;
    World& world_;
    Process& process_;
    std::size_t index_;
    base::Prng secrets_;
    std::function<void()> turn_;

    std::map<FlightId, Flight> flights_;
    std::map<const io::Op*, FlightId> by_op_;  // look-up only: its order has no meaning
    std::vector<FlightId> queued_;
    std::vector<FlightId> cancels_;
    std::vector<SimDriver*> doorbells_;
    std::deque<Done> completed_;
    std::vector<io::Reaped> given_;
    std::vector<std::unique_ptr<BufferRing>> rings_;

    base::MonoTime deadline_ = base::kNever;
    base::MonoTime busy_until_{};
    EventId turn_event_{};
    // A dead program's clock runs ahead to what it waits for, so that its timers fire while it is
    // unwound.
    base::Duration dead_ahead_{};
    bool rung_ = false;     // since the last wait()
    bool gave_ = false;     // the last wait() gave something
    bool in_turn_ = false;  // the world called turn_
    io::DriverCounters counters_;
};

}  // namespace sim
