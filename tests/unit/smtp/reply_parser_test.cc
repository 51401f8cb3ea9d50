#include "smtp/reply_parser.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace smtp {
namespace {

using namespace std::literals;

// Each reply as "code status text", then "!reason" if the parser broke.
using Replies = std::vector<std::string>;

Replies parse(std::string_view wire, const std::vector<std::size_t>& cuts = {},
              ServerExtensions* extensions = nullptr) {
    ReplyParser parser;
    Replies replies;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : wire.size();
        const std::string piece(wire.substr(begin, end - begin));
        std::string_view input = piece;
        for (;;) {
            const ReplyParser::Event event = parser.next(input);
            if (event == ReplyParser::Event::broken) {
                EXPECT_FALSE(parser.broken_reason().empty());
                EXPECT_EQ(parser.next(input), ReplyParser::Event::broken) << "broken for good";
                replies.push_back("!" + std::string(parser.broken_reason()));
                return replies;
            }
            if (event == ReplyParser::Event::more) {
                EXPECT_TRUE(input.empty());
                break;
            }
            std::string text = std::to_string(parser.reply().code) + " ";
            mail::append_status(text, parser.reply().status);
            replies.push_back(text + " " + parser.reply().text);
            if (extensions != nullptr) {
                *extensions = parser.extensions();
            }
        }
        begin = end;
    }
    return replies;
}

Replies parse_every_way(std::string_view wire) {
    Replies whole = parse(wire);
    std::vector<std::size_t> all;
    for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
        EXPECT_EQ(parse(wire, {cut}), whole) << "cut at " << cut;
        all.push_back(cut);
    }
    EXPECT_EQ(parse(wire, all), whole) << "octet by octet";
    return whole;
}

TEST(ReplyParser, OneLine) {
    EXPECT_EQ(parse_every_way("220 mx.example ESMTP\r\n"), Replies{"220  mx.example ESMTP"});
    EXPECT_EQ(parse_every_way("250 2.1.0 Ok\r\n"), Replies{"250 2.1.0 Ok"});
    EXPECT_EQ(parse_every_way("354 Go on\r\n"), Replies{"354  Go on"});
}

TEST(ReplyParser, PipelinedReplies) {
    EXPECT_EQ(parse_every_way("250 2.1.0 a\r\n550 5.1.1 b\r\n354 c\r\n"),
              (Replies{"250 2.1.0 a", "550 5.1.1 b", "354  c"}));
}

TEST(ReplyParser, SeveralLines) {
    EXPECT_EQ(parse_every_way("550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n"),
              Replies{"550 5.7.1 one\ntwo\nthree"});
    EXPECT_EQ(parse_every_way("250-\r\n250-x\r\n250\r\n"), Replies{"250  \nx\n"});
}

TEST(ReplyParser, CodeAlone) {
    EXPECT_EQ(parse_every_way("250\r\n"), Replies{"250  "});
    EXPECT_EQ(parse_every_way("250 \r\n"), Replies{"250  "});
    EXPECT_EQ(parse_every_way("250-\r\n"), Replies{});
    EXPECT_EQ(parse_every_way("421"), Replies{});
}

TEST(ReplyParser, BareLineFeedIsTolerated) {
    EXPECT_EQ(parse_every_way("250-a\n250 b\n"), Replies{"250  a\nb"});
}

TEST(ReplyParser, EnhancedStatusFitsTheCode) {
    EXPECT_EQ(parse("451 4.3.0\r\n"), Replies{"451 4.3.0 "});
    EXPECT_EQ(parse("550 4.3.0 wrong class\r\n"), Replies{"550  4.3.0 wrong class"});
    EXPECT_EQ(parse("250 2.0 Ok\r\n"), Replies{"250  2.0 Ok"});
    EXPECT_EQ(parse("550 5.1.1234 x\r\n"), Replies{"550  5.1.1234 x"});
    EXPECT_EQ(parse("550 5.7.999 x\r\n"), Replies{"550 5.7.999 x"});
    EXPECT_EQ(parse("550 5.1.1: x\r\n"), Replies{"550  5.1.1: x"});
    // A second line with a status of its own keeps it as text.
    EXPECT_EQ(parse("550-5.1.1 a\r\n550 5.7.1 b\r\n"), Replies{"550 5.1.1 a\n5.7.1 b"});
}

TEST(ReplyParser, EhloKeywords) {
    ServerExtensions extensions;
    parse(
        "250-mx.example SIZE 1\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n"
        "250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n250-ENHANCEDSTATUSCODES\r\n250-8bitmime\r\n"
        "250-DSN\r\n250-smtputf8\r\n250 CHUNKING\r\n",
        {30, 31, 99}, &extensions);
    const ServerExtensions all{true, true, true, true, true,    true,
                               true, true, true, true, 10240000};
    EXPECT_EQ(extensions, all);

    parse("250-PIPELINING the name of a host is no keyword\r\n250 SIZE\r\n", {}, &extensions);
    EXPECT_FALSE(extensions.pipelining);
    EXPECT_TRUE(extensions.size);
    EXPECT_EQ(extensions.size_bytes_max, 0U);

    parse("250-h\r\n250-SIZE 99999999999999999999999\r\n250-AUTH=LOGIN\r\n250 CHUNKINGX\r\n", {},
          &extensions);
    EXPECT_EQ(extensions.size_bytes_max, 0U);
    EXPECT_TRUE(extensions.auth_login);
    EXPECT_FALSE(extensions.auth_plain);
    EXPECT_FALSE(extensions.chunking);

    parse("250-h\r\n250 CHUNKING\r\n250 2.1.0 Ok\r\n", {}, &extensions);
    EXPECT_FALSE(extensions.chunking) << "a later reply says nothing of extensions";
    parse("550-h\r\n550 CHUNKING\r\n", {}, &extensions);
    EXPECT_FALSE(extensions.chunking);
}

TEST(ReplyParser, KeywordsBeyondTheKeptText) {
    std::string wire = "250-h\r\n";
    for (int i = 0; i < 100; ++i) {
        wire += "250-X" + std::string(60, 'x') + "\r\n";
    }
    ServerExtensions extensions;
    parse(wire + "250 CHUNKING\r\n", {}, &extensions);
    EXPECT_TRUE(extensions.chunking);
}

TEST(ReplyParser, NotSmtp) {
    EXPECT_EQ(parse_every_way("HTTP/1.1 400 Bad Request\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("25\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("2500 x\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("250x\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way(" 250 x\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("150 x\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("650 x\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("000 x\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("2:0 x\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("\xff\xfe\0\x80\r\n"sv).back()[0], '!');
    EXPECT_EQ(parse_every_way("250-a\r\n550 b\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("250-a\r\nb\r\n").back()[0], '!');
    EXPECT_EQ(parse_every_way("250 good\r\nbad\r\n"),
              (Replies{"250  good", "!line without a reply code"}));
}

TEST(ReplyParser, EndlessReplyIsBounded) {
    std::string lines;
    for (std::uint32_t i = 0; i < Limits::reply_lines_max - 1; ++i) {
        lines += "250-again\r\n";
    }
    EXPECT_EQ(parse(lines + "250 end\r\n").size(), 1U);
    EXPECT_NE(parse(lines + "250 end\r\n").front()[0], '!');
    EXPECT_EQ(parse(lines + "250-again\r\n250 end\r\n").back(), "!too many lines in a reply");

    ReplyParser parser;
    const std::string piece(1000, '2');
    std::string_view input = piece;
    EXPECT_EQ(parser.next(input), ReplyParser::Event::more);
    input = piece;
    EXPECT_EQ(parser.next(input), ReplyParser::Event::more);
    input = piece;
    EXPECT_EQ(parser.next(input), ReplyParser::Event::broken);
    EXPECT_EQ(parser.broken_reason(), "line too long");
}

TEST(ReplyParser, LongLinesUpToTheLimit) {
    const std::string line = "550 " + std::string(Limits::reply_line_bytes_max - 5, 'x');
    EXPECT_EQ(parse(line + "\r\n", {10, 700}).front()[0], '5');
    EXPECT_EQ(parse(line + "x\r\n", {10, 700}).front(), "!line too long");
    EXPECT_EQ(parse(line + "x\r\n").front(), "!line too long");
}

TEST(ReplyParser, TextIsBoundedAndPrintable) {
    std::string wire;
    for (int i = 0; i < 50; ++i) {
        wire += "550-" + std::string(400, 'x') + "\r\n";
    }
    const Replies replies = parse(wire + "550 end\r\n");
    ASSERT_EQ(replies.size(), 1U);
    EXPECT_LE(replies[0].size(), Limits::reply_text_bytes_max + 5);

    EXPECT_EQ(parse_every_way("550 a\0b\x1b[2Jc\rd\x7f\xff\tz\r\n"sv),
              Replies{"550  a?b?[2Jc?d?? z"});
    EXPECT_EQ(parse_every_way("550 utf-8: \xc3\xa9\xc2\x9b\r\n"), Replies{"550  utf-8: \xc3\xa9?"});
}

}  // namespace
}  // namespace smtp
