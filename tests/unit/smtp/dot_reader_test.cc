#include "smtp/dot_reader.h"

#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/prng.h"
#include "unit/smtp/wire_oracle.h"

namespace smtp {
namespace {

using namespace std::literals;

struct Outcome {
    std::string stored;
    bool ended = false;
    std::string left;  // of the input, behind the end
    ContentVerdict verdict = ContentVerdict::good;
    mail::ContentFacts facts;
    std::uint64_t bare_line_ends = 0;

    // What came out before a refusal depends on the cuts, and goes nowhere.
    friend bool operator==(const Outcome& a, const Outcome& b) {
        return a.ended == b.ended && a.left == b.left && a.verdict == b.verdict &&
               (a.verdict != ContentVerdict::good || a.stored == b.stored) &&
               a.facts.stored_bytes == b.facts.stored_bytes &&
               a.facts.stuffed_dots == b.facts.stuffed_dots &&
               a.facts.has_8bit == b.facts.has_8bit &&
               a.facts.has_8bit_header == b.facts.has_8bit_header &&
               a.facts.ends_in_crlf == b.facts.ends_in_crlf && a.bare_line_ends == b.bare_line_ends;
    }
    friend void PrintTo(const Outcome& outcome, std::ostream* out) {
        *out << testing::PrintToString(outcome.stored) << " verdict "
             << static_cast<int>(outcome.verdict) << " ended " << outcome.ended << " bytes "
             << outcome.facts.stored_bytes;
    }
};

constexpr DotReader::Options kRefuse{LineEndings::refuse, 0, 100};
constexpr DotReader::Options kNormalise{LineEndings::normalise, 0, 100};

// Feeds `wire` cut at `cuts` (ascending), each piece from a buffer of its own that dies behind it.
Outcome read(std::string_view wire, const DotReader::Options& options, bool chunks = false,
             const std::vector<std::size_t>& cuts = {}) {
    DotReader reader;
    chunks ? reader.start_chunks(options) : reader.start_data(options);
    Outcome outcome;
    std::string_view run;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= cuts.size() && !outcome.ended; ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : wire.size();
        const std::string piece(wire.substr(begin, end - begin));
        std::string_view input = piece;
        for (;;) {
            const DotReader::Event event = reader.next(input, run);
            if (event == DotReader::Event::run) {
                EXPECT_FALSE(run.empty());
                outcome.stored += run;
                continue;
            }
            outcome.ended = event == DotReader::Event::end;
            if (outcome.ended) {
                outcome.left = std::string(input) + std::string(wire.substr(end));
            } else {
                EXPECT_TRUE(input.empty());
            }
            break;
        }
        begin = end;
    }
    while (chunks && reader.finish(run)) {
        outcome.stored += run;
    }
    outcome.verdict = reader.verdict();
    outcome.facts = reader.facts();
    outcome.bare_line_ends = reader.bare_line_ends();
    return outcome;
}

// As read(), after having checked that every cut, and octet by octet, gives the same.
Outcome read_every_way(std::string_view wire, const DotReader::Options& options,
                       bool chunks = false) {
    const Outcome whole = read(wire, options, chunks);
    std::vector<std::size_t> all;
    for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
        EXPECT_EQ(read(wire, options, chunks, {cut}), whole) << "cut at " << cut;
        all.push_back(cut);
    }
    EXPECT_EQ(read(wire, options, chunks, all), whole) << "octet by octet";
    return whole;
}

TEST(DotReader, EndsAtCrlfDotCrlf) {
    const Outcome outcome = read_every_way("A: b\r\n\r\nbody\r\n.\r\nMAIL FROM:<>\r\n", kRefuse);
    EXPECT_EQ(outcome.stored, "A: b\r\n\r\nbody\r\n");
    EXPECT_TRUE(outcome.ended);
    EXPECT_EQ(outcome.left, "MAIL FROM:<>\r\n");
    EXPECT_EQ(outcome.verdict, ContentVerdict::good);
    EXPECT_TRUE(outcome.facts.dot_stuffed);
    EXPECT_EQ(outcome.facts.stuffed_dots, 0U);
    EXPECT_EQ(outcome.facts.stored_bytes, outcome.stored.size());
}

TEST(DotReader, EmptyBodyEndsAtOnce) {
    const Outcome outcome = read_every_way(".\r\nQUIT\r\n", kRefuse);
    EXPECT_EQ(outcome.stored, "");
    EXPECT_TRUE(outcome.ended);
    EXPECT_EQ(outcome.left, "QUIT\r\n");
}

TEST(DotReader, KeepsAndCountsStuffedDots) {
    const Outcome outcome = read_every_way("..\r\n..a\r\n.b\r\na.\r\n...\r\n.\r\n", kRefuse);
    EXPECT_EQ(outcome.stored, "..\r\n..a\r\n.b\r\na.\r\n...\r\n");
    EXPECT_EQ(outcome.facts.stuffed_dots, 4U);
    EXPECT_EQ(outcome.facts.content_bytes(), outcome.stored.size() - 4);
    EXPECT_EQ(outcome.verdict, ContentVerdict::good);
}

TEST(DotReader, RunsLieInThePieceUnlessSomethingIsAdded) {
    const std::string wire = "A: b\r\n\r\n..dots\r\nand more\r\n.\r\n";
    DotReader reader;
    reader.start_data(kRefuse);
    std::string_view input = wire;
    std::string_view run;
    ASSERT_EQ(reader.next(input, run), DotReader::Event::run);
    EXPECT_EQ(run.data(), wire.data());
    EXPECT_EQ(run.size(), wire.size() - 3);
    EXPECT_EQ(reader.next(input, run), DotReader::Event::end);
}

// What smuggling is made of: each of these is "end of data" to some server, and text to us.
TEST(DotReader, NoneOfTheSmugglersEndsEndsTheData) {
    const std::vector<std::string> fakes = {
        "\n.\n",        "\n.\r\n",      "\r.\r\n",      "\r.\r",       "\n.\r",      "\r\n.\n",
        "\r\n.\r",      "\r\n.\r\r\n",  "\r\r\n.\r",    "\r\n\n.\r\n", "\n\n.\r\n",  "\r\n\0.\r\n"s,
        "\r\n.\0\r\n"s, "\r\n.\r\0\n"s, "\r\0\n.\r\n"s, "\r\n .\r\n",  "\r\n. \r\n", "\r\n..\r\n",
    };
    for (const std::string& fake : fakes) {
        const std::string wire = "a" + fake + "MAIL FROM:<x@y>\r\n";
        for (const auto& options : {kRefuse, kNormalise}) {
            SCOPED_TRACE(testing::PrintToString(wire));
            EXPECT_FALSE(read_every_way(wire, options).ended);
            const Outcome outcome = read_every_way(wire + ".\r\nleft", options);
            EXPECT_TRUE(outcome.ended);
            EXPECT_EQ(outcome.left, "left");
            EXPECT_FALSE(oracle::end_of_data(outcome.stored)) << "an end inside what is stored";
            EXPECT_FALSE(oracle::has_bare_line_end(outcome.stored));
        }
    }
}

TEST(DotReader, NormalisesAsWritten) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"a\nb", "a\r\nb\r\n"},
        {"a\rb", "a\r\nb\r\n"},
        {"a\r\rb", "a\r\n\r\nb\r\n"},
        {"a\n\rb", "a\r\n\r\nb\r\n"},
        {"a\n.\nb", "a\r\n..\r\nb\r\n"},  // would be an end
        {"a\n.b", "a\r\n..b\r\n"},        // would lose its dot
        {"a\r.b", "a\r\n..b\r\n"},
        {"a\n.\r\nb", "a\r\n..\r\nb\r\n"},
        {"a\r\n.\nb", "a\r\n..\r\nb\r\n"},
        {"a\r\n.\rb", "a\r\n..\r\nb\r\n"},
        {"a\r\n.\r.b", "a\r\n..\r\n..b\r\n"},
        {"a\r\n.b\n.c", "a\r\n.b\r\n..c\r\n"},  // the first dot is the sender's stuffing
        {"\n.b", "\r\n..b\r\n"},
        {".\nb", "..\r\nb\r\n"},
    };
    for (const auto& [text, stored] : cases) {
        SCOPED_TRACE(testing::PrintToString(text));
        const Outcome outcome = read_every_way(text + "\r\n.\r\n", kNormalise);
        EXPECT_EQ(outcome.stored, stored);
        EXPECT_EQ(outcome.verdict, ContentVerdict::good);
        EXPECT_EQ(outcome.facts.content_bytes(), oracle::unstuff(outcome.stored).size());
    }
}

TEST(DotReader, CrCrLfThenDotIsTheEnd) {
    // The octets CRLF.CRLF are there; the CR before them is a bare one.
    const Outcome lenient = read_every_way("a\r\r\n.\r\n", kNormalise);
    EXPECT_EQ(lenient.stored, "a\r\n\r\n");
    EXPECT_TRUE(lenient.ended);
    EXPECT_EQ(lenient.bare_line_ends, 1U);
    const Outcome strict = read_every_way("a\r\r\n.\r\nleft", kRefuse);
    EXPECT_TRUE(strict.ended);
    EXPECT_EQ(strict.left, "left");
    EXPECT_EQ(strict.verdict, ContentVerdict::bare_line_end);
}

// Every text of up to eight octets over the four that matter, against the oracle.
TEST(DotReader, AllShortTextsAgreeWithTheOracle) {
    for (std::size_t size = 0; size <= 7; ++size) {
        for (std::size_t number = 0; number < (1ULL << (2 * size)); ++number) {
            const std::string wire = oracle::word("a.\r\n", size, number) + "\r\n.\r\nZ";
            const std::size_t end = oracle::end_of_data(wire).value();
            const std::string content = wire.substr(0, end - 3);
            const std::string plain = oracle::normalise(oracle::unstuff(content));
            for (const std::size_t cut : {std::size_t{0}, size / 2, size}) {
                const Outcome lenient = read(wire, kNormalise, false, {cut});
                ASSERT_TRUE(lenient.ended) << testing::PrintToString(wire);
                ASSERT_EQ(lenient.left, wire.substr(end)) << testing::PrintToString(wire);
                ASSERT_EQ(oracle::unstuff(lenient.stored), plain) << testing::PrintToString(wire);
                ASSERT_FALSE(oracle::end_of_data(lenient.stored));
                ASSERT_EQ(lenient.facts.content_bytes(), plain.size());
                const Outcome strict = read(wire, kRefuse, false, {cut});
                ASSERT_EQ(strict.left, wire.substr(end));
                ASSERT_EQ(strict.verdict, oracle::has_bare_line_end(content)
                                              ? ContentVerdict::bare_line_end
                                              : ContentVerdict::good)
                    << testing::PrintToString(wire);
                if (strict.verdict == ContentVerdict::good) {
                    ASSERT_EQ(strict.stored, content);
                }
            }
        }
    }
}

TEST(DotReader, RandomTextInRandomPieces) {
    base::Prng random(2);
    for (int round = 0; round < 3000; ++round) {
        std::string wire;
        while (wire.size() < 200 + random.below(400)) {
            const std::vector<std::string> parts = {
                "\r\n",     "\r\n.",  "\n",
                "\r",       ".",      "a line of text",
                "\xc3\xa9", "\r\n..", std::string(random.below(40), 'x')};
            wire += parts[random.below(parts.size())];
        }
        wire += "\r\n.\r\n";
        std::vector<std::size_t> cuts;
        for (std::size_t at = random.below(30); at < wire.size(); at += 1 + random.below(50)) {
            cuts.push_back(at);
        }
        for (const bool chunks : {false, true}) {
            for (const auto& options : {kRefuse, kNormalise}) {
                ASSERT_EQ(read(wire, options, chunks, cuts), read(wire, options, chunks));
            }
        }
    }
}

TEST(DotReader, NulIsRefusedUnderBothPolicies) {
    for (const auto& options : {kRefuse, kNormalise}) {
        const Outcome outcome = read_every_way("a\0b\r\n.\r\nleft"s, options);
        EXPECT_EQ(outcome.verdict, ContentVerdict::nul);
        EXPECT_EQ(outcome.left, "left");
        EXPECT_EQ(read_every_way("a\0b\r\n"s, options, true).verdict, ContentVerdict::nul);
    }
}

TEST(DotReader, TooBigIsReadToItsEnd) {
    DotReader::Options options = kRefuse;
    options.message_bytes_max = 10;
    // Ten octets as RFC 1870 counts them: stuffing and final dot not, CRLFs yes.
    EXPECT_EQ(read_every_way("..3456789\r\n.\r\n", options).verdict, ContentVerdict::good);
    EXPECT_EQ(read_every_way("12345678\r\n.\r\n", options).verdict, ContentVerdict::good);
    const Outcome outcome = read_every_way("123456789\r\n.\r\nleft", options);
    EXPECT_EQ(outcome.verdict, ContentVerdict::too_big);
    EXPECT_TRUE(outcome.ended);
    EXPECT_EQ(outcome.left, "left");
    EXPECT_EQ(read_every_way("12345678\r\n", options, true).verdict, ContentVerdict::good);
    EXPECT_EQ(read_every_way("..345678\r\n1", options, true).verdict, ContentVerdict::too_big);
}

TEST(DotReader, LoopGuardCountsReceivedFields) {
    std::string headers;
    for (int i = 0; i < 99; ++i) {
        headers += "Received: from a by b;\r\n\tSun, 22 Nov 2026 00:00:00 +0000\r\n";
    }
    EXPECT_EQ(read_every_way(headers + "\r\nReceived: in the body\r\n.\r\n", kRefuse).verdict,
              ContentVerdict::good);
    EXPECT_EQ(read(headers + "received : x\r\n\r\n.\r\n", kRefuse).verdict, ContentVerdict::loop);
}

TEST(DotReader, TellsHeaderFromBodyFor8Bit) {
    const Outcome body = read_every_way("A: b\r\n\r\n\xc3\xa9\r\n.\r\n", kRefuse);
    EXPECT_TRUE(body.facts.has_8bit);
    EXPECT_FALSE(body.facts.has_8bit_header);
    const Outcome header = read_every_way("A: \xc3\xa9\r\n\r\nx\r\n.\r\n", kRefuse);
    EXPECT_TRUE(header.facts.has_8bit);
    EXPECT_TRUE(header.facts.has_8bit_header);
    const Outcome none = read_every_way("A: b\r\n\r\nx\r\n.\r\n", kRefuse);
    EXPECT_FALSE(none.facts.has_8bit);
    // No header section at all: the first line is body.
    const Outcome bare = read_every_way("caf\xc3\xa9 au lait\r\n.\r\n", kRefuse);
    EXPECT_TRUE(bare.facts.has_8bit);
    EXPECT_FALSE(bare.facts.has_8bit_header);
}

TEST(DotReader, LongLinesAreTaken) {
    const std::string at_limit(998, 'x');
    const std::string above(999, 'y');
    const std::string lines = at_limit + "\r\n" + above + "\r\n" + above + above + "\r\n";
    const Outcome outcome = read_every_way(lines + ".\r\n", kRefuse);
    EXPECT_EQ(outcome.verdict, ContentVerdict::good);
    EXPECT_EQ(outcome.stored, lines);
}

TEST(DotReader, EndsAcrossBlockBoundaries) {
    for (std::size_t power = 0; power < 4; ++power) {
        const std::size_t block = 4096U << power;
        for (std::size_t size = block - 3; size <= block + 3; ++size) {
            const std::string body = std::string(size - 2, 'b') + "\r\n";
            const std::string wire = body + ".\r\nleft";
            const Outcome outcome = read(wire, kRefuse, false, {block});
            EXPECT_EQ(outcome.stored, body);
            EXPECT_EQ(outcome.left, "left");
        }
    }
}

TEST(DotReader, ChunksPassDotsAndNoticeBareLineEnds) {
    const Outcome outcome = read_every_way("A: b\r\n\r\n.\r\n..\r\nend", kRefuse, true);
    EXPECT_EQ(outcome.stored, "A: b\r\n\r\n.\r\n..\r\nend");
    EXPECT_EQ(outcome.verdict, ContentVerdict::good);
    EXPECT_FALSE(outcome.facts.dot_stuffed);
    EXPECT_EQ(outcome.facts.stuffed_dots, 0U);
    EXPECT_FALSE(outcome.facts.ends_in_crlf);
    EXPECT_TRUE(read_every_way("x\r\n", kRefuse, true).facts.ends_in_crlf);
    EXPECT_TRUE(read_every_way("", kRefuse, true).facts.ends_in_crlf);

    EXPECT_EQ(read_every_way("a\nb\r\n", kRefuse, true).verdict, ContentVerdict::bare_line_end);
    EXPECT_EQ(read_every_way("a\r\n\r", kRefuse, true).verdict, ContentVerdict::bare_line_end);
    const Outcome open_cr = read_every_way("a\n.\nb\r", kNormalise, true);
    EXPECT_EQ(open_cr.stored, "a\r\n.\r\nb\r\n");
    EXPECT_TRUE(open_cr.facts.ends_in_crlf);
    EXPECT_EQ(open_cr.bare_line_ends, 3U);
}

TEST(DotReader, AllShortChunksAgreeWithTheOracle) {
    for (std::size_t size = 0; size <= 7; ++size) {
        for (std::size_t number = 0; number < (1ULL << (2 * size)); ++number) {
            const std::string wire = oracle::word("a.\r\n", size, number);
            for (std::size_t cut = 0; cut <= size; ++cut) {
                const Outcome outcome = read(wire, kNormalise, true, {cut});
                ASSERT_EQ(outcome.stored, oracle::normalise(wire));
                ASSERT_EQ(outcome.facts.ends_in_crlf,
                          outcome.stored.empty() || outcome.stored.ends_with("\r\n"));
            }
        }
    }
}

TEST(DotReader, StartForgetsTheLastMessage) {
    DotReader reader;
    std::string_view run;
    reader.start_data(kRefuse);
    std::string_view input = "Received: x\r\n\xff\n\r";
    while (reader.next(input, run) == DotReader::Event::run) {
    }
    EXPECT_EQ(reader.verdict(), ContentVerdict::bare_line_end);
    reader.start_data(kRefuse);
    input = ".\r\n";
    EXPECT_EQ(reader.next(input, run), DotReader::Event::end);
    EXPECT_EQ(reader.verdict(), ContentVerdict::good);
    EXPECT_FALSE(reader.facts().has_8bit);
    EXPECT_EQ(reader.bare_line_ends(), 0U);
}

TEST(DotReader, EachVerdictHasItsReply) {
    EXPECT_EQ(reply_for(ContentVerdict::bare_line_end).code, 550);
    EXPECT_EQ(reply_for(ContentVerdict::bare_line_end).status, (mail::EnhancedStatus{5, 5, 2}));
    EXPECT_EQ(reply_for(ContentVerdict::too_big).code, 552);
    EXPECT_EQ(reply_for(ContentVerdict::too_big).status, (mail::EnhancedStatus{5, 3, 4}));
    EXPECT_EQ(reply_for(ContentVerdict::loop).code, 554);
    EXPECT_EQ(reply_for(ContentVerdict::loop).status, (mail::EnhancedStatus{5, 4, 6}));
    EXPECT_EQ(reply_for(ContentVerdict::nul).code, 550);
}

}  // namespace
}  // namespace smtp
