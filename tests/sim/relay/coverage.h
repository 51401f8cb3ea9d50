// What a batch of seeds must have met: each fault in each state that it concerns. A cell that stays
// empty means that a fault is not injected any more, or that a state is not reached.
#pragma once

#include <string>
#include <vector>

#include "sim/faults.h"

namespace sim::relay {

// "fault met state" for each that is missing; for batches of some hundred seeds.
[[nodiscard]] std::vector<std::string> gaps_in(const Meetings& meetings);

}  // namespace sim::relay
