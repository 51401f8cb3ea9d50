// Why a message is not delivered yet, in sentences and as JSON (docs/CONTROL.md), from what its
// shard told.
#pragma once

#include <optional>

#include <nlohmann/json_fwd.hpp>

#include "base/time.h"
#include "queue/explain.h"

namespace app {

// `now` is the wall clock.
[[nodiscard]] nlohmann::ordered_json explanation_json(const queue::Explanation& explanation,
                                                      base::WallTime now);

// The members `name` and `name`_in_s: the time, and the seconds until then; null where it is none.
void put_time(nlohmann::ordered_json& json, const char* name,
              const std::optional<base::WallTime>& time, base::WallTime now);

}  // namespace app
