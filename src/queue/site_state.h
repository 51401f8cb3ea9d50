// SiteState: a site as it is at one moment, for whoever asks why its mail waits. A plain value.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace queue {

struct HostState {
    std::string name;
    std::string
        words;  // why it does not serve, as it said or as we do; "" where it is not known not to
};

struct SiteState {
    std::string name;
    std::vector<HostState> hosts;  // in the order in which they are tried
    bool dead = false;             // no host took the last connection
    std::string last_words;        // what was heard then; "" where it is not dead
    bool short_of_means = false;   // we lack descriptors, memory or ports for a connection
    // No connection is made before; absent where one may be made now.
    std::optional<base::Duration> next_try;
    std::size_t connections = 0;        // made, or being made
    std::size_t connections_limit = 0;  // for now: fewer than the most where a host took no more
    std::size_t connections_max = 0;
    bool full = false;      // no further delivery may begin beside those that run
    std::size_t ready = 0;  // messages whose time has come, and which wait for a delivery
};

}  // namespace queue
