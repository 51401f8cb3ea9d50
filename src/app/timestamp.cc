#include "app/timestamp.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/decimal.h"

namespace app {
namespace {

void append_second(std::string& out, std::chrono::sys_seconds second) {
    const auto day = std::chrono::floor<std::chrono::days>(second);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(second - day);
    const auto put = [&out](auto number, std::size_t digits, char behind) {
        base::append_decimal(out, static_cast<std::uint64_t>(number), digits);
        out.push_back(behind);
    };
    put(static_cast<int>(date.year()), 4, '-');
    put(static_cast<unsigned>(date.month()), 2, '-');
    put(static_cast<unsigned>(date.day()), 2, 'T');
    put(clock.hours().count(), 2, ':');
    put(clock.minutes().count(), 2, ':');
    put(clock.seconds().count(), 2, '.');
}

}  // namespace

base::WallTime wall_now() {
    return base::WallTime(std::chrono::duration_cast<base::Duration>(
        std::chrono::system_clock::now().time_since_epoch()));
}

std::string iso8601(base::WallTime time) {
    std::string text;
    Timestamps().append(text, time);
    return text;
}

void Timestamps::append(std::string& out, base::WallTime time) {
    const std::chrono::sys_time<std::chrono::milliseconds> instant(
        std::chrono::milliseconds(base::unix_ms(time)));
    const auto second = std::chrono::floor<std::chrono::seconds>(instant);
    if (second_ != second) {
        second_ = second;
        text_.clear();
        append_second(text_, second);
    }
    out.append(text_);
    base::append_decimal(out, static_cast<std::uint64_t>((instant - second).count()), 3);
    out.push_back('Z');
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
