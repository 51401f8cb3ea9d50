#include "mail/plain_blocks.h"

#include <string>

#include <gtest/gtest.h>

#include "base/prng.h"

namespace mail {
namespace {

// Whether the block at `data` is plain, octet by octet.
bool take_slowly(const char* data, PlainBlocks& walk) {
    PlainBlocks next = walk;
    next.last_lf = 0;
    for (std::size_t i = 0; i < PlainBlocks::kBytes; ++i) {
        const char c = data[i];
        const bool behind_cr = next.cr_before != 0;
        if (c == '\0' || (c == '\n') != behind_cr ||
            (c == '.' && walk.dots_count && next.line_before != 0)) {
            return false;
        }
        next.cr_before = c == '\r' ? 1 : 0;
        next.line_before = c == '\n' ? 1 : 0;
        next.last_lf |= static_cast<std::uint64_t>(c == '\n') << i;
        next.has_8bit = next.has_8bit || static_cast<unsigned char>(c) > 127;
    }
    walk = next;
    return true;
}

std::string content(base::Prng& random) {
    std::string text;
    while (text.size() < 6 * PlainBlocks::kBytes) {
        text.append(random.below(90), 'x');
        if (random.below(60) == 0) {
            constexpr std::string_view kAccidents("\0\r\n.\xc3\n\r\r..", 10);
            text += kAccidents[random.below(kAccidents.size())];
        }
        text += random.below(8) == 0 ? "\r\nx.x\xe4" : "\r\n";
    }
    return text;
}

TEST(PlainBlocks, EachWayCountsAsOctetsDo) {
    base::Prng random(1);
    for (const internal::CountPlainBlocks count : internal::plain_block_ways()) {
        for (int round = 0; round < 20'000; ++round) {
            const std::string text = content(random);
            const PlainBlocks start{.dots_count = random.below(2) == 0,
                                    .line_before = random.below(2)};
            PlainBlocks expected = start;
            std::size_t plain = 0;
            while (plain < 6 && take_slowly(text.data() + plain * PlainBlocks::kBytes, expected)) {
                ++plain;
            }
            PlainBlocks walk = start;
            ASSERT_EQ(count(text.data(), 6, walk), plain) << testing::PrintToString(text);
            EXPECT_EQ(walk.line_before, expected.line_before);
            EXPECT_EQ(walk.cr_before, expected.cr_before);
            EXPECT_EQ(walk.last_lf, expected.last_lf);
            EXPECT_EQ(walk.has_8bit, expected.has_8bit);
        }
    }
}

}  // namespace
}  // namespace mail
