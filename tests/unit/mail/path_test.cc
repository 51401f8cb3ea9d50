#include "mail/path.h"

#include <string>

#include <gtest/gtest.h>

namespace mail {
namespace {

using namespace std::literals;

bool mailbox(std::string_view text) {
    return parse_mailbox(text, PathLimits{}).has_value();
}

TEST(Path, Mailboxes) {
    for (const auto* text :
         {"a@b", "user.name+tag@example.org", "!#$%&'*+-/=?^_`{|}~@x", "\"\"@b", "\"a@b\"@c",
          "\"\\\\\\\"\"@c", "a@1.2.3.4", "a@under_score.x", "postmaster", "POSTMASTER", "a..b@c",
          ".a@c", "a.@c", "a@xn--p1ai", "\"é ö\"@ü.de", "a%b@c", "a!b@c"}) {
        EXPECT_TRUE(mailbox(text)) << text;
    }
    for (const auto* text : {"",
                             "@",
                             "a",
                             "a@",
                             "@b",
                             "a@b@c",
                             "a b@c",
                             "a@b c",
                             "a@-b",
                             "a@b-",
                             "a@b.",
                             "a@.b",
                             "a@b..c",
                             "\"a@b",
                             "a\"b\"@c",
                             "\"a\"b@c",
                             "a@[",
                             "a@[]",
                             "a@[1.2.3]",
                             "a@[1.2.3.4",
                             "a@[1.2.3.4]x",
                             "a@[IPv6:]",
                             "a@[IPv6:1.2.3.4]",
                             "a@[2001:db8::1]",
                             "a@[x-tag:y]",
                             "a,b@c",
                             "a@b,c@d",
                             "<a@b>",
                             "a@b>",
                             "a;b@c",
                             "a(b)@c",
                             "a@b(c)",
                             "a\\@b@c",
                             "\"\\"}) {
        EXPECT_FALSE(mailbox(text)) << text;
    }
    EXPECT_FALSE(mailbox("\"a\0b\"@c"sv));
    EXPECT_FALSE(mailbox("\"a\tb\"@c"));
    EXPECT_FALSE(mailbox("a@" + std::string(64, 'x')));
    EXPECT_TRUE(mailbox("a@" + std::string(63, 'x')));
}

TEST(Path, Literals) {
    EXPECT_TRUE(is_address_literal("[127.0.0.1]"));
    EXPECT_TRUE(is_address_literal("[ipv6:::1]"));
    EXPECT_TRUE(is_address_literal("[IPv6:2001:db8::192.0.2.1]"));
    EXPECT_FALSE(is_address_literal("[127.0.0.256]"));
    EXPECT_FALSE(is_address_literal("[IPv6:2001:db8::%eth0]"));
    EXPECT_FALSE(is_address_literal("[" + std::string(100, '1') + "]"));
    EXPECT_FALSE(is_address_literal("[1.2.3.4\0]"sv));
}

TEST(Path, TakeLeavesWhatFollows) {
    std::string_view text = "  <@a,@[1.2.3.4],@b: > x";
    EXPECT_FALSE(take_path(text, {}).has_value()) << "a route without a mailbox";
    text = "<@a,@[1.2.3.4]:u@v> SIZE=1";
    EXPECT_EQ(take_path(text, {}).value().text, "u@v");
    EXPECT_EQ(text, " SIZE=1");
    text = "u@v SIZE=1";
    EXPECT_EQ(take_path(text, {}).value().text, "u@v");
    EXPECT_EQ(text, " SIZE=1");
    text = "\"a b\"@v\tSIZE=1";
    EXPECT_EQ(take_path(text, {}).value().local_part, "\"a b\"");
    text = "<>";
    EXPECT_TRUE(take_path(text, {}).value().null());
    EXPECT_EQ(text, "");
    for (std::string_view bad : {"<"sv, ">"sv, "<<a@b>>"sv, "<a@b>>"sv, "<a@b>x"sv, "<@a:>"sv,
                                 "<@a b@c>"sv, "<@a,:b@c>"sv, "<@a,b@c>"sv, "<@:b@c>"sv, ""sv}) {
        EXPECT_FALSE(take_path(bad, {}).has_value());
    }
}

TEST(Path, Parts) {
    const Path path = parse_mailbox("\"a@b\"@[192.0.2.1]", PathLimits{}).value();
    EXPECT_EQ(path.local_part, "\"a@b\"");
    EXPECT_EQ(path.domain, "[192.0.2.1]");
    EXPECT_TRUE(path.literal());
    EXPECT_EQ(parse_mailbox("x", PathLimits{}).error(), PathError::no_domain);
    EXPECT_EQ(parse_mailbox(std::string(65, 'x') + "@b", PathLimits{}).error(),
              PathError::too_long);
}

}  // namespace
}  // namespace mail
