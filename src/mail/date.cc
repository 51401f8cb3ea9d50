#include "mail/date.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace mail {

void append_date(std::string& out, base::WallTime time) {
    using std::chrono::days;
    using std::chrono::seconds;
    using std::chrono::sys_days;
    using std::chrono::year;
    constexpr std::array kWeekdays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    const auto whole = std::chrono::floor<seconds>(time.time_since_epoch());
    const auto day_number = std::chrono::floor<days>(whole);
    const std::chrono::hh_mm_ss clock(whole - day_number);
    const sys_days day = std::clamp(sys_days(day_number), sys_days(year(1900) / 1 / 1),
                                    sys_days(year(9999) / 12 / 31));
    const std::chrono::year_month_day date(day);
    const unsigned weekday = std::chrono::weekday(day).c_encoding();

    char text[64];
    const int size = std::snprintf(
        text, sizeof text, "%s, %u %s %d %02d:%02d:%02d +0000", kWeekdays.at(weekday),
        static_cast<unsigned>(date.day()), kMonths.at(static_cast<unsigned>(date.month()) - 1),
        static_cast<int>(date.year()), static_cast<int>(clock.hours().count()),
        static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
    out.append(text, static_cast<std::size_t>(size));
}

}  // namespace mail
