// Faults: what the simulated world does to the program, and how often. All zero (the default) is a
// calm world: everything still takes a random while, so that completions overtake each other, but
// nothing fails, tears, splits or comes short. A swarm turns a random subset on, each at a random
// rate, since a seed in which everything fails never gets deep.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/prng.h"
#include "base/time.h"

namespace sim {

// The order is that of the names in faults.cc.
enum class Fault : std::uint8_t {
    // Disk.
    read_error,   // a read gives EIO
    write_error,  // a write gives EIO; any part of it may be on the disk
    sync_error,   // a sync gives EIO, and what it should have made durable never will be
    no_space,     // a write or an allocation that needs new blocks gives ENOSPC
    short_read,
    short_write,
    slow_disk,  // an operation takes `slow_disk_time`
    // Network.
    split,            // a send arrives in several pieces
    short_send,       // the socket takes fewer bytes than it has room for
    short_receive,    // a receive gives fewer bytes than there are
    reset,            // the connection breaks; both ends see ECONNRESET
    stall,            // nothing arrives for `stall_time`
    connect_refused,  // ECONNREFUSED though somebody listens
    connect_silent,   // a connect that nobody answers: ETIMEDOUT after `connect_timeout`
    accept_error,     // an accept gives EMFILE
    // The ring.
    multishot_end,  // a multishot operation completes without `more`, for no reason
    no_buffers,     // ENOBUFS though there are buffers
    cancel_loses,   // the operation completes with its own result though it was cancelled in time
    slow_doorbell,  // a doorbell takes long
    // The rest.
    wall_step,  // the wall clock jumps by up to a day, either way
    // Not drawn but done by the world; here to be counted.
    lost_write,  // a crash dropped a sector that was not durable
    torn_write,  // a crash kept a part of a write
    lost_name,   // a crash dropped a directory change that was not durable
    crash,       // the host lost power
    kill,        // the process ended, the host went on
    peer,        // a scripted client or server did something out of the ordinary
    count_,
};
constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::count_);
[[nodiscard]] const char* name_of(Fault fault);

// Probabilities are per million occasions.
class Faults {
  public:
    [[nodiscard]] static Faults none() { return {}; }
    // About half of all faults, each at a rate between 0.1 % and 10 %; resets and errors rarer.
    [[nodiscard]] static Faults swarm(base::Prng& prng);

    Faults& set(Fault fault, std::uint32_t per_million) {
        rates_[static_cast<std::size_t>(fault)] = per_million;
        return *this;
    }
    [[nodiscard]] std::uint32_t rate(Fault fault) const {
        return rates_[static_cast<std::size_t>(fault)];
    }

  private:
    std::array<std::uint32_t, kFaults> rates_{};
};

// How often each fault met each state: the label of the connection that was hit, where it has one
// (Network::set_label), else the name of the operation; or what the world's probe makes of that.
class Meetings {
  public:
    using Counts = std::map<std::pair<Fault, std::string>, std::uint64_t>;

    void add(Fault fault, std::string state) { ++counts_[{fault, std::move(state)}]; }
    void add(const Meetings& other) {
        for (const auto& [meeting, count] : other.counts_) {
            counts_[meeting] += count;
        }
    }
    [[nodiscard]] const Counts& counts() const { return counts_; }
    [[nodiscard]] std::uint64_t of(Fault fault) const;
    // One line per fault and state, for the output of a run.
    [[nodiscard]] std::string text() const;

  private:
    Counts counts_;
};

// Times in which a thing happens: uniform between the two.
struct Span {
    base::Duration least{};
    base::Duration most{};
};

}  // namespace sim
