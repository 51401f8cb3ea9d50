#include "mail/hidden_text.h"

#include <string>

#include <gtest/gtest.h>

namespace mail {
namespace {

std::string visible(std::string_view text) {
    std::string out;
    append_visible(out, text);
    return out;
}

TEST(HiddenText, WhatIsNotSeenIsWrittenOut) {
    EXPECT_EQ(visible("plain \xc3\xa9 \xf0\x9f\x98\x80"), "plain \xc3\xa9 \xf0\x9f\x98\x80");
    EXPECT_EQ(visible("a\xe2\x80\xae"
                      "b"),
              "a\\x{202E}b");  // the rest from right to left
    EXPECT_EQ(visible("\xc2\xad\xe2\x81\xa6\xef\xbb\xbf"), "\\x{AD}\\x{2066}\\x{FEFF}");
    EXPECT_EQ(visible("\xf3\xa0\x80\x81"), "\\x{E0001}");
    EXPECT_EQ(visible("a\r\nb\x1b\xff"), "a??b??");
}

}  // namespace
}  // namespace mail
