#include "queue/notification_limit.h"

#include <gtest/gtest.h>

namespace queue {
namespace {

using std::chrono::seconds;
using Verdict = NotificationLimit::Verdict;

TEST(NotificationLimit, CountsInAllAndByDomainAnewEachMinute) {
    NotificationLimit limit(3, 2);
    const base::MonoTime begin(seconds(1000));
    EXPECT_EQ(limit.admit("a.test", begin), Verdict::admitted);
    EXPECT_EQ(limit.admit("A.TEST", begin), Verdict::admitted);
    EXPECT_EQ(limit.admit("a.test", begin + seconds(59)), Verdict::domain_full);
    EXPECT_TRUE(limit.first_refusal());
    EXPECT_FALSE(limit.first_refusal());
    EXPECT_EQ(limit.admit("b.test", begin), Verdict::admitted);
    EXPECT_EQ(limit.admit("c.test", begin), Verdict::too_many);
    EXPECT_EQ(limit.admit("a.test", begin + seconds(60)), Verdict::admitted);
    EXPECT_TRUE(limit.first_refusal());
}

TEST(NotificationLimit, WhatIsRefusedComesAgainAsTheLimitHasRoom) {
    NotificationLimit limit(3, 2);
    const base::MonoTime begin(seconds(1000));
    for (const char* domain : {"a.test", "a.test", "b.test"}) {
        ASSERT_EQ(limit.admit(domain, begin), Verdict::admitted);
    }
    EXPECT_EQ(limit.ends(), begin + seconds(60));
    for (const int later : {1, 1, 2, 2, 3}) {
        EXPECT_EQ(limit.come_again(Verdict::domain_full, "A.test"), begin + later * seconds(60));
    }
    for (const int later : {1, 1, 1, 2}) {
        EXPECT_EQ(limit.come_again(Verdict::too_many, "c.test"), begin + later * seconds(60));
    }
    for (int i = 0; i < 1000; ++i) {
        EXPECT_LE(limit.come_again(Verdict::too_many, "c.test"), begin + std::chrono::hours(1));
    }
    ASSERT_EQ(limit.admit("a.test", begin + seconds(60)), Verdict::admitted);
    EXPECT_EQ(limit.come_again(Verdict::too_many, "a.test"), begin + seconds(120));
}

}  // namespace
}  // namespace queue
