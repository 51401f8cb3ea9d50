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

}  // namespace
}  // namespace queue
