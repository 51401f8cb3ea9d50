// Host: a simulated machine with one disk, which runs one program at a time: any number of shards,
// a SimDriver each, and one table of handles. The program may end in three ways; after each it is
// unwound with all its effects discarded, and started again after a while:
//  - crash(): the power fails. The disk keeps what Disk::crash() says; peers see a reset, or
//    silence until the host is up again;
//  - kill(): as kill -9. The kernel goes on: writes in flight still reach the disk, and hold the
//    file's lock until they have; what changes names is done by workers, which share the table of
//    files, so all locks are held until it is through (seen on Linux 6.18: a killed process keeps
//    its flock while a rename of its ring hangs in a frozen file system); unread sockets reset,
//    others close;
//  - Driver::fatal(): as kill(), with a sentence.
// A dead program's shards get every operation back with ECANCELED, and their clocks run ahead to
// whatever they wait for, in turns that the world calls until nothing is in flight and
// Program::unwound says so; then Program::end destroys it. What it does meanwhile has no effect.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "io/op.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/world.h"

namespace sim {

class SimDriver;

// Both may be empty: then a test drives the drivers by itself.
struct Program {
    std::function<void()> start;  // adds the drivers and builds what runs on them
    std::function<void()> end;    // destroys it; the drivers end right after. REQUIRES: afterwards
                                  // no operation is in flight
    std::function<bool()> unwound = {};  // a dead program needs no more turns; may be empty
    bool end_unwinds = false;  // `end` itself turns a dead program's shards until nothing is in
                               // flight: for a program that arms anew what is cancelled
};

// A fault at a chosen operation, for directed tests.
struct Injection {
    io::OpCode code = io::OpCode::none;
    std::uint32_t skip = 0;                    // operations of that code to let pass first
    int error = 0;                             // the errno it gets; 0: none
    std::optional<std::uint64_t> bytes = {};   // with error 0: how many bytes it does at most
    std::optional<base::Duration> delay = {};  // how long it takes (files only)
};

// One operation of a program between submit() and its last completion; they count up.
using FlightId = std::uint64_t;

// One program's table of handles, shared by its shards. Handles are never used again, so that the
// use of a closed one shows.
struct Process {
    struct Entry {
        std::shared_ptr<OpenFile> file;  // or
        EndpointId endpoint = kNoEndpoint;
    };
    using Files = std::vector<std::shared_ptr<OpenFile>>;
    std::uint64_t generation = 0;
    bool dead = false;
    std::map<io::Handle, Entry> entries;
    // What a killed program had open; shared with its workers, who still do what they had begun.
    std::shared_ptr<Files> left_open = std::make_shared<Files>();
    io::Handle next_handle = 3;
    FlightId next_flight = 1;
    // Who uses a handle: the operations on it and their drivers' indices.
    std::map<io::Handle, std::map<FlightId, std::size_t>> users;
    std::vector<std::unique_ptr<SimDriver>> drivers;
};

class Host {
  public:
    Host(World& world, std::string name);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host();

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] World& world() { return world_; }
    [[nodiscard]] Disk& disk() { return disk_; }

    void set_program(Program program) { program_ = std::move(program); }
    // Builds the program now. REQUIRES: none is running.
    void start();
    // Ends it as it should end: the test has stopped the program, nothing is in flight.
    void stop();
    // Whether a dead program is started again after Options::restart_delay. True at first.
    void set_restart(bool restart) { restart_ = restart; }

    // Of the program that is being started, or of a test's own. It lives until the program has
    // ended.
    SimDriver& add_driver();
    [[nodiscard]] std::vector<SimDriver*> drivers();

    void crash(std::optional<std::uint64_t> seed = {});
    void kill();
    // Unwinds a dead program to its end, now. World::run_until() does it by itself.
    void settle();

    [[nodiscard]] bool running() const { return process_ != nullptr && !process_->dead; }
    // What fatal() said last, else "".
    [[nodiscard]] const std::string& fatal_sentence() const { return fatal_sentence_; }
    [[nodiscard]] std::uint64_t starts() const { return starts_; }
    [[nodiscard]] std::uint64_t crashes() const { return crashes_; }
    [[nodiscard]] const Disk::CrashCounts& last_crash() const { return last_crash_; }

    // Faults at chosen operations, in the order given.
    void inject(const Injection& injection) { injections_.push_back(injection); }
    [[nodiscard]] std::size_t injections_left() const { return injections_.size(); }
    // Looks at each operation as it is handed to the kernel; for counting, for directed crashes,
    // and for oracles that must know before a peer does.
    std::function<void(const io::Op&)> on_start;
    // Bytes that the program has sent over a connection, or received.
    std::function<void(EndpointId, bool sent, base::Bytes)> on_bytes;

    // At rest nothing is left over: no operation, no handle, no lease.
    [[nodiscard]] std::size_t operations_in_flight() const;
    [[nodiscard]] std::size_t open_handles() const;
    [[nodiscard]] std::size_t open_sockets() const;
    // Of a socket of the running program; kNoEndpoint when it is none.
    [[nodiscard]] EndpointId endpoint_of(io::Handle handle) const;

  private:
    friend class SimDriver;
    friend class World;

    void die(const char* label);
    [[nodiscard]] std::optional<Injection> injection_for(io::OpCode code);
    // nullptr when that program is gone or dead.
    [[nodiscard]] SimDriver* driver_of(std::uint64_t generation, std::size_t index);
    void plan_restart();

    World& world_;
    std::string name_;
    Disk disk_;
    Program program_;
    std::unique_ptr<Process> process_;
    std::deque<Injection> injections_;
    std::vector<EndpointId> vanished_;
    std::string fatal_sentence_;
    Disk::CrashCounts last_crash_;
    std::uint64_t generation_ = 0;
    std::uint64_t starts_ = 0;
    std::uint64_t crashes_ = 0;
    bool restart_ = true;
    bool settling_ = false;
};

}  // namespace sim
