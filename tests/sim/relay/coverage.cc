#include "sim/relay/coverage.h"

#include <array>

namespace sim::relay {
namespace {

constexpr std::uint64_t kOften = 20;
// Where a meeting needs a moment that is short, or ends the run's program each time.
constexpr std::uint64_t kSeldom = 5;
constexpr const char* kAnyState = "";

struct Cell {
    Fault fault;
    const char* state;
    std::uint64_t least = kOften;
};

// Of conversations: see Conversation::label(). What the relay receives …
constexpr std::array kReceiving{
    "in: hello", "in: commands", "in: content", "out: hello", "out: envelope", "out: answer",
};
constexpr std::array kReceivingFaults{Fault::split, Fault::short_receive, Fault::no_buffers,
                                      Fault::multishot_end};
// … what it sends; and both.
constexpr std::array kSending{
    "in: hello",  "in: commands",  "in: end of content", "in: quit",
    "out: hello", "out: envelope", "out: content",       "out: at rest",
};
constexpr std::array kOnTheWay{
    "in: hello",     "in: commands", "in: content", "out: hello",
    "out: envelope", "out: content", "out: answer",
};

constexpr std::array kCells{
    Cell{Fault::connect_refused, "connect"},
    Cell{Fault::connect_silent, "connect"},
    Cell{Fault::accept_error, "accept"},
    Cell{Fault::multishot_end, "accept"},
    Cell{Fault::cancel_loses, "receive_multishot"},
    Cell{Fault::wall_step, kAnyState},
    Cell{Fault::crash, "the relay down", 1},
    Cell{Fault::crash, "the relay opening"},
    Cell{Fault::crash, "the relay up"},
    Cell{Fault::crash, "the relay closing"},
    Cell{Fault::crash, "a client awaits 250"},
    Cell{Fault::crash, "a next hop has answered"},
    Cell{Fault::crash, "an outcome is not recorded", kSeldom},
    Cell{Fault::crash, "nothing queued"},
    Cell{Fault::crash, "mail queued"},
    Cell{Fault::crash, "a checkpoint is being written"},
    Cell{Fault::crash, "mail is being moved"},
    Cell{Fault::crash, "the next start takes the older checkpoint", kSeldom},
    Cell{Fault::crash, "the next start applies relocations", kSeldom},
    Cell{Fault::lost_write, "crash"},
    Cell{Fault::torn_write, "crash"},
    Cell{Fault::lost_name, "crash"},
    Cell{Fault::kill, "the relay opening"},
    Cell{Fault::kill, "the relay up"},
    Cell{Fault::kill, "a client awaits 250"},
    Cell{Fault::kill, "a next hop has answered", kSeldom},
    Cell{Fault::kill, "mail queued"},
    Cell{Fault::kill, "a checkpoint is being written", 1},
    Cell{Fault::kill, "mail is being moved", 1},
    Cell{Fault::read_error, "opening: read", kSeldom},
    Cell{Fault::read_error, "up: read", 1},
    Cell{Fault::write_error, "opening: write", 1},
    Cell{Fault::write_error, "up: write", kSeldom},
    Cell{Fault::write_error, "up: write_vector", 1},
    Cell{Fault::sync_error, "opening: sync", kSeldom},
    Cell{Fault::sync_error, "up: sync", kSeldom},
    Cell{Fault::short_read, "opening: read"},
    Cell{Fault::short_read, "up: read"},
    Cell{Fault::short_write, "up: write_vector", 1},
    Cell{Fault::no_space, "opening: allocate"},
    Cell{Fault::no_space, "up: allocate"},
    Cell{Fault::slow_disk, "opening: read"},
    Cell{Fault::slow_disk, "opening: sync"},
    Cell{Fault::slow_disk, "up: sync", kSeldom},
    Cell{Fault::slow_disk, "up: write_vector", kSeldom},
    Cell{Fault::peer, "client: the session timed out"},
    Cell{Fault::peer, "client: a silent one was let go"},
    Cell{Fault::peer, "hop: 5xx to MAIL"},
    Cell{Fault::peer, "hop: nonsense"},
    Cell{Fault::peer, "hop: word of a delay"},
    Cell{Fault::peer, "hop: word of a hand-over"},
    Cell{Fault::peer, "hop: 4xx to a middle chunk", 1},
    Cell{Fault::peer, "hop: 5xx to a middle chunk", 1},
    Cell{Fault::peer, "hop: closes at a middle chunk", kSeldom},
    Cell{Fault::peer, "hop: was left, waiting for the greeting", 10},
    Cell{Fault::peer, "hop: was left, waiting for EHLO or HELO", 10},
    Cell{Fault::peer, "hop: was left, waiting for the envelope", 10},
    Cell{Fault::peer, "hop: was left, waiting for DATA", 1},
    Cell{Fault::peer, "hop: was left, waiting for a chunk", 1},
    Cell{Fault::peer, "hop: was left, waiting for the end of content", 10},
    Cell{Fault::peer, "hop: was left, waiting for QUIT", 1},
};

}  // namespace

std::vector<std::string> gaps_in(const Meetings& meetings) {
    std::vector<std::string> gaps;
    const auto look = [&](const Cell& cell) {
        const auto found = meetings.counts().find({cell.fault, cell.state});
        const std::uint64_t count = *cell.state == '\0'                ? meetings.of(cell.fault)
                                    : found == meetings.counts().end() ? 0
                                                                       : found->second;
        if (count < cell.least) {
            gaps.push_back(std::string(name_of(cell.fault)) + " met " + cell.state + ": " +
                           std::to_string(count) + " times of " + std::to_string(cell.least));
        }
    };
    for (const char* state : kReceiving) {
        for (const Fault fault : kReceivingFaults) {
            look({fault, state});
        }
    }
    for (const char* state : kSending) {
        look({Fault::short_send, state});
    }
    for (const char* state : kOnTheWay) {
        // Either ends the conversation, or holds it up for long.
        look({Fault::reset, state, kSeldom});
        look({Fault::stall, state, kSeldom});
    }
    for (const Cell& cell : kCells) {
        look(cell);
    }
    return gaps;
}

}  // namespace sim::relay
