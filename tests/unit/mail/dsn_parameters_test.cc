#include "mail/dsn_parameters.h"

#include <gtest/gtest.h>

namespace mail {
namespace {

TEST(DsnParameters, WhoSaysNothingHearsOfFailuresAndDelays) {
    const Notify none;
    EXPECT_TRUE(none.failure());
    EXPECT_TRUE(none.delay());
    EXPECT_FALSE(none.success());
    const Notify never{Notify::kNever};
    EXPECT_FALSE(never.failure() || never.delay() || never.success());
    const Notify success{Notify::kSuccess};
    EXPECT_FALSE(success.failure() || success.delay());
}

TEST(DsnParameters, NotifyIsWrittenAsItIsRead) {
    for (const auto* text : {"NEVER", "SUCCESS", "SUCCESS,FAILURE,DELAY", "FAILURE,DELAY"}) {
        std::string out;
        append_notify(out, parse_notify(text).value());
        EXPECT_EQ(out, text);
    }
    EXPECT_FALSE(parse_notify("SUCCESS,NEVER"));
    EXPECT_FALSE(parse_notify(""));
    EXPECT_FALSE(parse_notify(",DELAY"));
}

TEST(DsnParameters, XtextIsDecoded) {
    std::string out;
    append_xtext_decoded(out, "a+2Bb+3Dc+20d+e");
    EXPECT_EQ(out, "a+b=c d+e");
}

TEST(DsnParameters, Utf8AddressesGoBothWays) {
    std::string out;
    append_utf8_xtext(out, "jos\xc3\xa9+x@\xe2\x82\xac.test", true);
    EXPECT_EQ(out, "jos\\x{E9}\\x{2B}x@\\x{20AC}.test");
    std::string back;
    append_utf8_decoded(back, out);
    EXPECT_EQ(back, "jos\xc3\xa9+x@\xe2\x82\xac.test");
    EXPECT_TRUE(is_original_recipient("utf-8;" + out));
    EXPECT_TRUE(is_original_recipient("UTF-8;" + back.substr(0, 5)));
    EXPECT_FALSE(is_original_recipient("utf-8;a\\x{110000}"));
    EXPECT_FALSE(is_original_recipient("utf-8;a\\b"));
    EXPECT_FALSE(is_original_recipient("utf-8;a\\x{0A}"));
}

}  // namespace
}  // namespace mail
