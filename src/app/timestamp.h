// Wall-clock times as text.
#pragma once

#include <string>

#include "base/time.h"

namespace app {

// The control plane's own clock: what it says is for people, and no simulated run has a control
// plane.
[[nodiscard]] base::WallTime wall_now();

// ISO 8601 in UTC with milliseconds: "2026-11-22T02:08:11.123Z". Always 24 characters for years 0
// to 9999.
[[nodiscard]] std::string iso8601(base::WallTime time);
void append_iso8601(std::string& out, base::WallTime time);

// A span for people, in its two largest units: "48s", "4m12s", "3h05m", "5d02h".
[[nodiscard]] std::string print_age(std::int64_t seconds);

}  // namespace app
