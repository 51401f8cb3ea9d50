#include "mail/mime_field.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace mail {
namespace {

std::string parse(std::string_view value) {
    std::array<char, 16> space;
    const ContentType type = parse_content_type(value, space);
    return std::string(type.type) + "/" + std::string(type.subtype) + ";" +
           std::string(type.boundary);
}

TEST(MimeField, ContentTypes) {
    EXPECT_EQ(parse(" multipart/mixed; boundary=abc"), "multipart/mixed;abc");
    EXPECT_EQ(parse("multipart / mixed ; charset=x; BOUNDARY = \"a b;c\""),
              "multipart/mixed;a b;c");
    EXPECT_EQ(parse("(c)multipart(;x=y)/(a(b)\\))mixed;boundary=\"a\\\"b\""),
              "multipart/mixed;a\"b");
    EXPECT_EQ(parse("multipart/mixed;\r\n\tboundary=\"abc\"\r\n"), "multipart/mixed;abc");
    EXPECT_EQ(parse("multipart/mixed;boundary==_x:y"), "multipart/mixed;=_x:y");
    EXPECT_EQ(parse("multipart/mixed; name=\"boundary=no\"; boundary=yes"), "multipart/mixed;yes");
    EXPECT_EQ(parse("text/plain"), "text/plain;");
    EXPECT_EQ(parse("multipart/mixed;;;boundary=a;;"), "multipart/mixed;a");
    EXPECT_EQ(parse("multipart/mixed;boundary=a;boundary=b"), "multipart/mixed;");
    EXPECT_EQ(parse("multipart/mixed;boundary=12345678901234567"), "multipart/mixed;")
        << "does not fit";
    EXPECT_EQ(parse("multipart/mixed;boundary=\"open"), "multipart/mixed;open");
    EXPECT_EQ(parse("multipart/mixed;xboundary=a"), "multipart/mixed;");
}

TEST(MimeField, WhatDoesNotParse) {
    for (const auto* value :
         {"", "text", "text/", "/plain", ";", "(", "\"text\"/plain", "(((", "a/(b"}) {
        EXPECT_EQ(parse(value), "/;") << value;
    }
}

TEST(MimeField, Tokens) {
    EXPECT_EQ(parse_token(" (why)8bit ; x"), "8bit");
    EXPECT_EQ(parse_token(""), "");
}

}  // namespace
}  // namespace mail
