// What a batch of seeds must have met: each fault in each state that it concerns, so often. A cell
// that comes short means that a fault is not injected any more, or that a state is hardly reached.
#pragma once

#include <string>
#include <vector>

#include "sim/faults.h"

namespace sim::relay {

// "fault met state so often" for each that comes short; for batches of 400 seeds.
[[nodiscard]] std::vector<std::string> gaps_in(const Meetings& meetings);

}  // namespace sim::relay
