// Wall-clock times as text.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/time.h"

namespace app {

// The control plane's own clock: what it says is for people, and no simulated run has a control
// plane.
[[nodiscard]] base::WallTime wall_now();

// ISO 8601 in UTC with milliseconds: "2026-11-22T02:08:11.123Z". Always 24 characters for years 0
// to 9999.
[[nodiscard]] std::string iso8601(base::WallTime time);

// The same for one time after another: nearly all are of the same second as the one before.
class Timestamps {
  public:
    void append(std::string& out, base::WallTime time);

  private:
    std::optional<std::chrono::sys_seconds> second_;
    std::string text_;  // of that second, up to the point
};

// A span for people, in its two largest units: "48s", "4m12s", "3h05m", "5d02h".
[[nodiscard]] std::string print_age(std::int64_t seconds);

}  // namespace app
