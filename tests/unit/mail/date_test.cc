#include "mail/date.h"

#include <gtest/gtest.h>

namespace mail {
namespace {

std::string date(base::WallTime time) {
    std::string out;
    append_date(out, time);
    return out;
}

std::string at(std::int64_t unix_s) {
    return date(base::wall_from_unix_ms(unix_s * 1000));
}

TEST(Date, KnownDates) {
    EXPECT_EQ(at(0), "Thu, 1 Jan 1970 00:00:00 +0000");
    EXPECT_EQ(at(1795338307), "Sun, 22 Nov 2026 09:05:07 +0000");
    EXPECT_EQ(at(951782399), "Mon, 28 Feb 2000 23:59:59 +0000");
    EXPECT_EQ(at(951782400), "Tue, 29 Feb 2000 00:00:00 +0000");
    EXPECT_EQ(at(4107542399), "Sun, 28 Feb 2100 23:59:59 +0000");
    EXPECT_EQ(at(4107542400), "Mon, 1 Mar 2100 00:00:00 +0000");
    EXPECT_EQ(at(-1), "Wed, 31 Dec 1969 23:59:59 +0000");
}

TEST(Date, FractionsAreCutOff) {
    EXPECT_EQ(date(base::wall_from_unix_ms(999)), "Thu, 1 Jan 1970 00:00:00 +0000");
    EXPECT_EQ(date(base::wall_from_unix_ms(-1)), "Wed, 31 Dec 1969 23:59:59 +0000");
}

TEST(Date, WildClocksStayWithinTheGrammar) {
    EXPECT_NE(date(base::WallTime::min()).find(" 1900 "), std::string::npos);
    EXPECT_NE(date(base::WallTime::max()).find(" 2262 "), std::string::npos);
}

}  // namespace
}  // namespace mail
