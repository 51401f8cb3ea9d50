#include "sim/relay/coverage.h"

#include <array>

namespace sim::relay {
namespace {

// Of conversations: see the labels in client.cc and next_hop.cc.
constexpr std::array kConversations{
    "in: hello",  "in: commands",  "in: content",  "in: end of content",
    "out: hello", "out: envelope", "out: content", "out: answer",
};

struct Cell {
    Fault fault;
    const char* state;
};
constexpr std::array kCells{
    Cell{Fault::connect_refused, "connect"},
    Cell{Fault::connect_silent, "connect"},
    Cell{Fault::accept_error, "accept"},
    Cell{Fault::multishot_end, "accept"},
    Cell{Fault::crash, "the relay down"},
    Cell{Fault::crash, "the relay opening"},
    Cell{Fault::crash, "the relay up"},
    Cell{Fault::crash, "the relay closing"},
    Cell{Fault::crash, "a client awaits 250"},
    Cell{Fault::crash, "a next hop has answered"},
    Cell{Fault::crash, "an outcome is not recorded"},
    Cell{Fault::crash, "nothing queued"},
    Cell{Fault::crash, "mail queued"},
    Cell{Fault::lost_write, "crash"},
    Cell{Fault::torn_write, "crash"},
    Cell{Fault::lost_name, "crash"},
    Cell{Fault::read_error, "opening: read"},
    Cell{Fault::short_read, "opening: read"},
    Cell{Fault::short_read, "up: read"},
    Cell{Fault::write_error, "up: write"},
    Cell{Fault::write_error, "up: write_vector"},
    Cell{Fault::sync_error, "opening: sync"},
    Cell{Fault::sync_error, "up: sync"},
    Cell{Fault::no_space, "opening: allocate"},
    Cell{Fault::no_space, "up: allocate"},
    Cell{Fault::slow_disk, "opening: read"},
    Cell{Fault::slow_disk, "up: sync"},
    Cell{Fault::slow_disk, "up: write_vector"},
    Cell{Fault::cancel_loses, "receive_multishot"},
    Cell{Fault::kill, "the relay opening"},
    Cell{Fault::kill, "the relay up"},
    Cell{Fault::kill, "a client awaits 250"},
    Cell{Fault::kill, "mail queued"},
};

}  // namespace

std::vector<std::string> gaps_in(const Meetings& meetings) {
    std::vector<std::string> gaps;
    const auto look = [&](Fault fault, const char* state) {
        if (!meetings.counts().contains({fault, state})) {
            gaps.push_back(std::string(name_of(fault)) + " met " + state);
        }
    };
    for (const char* conversation : kConversations) {
        for (const Fault fault :
             {Fault::split, Fault::short_send, Fault::short_receive, Fault::reset, Fault::stall,
              Fault::no_buffers, Fault::multishot_end}) {
            look(fault, conversation);
        }
    }
    for (const Cell& cell : kCells) {
        look(cell.fault, cell.state);
    }
    return gaps;
}

}  // namespace sim::relay
