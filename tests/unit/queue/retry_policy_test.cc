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
    EXPECT_EQ(policy.next_attempt(kArrival, kArrival, 1), kArrival + minutes(20));
    EXPECT_EQ(policy.next_attempt(kArrival, kArrival + minutes(50), 2), kArrival + hours(1));
}

TEST(RetryPolicy, NextAttemptIsNeverInThePast) {
    const RetryPolicy policy({minutes(20)}, hours(1));
    EXPECT_EQ(policy.next_attempt(kArrival, kArrival + hours(2), 3), kArrival + hours(2));
}

TEST(RetryPolicy, ExpiresAtTheInstantAndNotBefore) {
    const RetryPolicy policy({minutes(20)}, hours(1));
    EXPECT_FALSE(policy.expired(kArrival, kArrival + hours(1) - base::Duration(1)));
    EXPECT_TRUE(policy.expired(kArrival, kArrival + hours(1)));
    // A clock that was set back before the arrival expires nothing.
    EXPECT_FALSE(policy.expired(kArrival, kArrival - hours(5)));
}

}  // namespace
}  // namespace queue
