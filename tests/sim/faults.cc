#include "sim/faults.h"

namespace sim {

namespace {

constexpr std::array<const char*, kFaults> kNames{
    "read_error",    "write_error", "sync_error",      "no_space",       "short_read",
    "short_write",   "slow_disk",   "split",           "short_send",     "short_receive",
    "reset",         "stall",       "connect_refused", "connect_silent", "accept_error",
    "multishot_end", "no_buffers",  "cancel_loses",    "slow_doorbell",  "wall_step",
    "lost_write",    "torn_write",  "lost_name",       "crash",          "kill",
    "peer",
};

// What ends a connection, or the process, comes more seldom, or nothing else gets its turn.
bool is_severe(Fault fault) {
    switch (fault) {
        case Fault::read_error:
        case Fault::write_error:
        case Fault::sync_error:
        case Fault::no_space:
        case Fault::slow_disk:
        case Fault::reset:
        case Fault::stall:
            return true;
        default:
            return false;
    }
}

}  // namespace

const char* name_of(Fault fault) {
    return kNames[static_cast<std::size_t>(fault)];
}

Faults Faults::swarm(base::Prng& prng) {
    constexpr std::array<std::uint32_t, 4> kRates{1'000, 5'000, 20'000, 100'000};
    Faults faults;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Fault::lost_write); ++i) {
        const Fault fault = static_cast<Fault>(i);
        if (prng.chance(1, 2)) {
            const std::uint32_t rate = kRates[prng.below(kRates.size())];
            faults.set(fault, is_severe(fault) ? rate / 50 : rate);
        }
    }
    return faults;
}

std::uint64_t Meetings::of(Fault fault) const {
    std::uint64_t sum = 0;
    for (const auto& [meeting, count] : counts_) {
        sum += meeting.first == fault ? count : 0;
    }
    return sum;
}

std::string Meetings::text() const {
    std::string text;
    for (const auto& [meeting, count] : counts_) {
        text += name_of(meeting.first);
        text += " met ";
        text += meeting.second.empty() ? "-" : meeting.second;
        text += ": " + std::to_string(count) + "\n";
    }
    return text;
}

}  // namespace sim
