#include "mail/header_scan.h"

#include <string>

#include <gtest/gtest.h>

namespace mail {
namespace {

struct Outcome {
    bool ended = false;
    std::uint32_t received = 0;
    bool has_8bit = false;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

// The whole, after having checked that every cut gives the same.
Outcome scan(std::string_view text) {
    const auto outcome = [](std::initializer_list<std::string_view> pieces) {
        HeaderScan scan;
        for (const std::string_view piece : pieces) {
            scan.feed(std::string(piece));
        }
        return Outcome{scan.ended(), scan.received_count(), scan.has_8bit()};
    };
    const Outcome whole = outcome({text});
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        EXPECT_EQ(outcome({text.substr(0, cut), text.substr(cut)}), whole) << "cut at " << cut;
    }
    HeaderScan single;
    for (std::size_t i = 0; i < text.size(); ++i) {
        single.feed(text.substr(i, 1));
    }
    EXPECT_EQ(single.received_count(), whole.received);
    return whole;
}

TEST(HeaderScan, CountsReceived) {
    const Outcome outcome = scan(
        "Received: a\r\n\tReceived: folded\r\nRECEIVED : b\r\nReceived-SPF: no\r\nX: Received: "
        "y\r\n"
        "received:\r\n\r\nReceived: body\r\n");
    EXPECT_TRUE(outcome.ended);
    EXPECT_EQ(outcome.received, 3U);
}

TEST(HeaderScan, EndsWhereTheHeaderEnds) {
    EXPECT_FALSE(scan("A: b\r\n").ended);
    EXPECT_TRUE(scan("A: b\r\n\r\n").ended);
    EXPECT_TRUE(scan("\r\n").ended);
    EXPECT_TRUE(scan("no header at all\r\nReceived: x\r\n").ended);
    EXPECT_EQ(scan("no header at all\r\nReceived: x\r\n").received, 0U);
    EXPECT_TRUE(scan(" begins with a blank\r\n").ended);
    EXPECT_TRUE(scan("A: b\r\nword\r\n").ended);
    EXPECT_TRUE(scan(": no name\r\n").ended);
    EXPECT_TRUE(scan("A: b\n\nReceived: x\n").ended);
    EXPECT_EQ(scan("A: b\n\nReceived: x\n").received, 0U);
    EXPECT_TRUE(scan("A: b\r\n..dots\r\n").ended);
}

// A loop is a loop with an mbox line on top, too.
TEST(HeaderScan, AnMboxLineDoesNotEndTheHeaderBeforeItBegins) {
    for (const std::string_view line :
         {"From a@b Sun Nov 22 09:05:07 2026\r\n", ">From a@b: c\r\n", "From \r\n"}) {
        EXPECT_EQ(scan(std::string(line) + "Received: x\r\n\r\nReceived: y\r\n").received, 1U)
            << line;
        EXPECT_TRUE(scan("A: b\r\n" + std::string(line)).ended) << line;
        EXPECT_TRUE(scan(std::string(line) + line.data()).ended) << line;
    }
    EXPECT_TRUE(scan("From a\r\n folded\r\n").ended);
    EXPECT_TRUE(scan("Fromage a\r\n").ended);
    EXPECT_TRUE(scan(">>From a\r\n").ended);
    EXPECT_EQ(scan("From : a\r\n b\r\nReceived: x\r\n").received, 1U);
}

TEST(HeaderScan, Finds8BitInFieldsOnly) {
    EXPECT_TRUE(scan("Subject: \xc3\xa9\r\n").has_8bit);
    EXPECT_TRUE(scan("Subject: a\r\n \xc3\xa9\r\n").has_8bit);
    EXPECT_FALSE(scan("Subject: a\r\n\r\n\xc3\xa9\r\n").has_8bit);
    EXPECT_FALSE(scan("Subj\xc3\xa9: a\r\n").has_8bit) << "not a field, so body";
}

TEST(HeaderScan, NamesOfAnyLength) {
    EXPECT_EQ(scan(std::string(5000, 'n') + ": x\r\nReceived: y\r\n").received, 1U);
    EXPECT_EQ(scan("received" + std::string(50, 'd') + ": x\r\n").received, 0U);
}

}  // namespace
}  // namespace mail
