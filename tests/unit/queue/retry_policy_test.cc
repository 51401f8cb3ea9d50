#include "queue/retry_policy.h"

#include <gtest/gtest.h>

namespace queue {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr base::WallTime kArrival = base::wall_from_unix_ms(1'700'000'000'000);

TEST(RetryPolicy, LastWaitRepeats) {
    const RetryPolicy policy({seconds(5), seconds(30), minutes(5)}, hours(1));
    EXPECT_EQ(policy.wait_after(1), seconds(5));
    EXPECT_EQ(policy.wait_after(2), seconds(30));
    EXPECT_EQ(policy.wait_after(3), minutes(5));
    EXPECT_EQ(policy.wait_after(4), minutes(5));
    EXPECT_EQ(policy.wait_after(4'000'000'000U), minutes(5));
}

TEST(RetryPolicy, NextAttemptNeverPassesTheExpiry) {
    const RetryPolicy policy({minutes(20)}, hours(1));
    base::Prng prng(1);
    EXPECT_EQ(policy.next_attempt(kArrival, kArrival, 1, prng), kArrival + minutes(20));
    EXPECT_EQ(policy.next_attempt(kArrival, kArrival + minutes(50), 2, prng), kArrival + hours(1));
}

TEST(RetryPolicy, NextAttemptIsNeverInThePast) {
    const RetryPolicy policy({minutes(20)}, hours(1));
    base::Prng prng(1);
    EXPECT_EQ(policy.next_attempt(kArrival, kArrival + hours(2), 3, prng), kArrival + hours(2));
}

TEST(RetryPolicy, ExpiresAtTheInstantAndNotBefore) {
    const RetryPolicy policy({minutes(20)}, hours(1));
    EXPECT_FALSE(policy.expired(kArrival, kArrival + hours(1) - base::Duration(1)));
    EXPECT_TRUE(policy.expired(kArrival, kArrival + hours(1)));
    // A clock that was set back before the arrival expires nothing.
    EXPECT_FALSE(policy.expired(kArrival, kArrival - hours(5)));
}

TEST(RetryPolicy, WaitsGrowUpToTheCap) {
    const RetryPolicy policy = RetryPolicy::growing(
        {.first = minutes(4), .growth = 1.5, .cap = minutes(10), .jitter = 0}, hours(24));
    EXPECT_EQ(policy.wait_after(1), minutes(4));
    EXPECT_EQ(policy.wait_after(2), minutes(6));
    EXPECT_EQ(policy.wait_after(3), minutes(9));
    EXPECT_EQ(policy.wait_after(4), minutes(10));
    EXPECT_EQ(policy.wait_after(4'000'000'000U), minutes(10));
    EXPECT_EQ(policy.longest_wait(), minutes(10));
    const RetryPolicy even =
        RetryPolicy::growing({.first = minutes(4), .growth = 1, .cap = hours(1)}, hours(24));
    EXPECT_EQ(even.wait_after(100), minutes(4));
}

TEST(RetryPolicy, JitterOnlyAdds) {
    const RetryPolicy policy = RetryPolicy::growing(
        {.first = seconds(100), .growth = 2, .cap = seconds(400), .jitter = 0.1}, hours(24));
    base::Prng prng(7);
    base::Duration least = hours(1);
    base::Duration most{};
    for (int i = 0; i < 1000; ++i) {
        const base::Duration wait = policy.draw_wait(2, prng);
        least = std::min(least, wait);
        most = std::max(most, wait);
    }
    EXPECT_GE(least, seconds(200));
    EXPECT_LT(least, seconds(201));
    EXPECT_LE(most, seconds(220));
    EXPECT_GT(most, seconds(219));
    EXPECT_EQ(policy.longest_wait_after(2), seconds(220));
    EXPECT_EQ(policy.longest_wait(), seconds(440));
}

TEST(RetryPolicy, WordOfADelayIsDueAtItsTime) {
    const RetryPolicy policy({minutes(20)}, hours(9), hours(4));
    EXPECT_FALSE(policy.delayed(kArrival, kArrival + hours(4) - base::Duration(1)));
    EXPECT_TRUE(policy.delayed(kArrival, kArrival + hours(4)));
    const RetryPolicy never({minutes(20)}, hours(9));
    EXPECT_FALSE(never.delayed(kArrival, kArrival + hours(8)));
}

}  // namespace
}  // namespace queue
