// Plan: what one seed's run is made of: the relay's configuration, which faults are on and how
// often, what clients and next hops do, when the host crashes. A swarm: most things are off or rare
// in any one seed, since a run in which everything fails never gets deep.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "app/relay_settings.h"
#include "base/prng.h"
#include "base/time.h"
#include "sim/faults.h"
#include "sim/network.h"
#include "sim/world.h"

namespace sim::relay {

// Odds are per thousand.
struct ClientOdds {
    std::uint32_t pipelining = 0;  // per session
    std::uint32_t chunks = 0;      // BDAT instead of DATA, per message
    std::uint32_t stranger = 0;    // per session: not of the relay's networks
    std::uint32_t noise = 0;       // a command that brings no mail forward, before each message
    std::uint32_t reset = 0;       // RSET instead of the end of a message
    std::uint32_t abort = 0;       // gone in mid-content
    std::uint32_t vanish = 0;      // gone between the end of content and its answer
    std::uint32_t leave = 0;       // gone in mid-envelope
    std::uint32_t null_path = 0;
    std::uint32_t eight_bit = 0;
    std::uint32_t dsn = 0;  // asks for notifications by RFC 3461's parameters
    std::uint32_t large = 0;
    std::uint32_t too_large = 0;
    std::uint32_t many_recipients = 0;  // more than the limit
    std::uint32_t bad_recipient = 0;    // one among others that is to be refused
    std::uint32_t slow = 0;             // per session: pauses between all that it sends
};

// Of each step of a conversation with a next hop.
struct HopOdds {
    std::uint32_t greeting = 0;      // 554, 421, or closed without a word
    std::uint32_t hello = 0;         // EHLO refused
    std::uint32_t later = 0;         // 4xx
    std::uint32_t never = 0;         // 5xx
    std::uint32_t closing = 0;       // 421 and closed
    std::uint32_t close = 0;         // closed without a word
    std::uint32_t close_inside = 0;  // in mid-content
    std::uint32_t lost_answer = 0;   // takes the message, and closes without saying so
    std::uint32_t slow = 0;          // answers late
    std::uint32_t slow_end = 0;      // answers late to a whole message
    std::uint32_t too_slow = 0;  // of those: maybe after the time that the relay waits, or never
    std::uint32_t chunk = 0;     // 4xx, 5xx or a mishap at a chunk that is not the last
    std::uint32_t broken = 0;    // what is no reply, or none that fits
    std::uint32_t too_many = 0;  // 452 behind accepted recipients
};

struct HopPlan {
    std::string address;
    bool pipelining = true;
    bool chunking = true;
    bool eight_bit = true;
    bool dsn = true;
    Silence away = Silence::refuse;    // what its address does while it is away
    bool extended = true;              // false: EHLO is unknown to it
    std::uint64_t size_bytes_max = 0;  // it says SIZE with that; 0: without a limit
    HopOdds odds;
};

enum class EndKind : std::uint8_t {
    power,                // the host loses power
    power_at_write,       // … within a few events of a write to the log
    power_at_ack,         // … of a 250 that leaves
    power_at_taken,       // … of a next hop's 250
    power_at_name,        // … of a rename or an unlink
    power_at_checkpoint,  // … while a checkpoint is written
    power_at_cleaning,    // … while mail is moved
    kill,                 // kill -9
    kill_at_write,  // … while a write to the log is slow, so that it still goes on at the restart
    stop,           // SIGTERM, and a start; sometimes the power fails meanwhile
};

struct PlannedEnd {
    base::Duration at{};
    EndKind kind = EndKind::power;
    // So many events after the next start the power fails again; 0: it does not.
    std::uint64_t again_after_events = 0;
};

struct Plan {
    std::uint64_t seed = 0;
    sim::Options world;  // its faults are those of the storm
    app::RelaySettings settings;
    // What the oracle computes with, instead of the relay's own policy.
    std::vector<base::Duration> waits;  // behind the first, second, … attempt; the last one repeats
    std::uint32_t jitter = 0;           // of each wait so many per cent more, at most
    base::Duration expiry{};
    base::Duration delay_notice{};  // zero: none
    [[nodiscard]] base::Duration wait_after(std::uint32_t attempts) const {
        return waits.at(std::min<std::size_t>(attempts, waits.size()) - 1);
    }
    [[nodiscard]] base::Duration longest_wait_after(std::uint32_t attempts) const {
        return wait_after(attempts) * (100 + jitter) / 100;
    }
    // Each start has another number of shards, so that partitions change hands.
    bool shards_change = false;
    // Now and then the newest checkpoint is found damaged at a start; the one before it never is.
    bool checkpoints_rot = false;

    std::uint32_t sessions = 0;  // of clients
    ClientOdds client;
    std::uint64_t content_bytes_max = 0;
    std::vector<HopPlan> hops;  // in the route's order
    // How often a next hop goes away or comes back.
    base::Duration hop_changes{};
    std::vector<PlannedEnd> ends;
    // How often the operator gives a rule over the queue; zero: never.
    base::Duration rules{};
    base::Duration storm{};
    // Behind the storm all that is wrong is over, but for this.
    bool first_hop_stays_down = false;

    [[nodiscard]] bool on(Fault fault) const { return world.faults.rate(fault) > 0; }
    // The limits of notifications are so low that word of failures waits for its minute; word of
    // delays and hand-overs may be dropped.
    bool notifications_are_few = false;
    // A message or command may be refused for want of room, memory or slots.
    bool may_be_short = false;
    // … of room on the disk; of memory or slots.
    [[nodiscard]] bool disk_may_be_full() const;
    [[nodiscard]] bool store_may_be_busy() const;
    // Connections may break, or be given up, with nobody to blame.
    [[nodiscard]] bool network_breaks() const { return on(Fault::reset) || on(Fault::stall); }

    // The whole run in one paragraph.
    [[nodiscard]] std::string text() const;

    [[nodiscard]] static Plan of(std::uint64_t seed);
};

inline constexpr const char* kRelayAddress = "10.0.0.1:25";
inline constexpr const char* kRelayName = "relay.test";
inline constexpr std::uint64_t kMuchDiskBytes = std::uint64_t{1} << 40U;  // more than a run needs
inline constexpr base::Duration kStallMost = std::chrono::seconds(45);

}  // namespace sim::relay
