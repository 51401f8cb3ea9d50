#include "app/clean_text.h"

#include <string>

#include <gtest/gtest.h>

namespace app {
namespace {

std::string clean(std::string_view text, CleanStyle style) {
    std::string out;
    append_clean(out, text, style);
    return out;
}

TEST(CleanText, KeepsWhatIsPrintable) {
    EXPECT_EQ(clean("a@b.example", CleanStyle::token), "a@b.example");
    EXPECT_EQ(clean("jürgen@例え.jp", CleanStyle::bracket), "jürgen@例え.jp");
    EXPECT_EQ(clean("two words", CleanStyle::plain), "two words");
}

TEST(CleanText, EscapesByStyle) {
    EXPECT_EQ(clean("a b", CleanStyle::token), "a\\x20b");
    EXPECT_EQ(clean("\"x> status=sent\"@d", CleanStyle::bracket), "\"x\\x3e\\x20status=sent\"@d");
    EXPECT_EQ(clean("say \"no\"", CleanStyle::quote), "say \\\"no\\\"");
    EXPECT_EQ(clean("a\\b", CleanStyle::plain), "a\\\\b");
}

TEST(CleanText, NeverLetsALineOrATerminalBreak) {
    EXPECT_EQ(clean("a\r\nb\tc", CleanStyle::plain), "a b c");
    EXPECT_EQ(clean("a\r\nb", CleanStyle::token), "a\\x0d\\x0ab");
    EXPECT_EQ(clean("\x1b[2J\x7f", CleanStyle::plain), "\\x1b[2J\\x7f");
    EXPECT_EQ(clean(std::string_view("\0", 1), CleanStyle::plain), "\\x00");
    EXPECT_EQ(clean("\xc2\x9b", CleanStyle::plain), "\\xc2\\x9b")
        << "C1 control sequence introducer";
    EXPECT_EQ(clean("\u2028\u202e", CleanStyle::plain), "\\xe2\\x80\\xa8\\xe2\\x80\\xae");
    EXPECT_EQ(clean("\u061c\u00ad", CleanStyle::plain), "\\xd8\\x9c\\xc2\\xad");
    EXPECT_EQ(clean("\u180e", CleanStyle::plain), "\\xe1\\xa0\\x8e");
    EXPECT_EQ(clean("a\U000e0041\U000e007f", CleanStyle::plain),
              "a\\xf3\\xa0\\x81\\x81\\xf3\\xa0\\x81\\xbf")
        << "tags, which show as nothing";
}

TEST(CleanText, EscapesWhatIsNotUtf8) {
    EXPECT_EQ(clean("\xff", CleanStyle::plain), "\\xff");
    EXPECT_EQ(clean("\xc0\xaf", CleanStyle::plain), "\\xc0\\xaf");
    EXPECT_EQ(clean("\xed\xa0\x80", CleanStyle::plain), "\\xed\\xa0\\x80") << "a surrogate";
    EXPECT_EQ(clean("\xe2\x82", CleanStyle::plain), "\\xe2\\x82") << "cut short";
    EXPECT_EQ(clean("\xf4\x90\x80\x80", CleanStyle::plain), "\\xf4\\x90\\x80\\x80")
        << "past U+10FFFF";
}

TEST(CutText, NeverCutsACharacter) {
    EXPECT_EQ(cut_text("abc", 3), "abc");
    EXPECT_EQ(cut_text("abcd", 3), "abc");
    EXPECT_EQ(cut_text("aä", 2), "a");
    EXPECT_EQ(cut_text("a例", 3), "a");
    EXPECT_EQ(cut_text("\x80\x80\x80\x80\x80\x80", 5), "\x80\x80")
        << "gives up on what is not UTF-8";
}

}  // namespace
}  // namespace app
