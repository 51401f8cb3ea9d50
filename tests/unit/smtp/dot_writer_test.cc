#include "smtp/dot_writer.h"

#include <string>

#include <gtest/gtest.h>

#include "unit/smtp/wire_oracle.h"

namespace smtp {
namespace {

using namespace std::literals;

struct Outcome {
    std::string wire;
    std::uint64_t repairs = 0;
};

enum class By { data, chunks };

Outcome write(std::string_view stored, const mail::ContentFacts& facts, By by, std::size_t cut) {
    DotWriter writer;
    by == By::data ? writer.start_data(facts) : writer.start_chunks(facts);
    Outcome outcome;
    std::string_view run;
    for (const std::string_view span : {stored.substr(0, cut), stored.substr(cut)}) {
        const std::string piece(span);
        std::string_view input = piece;
        while (writer.next(input, run)) {
            EXPECT_FALSE(run.empty());
            outcome.wire += run;
        }
        EXPECT_TRUE(input.empty());
    }
    while (writer.finish(run)) {
        outcome.wire += run;
    }
    outcome.repairs = writer.repairs();
    return outcome;
}

Outcome write_every_way(std::string_view stored, const mail::ContentFacts& facts, By by) {
    const Outcome whole = write(stored, facts, by, stored.size());
    for (std::size_t cut = 0; cut < stored.size(); ++cut) {
        const Outcome split = write(stored, facts, by, cut);
        EXPECT_EQ(split.wire, whole.wire) << "cut at " << cut;
        EXPECT_EQ(split.repairs, whole.repairs);
    }
    return whole;
}

mail::ContentFacts stuffed(std::uint64_t dots) {
    mail::ContentFacts facts;
    facts.dot_stuffed = true;
    facts.stuffed_dots = dots;
    return facts;
}

TEST(DotWriter, StuffedContentGoesByDataUntouched) {
    const std::string stored = "A: b\r\n\r\n..\r\n..x\r\n.y\r\n";
    DotWriter writer;
    writer.start_data(stuffed(3));
    std::string_view input = stored;
    std::string_view run;
    ASSERT_TRUE(writer.next(input, run));
    EXPECT_EQ(run.data(), stored.data());
    EXPECT_EQ(run.size(), stored.size());
    const Outcome outcome = write_every_way(stored, stuffed(3), By::data);
    EXPECT_EQ(outcome.wire, stored + ".\r\n");
    EXPECT_EQ(outcome.repairs, 0U);
}

TEST(DotWriter, PlainContentIsStuffedForData) {
    const Outcome outcome = write_every_way(".\r\n..\r\na.b\r\n.c", {}, By::data);
    EXPECT_EQ(outcome.wire, "..\r\n...\r\na.b\r\n..c\r\n.\r\n");
    EXPECT_EQ(outcome.repairs, 0U);
}

TEST(DotWriter, StuffedContentIsUnstuffedForChunks) {
    const Outcome outcome = write_every_way("..\r\n..x\r\n.y\r\nz\r\n", stuffed(3), By::chunks);
    EXPECT_EQ(outcome.wire, ".\r\n.x\r\ny\r\nz\r\n");
    EXPECT_EQ(outcome.repairs, 0U);
}

TEST(DotWriter, PlainContentGoesByChunksUntouched) {
    EXPECT_EQ(write_every_way(".\r\n..\r\nend", {}, By::chunks).wire, ".\r\n..\r\nend");
    EXPECT_EQ(write_every_way("", {}, By::chunks).wire, "");
}

TEST(DotWriter, ClosesTheLastLineAndTheData) {
    EXPECT_EQ(write_every_way("", {}, By::data).wire, ".\r\n");
    EXPECT_EQ(write_every_way("x", {}, By::data).wire, "x\r\n.\r\n");
    EXPECT_EQ(write_every_way("x\r\n", {}, By::data).wire, "x\r\n.\r\n");
    EXPECT_EQ(write_every_way("x\r\n\r\n", stuffed(0), By::data).wire, "x\r\n\r\n.\r\n");
}

// What must never be in the store; should it be, it still never reaches the wire.
TEST(DotWriter, RepairsWhatTheStoreShouldNotHold) {
    struct Case {
        std::string stored;
        std::string wire;  // by DATA, without the final dot line
    };
    const Case cases[] = {
        {"a\nb\r\n", "a\r\nb\r\n"},
        {"a\rb\r\n", "a\r\nb\r\n"},
        {"a\r\n.\r\nMAIL\r\n", "a\r\n..\r\nMAIL\r\n"},
        {".\r\nMAIL\r\n", "..\r\nMAIL\r\n"},
        {"a\n.\nMAIL\r\n", "a\r\n..\r\nMAIL\r\n"},
        {"a\r\n.\nMAIL\r\n", "a\r\n..\r\nMAIL\r\n"},
        {"a\r\n.\rMAIL\r\n", "a\r\n..\r\nMAIL\r\n"},
        {"a\r\n\0.\r\nMAIL\r\n"s, "a\r\n?.\r\nMAIL\r\n"},
        {"a\r\n.\0\r\nMAIL\r\n"s, "a\r\n.?\r\nMAIL\r\n"},
        {"a\r\n.\r\0\nMAIL\r\n"s, "a\r\n..\r\n?\r\nMAIL\r\n"},
        {"a\r\n.", "a\r\n..\r\n"},
        {"a\r\n.\r", "a\r\n..\r\n"},
        {"a\r", "a\r\n"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(testing::PrintToString(c.stored));
        const Outcome outcome = write_every_way(c.stored, stuffed(1), By::data);
        EXPECT_EQ(outcome.wire, c.wire + ".\r\n");
        EXPECT_GT(outcome.repairs, 0U);
    }
    EXPECT_EQ(write_every_way("a\nb\0\r\n"s, {}, By::chunks).wire, "a\r\nb?\r\n");
}

// Whatever is stored, and whatever the facts say of it: one end, at the end, and no bare line end.
TEST(DotWriter, AllShortTextsLeaveSafely) {
    for (std::size_t size = 0; size <= 7; ++size) {
        for (std::size_t number = 0; number < (1ULL << (2 * size)); ++number) {
            const std::string stored = oracle::word("a.\r\n", size, number);
            for (const mail::ContentFacts& facts : {stuffed(0), stuffed(1), mail::ContentFacts{}}) {
                const Outcome data = write(stored, facts, By::data, size / 2);
                ASSERT_EQ(oracle::end_of_data(data.wire), data.wire.size())
                    << testing::PrintToString(stored);
                ASSERT_FALSE(oracle::has_bare_line_end(data.wire));
                const Outcome chunks = write(stored, facts, By::chunks, size / 2);
                ASSERT_FALSE(oracle::has_bare_line_end(chunks.wire));
                if (!facts.dot_stuffed) {
                    const std::string body = data.wire.substr(0, data.wire.size() - 3);
                    const std::string plain = oracle::normalise(stored);
                    const bool open = !plain.empty() && !plain.ends_with("\r\n");
                    ASSERT_EQ(oracle::unstuff(body), plain + (open ? "\r\n" : ""));
                    ASSERT_EQ(chunks.wire, plain);
                }
            }
        }
    }
}

}  // namespace
}  // namespace smtp
