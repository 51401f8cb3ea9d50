#include "mail/status_code.h"

#include <gtest/gtest.h>

namespace mail {
namespace {

TEST(StatusCode, TakeOffTheFront) {
    std::string_view text = "5.1.1 no such user";
    EXPECT_EQ(take_enhanced_status(text), (EnhancedStatus{5, 1, 1}));
    EXPECT_EQ(text, "no such user");
    text = "2.0.0";
    EXPECT_EQ(take_enhanced_status(text), (EnhancedStatus{2, 0, 0}));
    EXPECT_EQ(text, "");
    for (const std::string_view bad : {"3.1.1 x", "5.1 x", "5..1 x", "5.1.1x", "55.1.1", "5.1.1.1",
                                       "5.1234.1", "", "5.1.", "5.-1.1"}) {
        text = bad;
        EXPECT_FALSE(take_enhanced_status(text).present()) << bad;
        EXPECT_EQ(text, bad);
    }
}

TEST(StatusCode, OnTheWire) {
    std::string out;
    append_reply(out, 250, {2, 0, 0}, "one\ntwo");
    EXPECT_EQ(out, "250-2.0.0 one\r\n250 2.0.0 two\r\n");
    out.clear();
    append_reply(out, 354, {}, "Go on");
    EXPECT_EQ(out, "354 Go on\r\n");
    out.clear();
    append_reply(out, 250, {2, 999, 10}, "");
    EXPECT_EQ(out, "250 2.999.10 \r\n");
}

TEST(StatusCode, Described) {
    EXPECT_EQ(describe({550, {5, 1, 1}, "a\nb"}), "550 5.1.1 a / b");
    EXPECT_EQ(describe({250, {}, ""}), "250");
}

}  // namespace
}  // namespace mail
