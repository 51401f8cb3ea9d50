#include "mail/text.h"

#include <string>

#include <gtest/gtest.h>

namespace mail {
namespace {

using namespace std::literals;

std::string printable(std::string_view text, std::size_t bytes_max = 1000) {
    std::string out;
    append_printable(out, text, bytes_max);
    return out;
}

TEST(Text, Utf8Sequences) {
    EXPECT_EQ(utf8_sequence("a"), 1U);
    EXPECT_EQ(utf8_sequence("é"), 2U);
    EXPECT_EQ(utf8_sequence("€"), 3U);
    EXPECT_EQ(utf8_sequence("😀"), 4U);
    for (const auto text : {""sv, "\x80"sv, "\xc3"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xe0\x9f\xbf"sv,
                            "\xed\xa0\x80"sv, "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv,
                            "\xf5\x80\x80\x80"sv, "\xe2\x82"sv, "\xc3("sv, "\xff"sv}) {
        EXPECT_EQ(utf8_sequence(text), 0U);
    }
    EXPECT_TRUE(is_ascii("abc\x7f"));
    EXPECT_FALSE(is_ascii("é"));
}

TEST(Text, Printable) {
    EXPECT_EQ(printable("plain é"), "plain é");
    EXPECT_EQ(printable("a\x1b[0m\0\r\n\t\x7f"sv), "a?[0m??? ?");
    EXPECT_EQ(printable("\xc2\x9b\xff\xc3"), "???");
    EXPECT_EQ(printable("aé", 2), "a");
    EXPECT_EQ(printable("abc", 2), "ab");
    std::string out;
    append_printable_ascii(out, "aé\n", 10);
    EXPECT_EQ(out, "a???");
}

}  // namespace
}  // namespace mail
