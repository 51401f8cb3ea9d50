#include "base/result.h"

#include <gtest/gtest.h>

namespace base {
namespace {

Result<int> half(int n) {
    if (n % 2 != 0) {
        return fail(EINVAL);
    }
    return n / 2;
}

TEST(Result, ValueOrError) {
    EXPECT_EQ(half(4).value(), 2);
    ASSERT_FALSE(half(3).has_value());
    EXPECT_EQ(half(3).error().number(), EINVAL);
    EXPECT_EQ(half(3).error().describe(), "Invalid argument");
    const Status status = fail(EIO, "the disk is on fire");
    EXPECT_EQ(status.error().describe(), "the disk is on fire");
    EXPECT_TRUE(Status().has_value());
}

}  // namespace
}  // namespace base
