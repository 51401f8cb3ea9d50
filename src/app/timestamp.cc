#include "app/timestamp.h"

#include <algorithm>
#include <chrono>

#include <fmt/compile.h>

namespace app {

base::WallTime wall_now() {
    return base::WallTime(std::chrono::duration_cast<base::Duration>(
        std::chrono::system_clock::now().time_since_epoch()));
}

std::string iso8601(base::WallTime time) {
    const std::chrono::sys_time<std::chrono::milliseconds> instant(
        std::chrono::milliseconds(base::unix_ms(time)));
    const auto day = std::chrono::floor<std::chrono::days>(instant);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(instant - day);
    return fmt::format(FMT_COMPILE("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z"),
                       static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()), clock.hours().count(),
                       clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

std::string print_age(std::int64_t seconds) {
    seconds = std::max<std::int64_t>(seconds, 0);
    if (seconds < 60) {
        return fmt::format("{}s", seconds);
    }
    if (seconds < 3600) {
        return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
    }
    if (seconds < 86400) {
        return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
    }
    return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

}  // namespace app
