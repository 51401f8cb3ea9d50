// World: a simulated network, disks and clock, run from one seed on one thread. Everything that
// happens is an event in one queue; the same seed and the same program give the same events, and
// trace_hash() shows it.
//
//   sim::World world(seed, options);
//   sim::Host& host = world.add_host("relay");
//   host.set_program({.start = [&] { … host.add_driver() per shard, driver.set_turn(…) … },
//                     .end = [&] { … destroys what start built … }});
//   host.start();
//   world.crash_at_event(host, 17);          // power cut before the 17th event; then a restart
//   world.run_until([&] { return done; }, std::chrono::minutes(10));
//
// A turn of a shard is an event too. During a turn SimDriver::wait() does not block: it notes the
// deadline, gives what has completed, and the world calls the turn again when there is more, the
// deadline has come or the doorbell rang. Outside of run() wait() drives the world itself until
// something completed, so a plain test or a shard's own loop works over a SimDriver as well.
//
// Whatever decides (chance, order, time) comes from the seed; nothing depends on addresses in
// memory.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/prng.h"
#include "base/time.h"
#include "sim/disk.h"
#include "sim/event_queue.h"
#include "sim/faults.h"

namespace sim {

class Host;
class Network;

struct Options {
    Faults faults;
    Disk::Options disk;  // of hosts made by add_host()

    Span ring_latency{std::chrono::nanoseconds(200), std::chrono::microseconds(5)};
    Span disk_latency{std::chrono::microseconds(5), std::chrono::microseconds(500)};
    Span network_latency{std::chrono::microseconds(10), std::chrono::milliseconds(2)};
    Span turn_cost{std::chrono::microseconds(1), std::chrono::microseconds(20)};
    Span restart_delay{std::chrono::milliseconds(100), std::chrono::seconds(2)};
    Span slow_disk_time{std::chrono::milliseconds(5), std::chrono::seconds(2)};
    Span stall_time{std::chrono::milliseconds(100), std::chrono::minutes(6)};
    base::Duration connect_timeout = std::chrono::seconds(130);
    // What a connection holds in each direction, sent but not yet read. Drawn per connection.
    std::uint32_t socket_buffer_least = 64 * 1024;
    std::uint32_t socket_buffer_most = 256 * 1024;
    // A process's open handles; more give EMFILE.
    std::uint32_t handles_max = 1 << 20;
    // Completions that one wait() gives.
    std::uint32_t budget_per_turn = 256;
    // 2026-01-01 00:00 UTC.
    base::WallTime wall_start = base::wall_from_unix_ms(1'767'225'600'000);
    // Each event as a line, for a person; nullptr: none.
    std::FILE* log = nullptr;
};

class World {
  public:
    explicit World(std::uint64_t seed, Options options = {});
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World();

    [[nodiscard]] std::uint64_t seed() const { return seed_; }
    [[nodiscard]] const Options& options() const { return options_; }
    // Faults may be changed while it runs: none at the end, to see the queue empty.
    void set_faults(const Faults& faults) { options_.faults = faults; }
    [[nodiscard]] base::Prng& prng() { return prng_; }
    [[nodiscard]] base::MonoTime now() const { return now_; }
    [[nodiscard]] base::WallTime wall_now() const {
        return options_.wall_start + wall_offset_ + now_.time_since_epoch();
    }
    void step_wall(base::Duration by) { wall_offset_ += by; }

    [[nodiscard]] Network& network() { return *network_; }
    // Lives as long as the world.
    Host& add_host(std::string name);

    // Things to come. `label` is a literal and part of the trace.
    EventId at(base::MonoTime time, const char* label, std::function<void()> happen);
    EventId after(base::Duration delay, const char* label, std::function<void()> happen) {
        return at(now_ + delay, label, std::move(happen));
    }
    bool take_back(const EventId& id) { return queue_.remove(id); }

    // Runs one event; false when there is none left.
    bool step();
    // Runs until `done` (looked at after each event; may be empty), until nothing is left to happen
    // or `longest` of virtual time has passed. True when `done` says so.
    bool run_until(const std::function<bool()>& done, base::Duration longest);
    // Runs for `time` of virtual time.
    void run_for(base::Duration time) { run_until({}, time); }

    // How many events there have been.
    [[nodiscard]] std::uint64_t events() const { return events_; }
    // Cuts the host's power just before event number `event` (they count from 0): at any moment
    // there is, since between two events nothing happens. `crash_seed` decides what survives; none:
    // the world's own chance.
    void crash_at_event(Host& host, std::uint64_t event,
                        std::optional<std::uint64_t> crash_seed = {});

    // Folds into the hash, and writes to the log. Everything that can differ between two runs goes
    // here.
    void trace(const char* label, std::uint64_t a = 0, std::uint64_t b = 0);
    void trace_bytes(const char* label, base::Bytes bytes);
    [[nodiscard]] std::uint64_t trace_hash() const { return hash_; }

    // True with the fault's rate; counted against `state`, or against what the probe makes of it.
    [[nodiscard]] bool fault(Fault fault, std::string_view state);
    void count(Fault fault, std::string_view state);
    using Probe = std::function<std::string(Fault fault, std::string_view state)>;
    void set_probe(Probe probe) { probe_ = std::move(probe); }
    [[nodiscard]] const Meetings& meetings() const { return meetings_; }

    [[nodiscard]] base::Duration draw(const Span& span);

  private:
    friend class Host;
    friend class SimDriver;

    struct PlannedCrash {
        Host* host;
        std::uint64_t event;
        std::optional<std::uint64_t> seed;
    };

    void crash_where_planned();
    void settle_dead_hosts();

    std::uint64_t seed_;
    Options options_;
    base::Prng prng_;
    base::MonoTime now_{};
    base::Duration wall_offset_{};
    EventQueue queue_;
    std::unique_ptr<Network> network_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<PlannedCrash> planned_crashes_;
    Meetings meetings_;
    Probe probe_;
    std::uint64_t events_ = 0;
    std::uint64_t hash_ = 0;
};

}  // namespace sim
