// Time as the program sees it. Both clocks are read through io::Driver, never from the system
// directly, so that a simulated run replays from its seed.
#pragma once

#include <chrono>
#include <cstdint>

namespace base {

using Duration = std::chrono::nanoseconds;

// Never steps back; for timeouts, waits and rates. The epoch has no meaning.
struct MonoClock {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = Duration;
    using time_point = std::chrono::time_point<MonoClock>;
    static constexpr bool is_steady = true;
};
using MonoTime = MonoClock::time_point;

// Unix time; for what is written to disk, to headers and to logs. May step by hours in either
// direction.
struct WallClock {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = Duration;
    using time_point = std::chrono::time_point<WallClock>;
    static constexpr bool is_steady = false;
};
using WallTime = WallClock::time_point;

[[nodiscard]] constexpr std::int64_t unix_ms(WallTime time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
[[nodiscard]] constexpr WallTime wall_from_unix_ms(std::int64_t ms) {
    return WallTime(std::chrono::milliseconds(ms));
}

// Whole seconds of Unix time, in four bytes where there are many. Good until 2106.
using UnixSeconds = std::uint32_t;
// Rounded up, so that nothing is due early.
[[nodiscard]] constexpr UnixSeconds unix_seconds(WallTime time) {
    const std::int64_t ms = unix_ms(time);
    return ms <= 0 ? 0 : static_cast<UnixSeconds>((ms + 999) / 1000);
}
[[nodiscard]] constexpr WallTime wall_from_unix_seconds(UnixSeconds seconds) {
    return wall_from_unix_ms(std::int64_t{seconds} * 1000);
}

constexpr MonoTime kNever = MonoTime::max();

}  // namespace base
