#include "store/message_table.h"

#include <array>

#include <gtest/gtest.h>

#include "base/prng.h"

namespace store {
namespace {

mail::QueueId id_of(std::uint64_t sequence) {
    return {3, 7, sequence};
}

// Against a model, over a size at which it has split thousands of buckets.
TEST(MessageTable, FindsWhatItHoldsAndNothingElse) {
    MessageTable table;
    std::vector<bool> there(40'000);
    base::Prng prng(11);
    for (int step = 0; step < 120'000; ++step) {
        const std::uint64_t at = prng.below(there.size());
        if (Message* message = table.find(id_of(at))) {
            ASSERT_TRUE(there[at]);
            ASSERT_EQ(message->id(), id_of(at));
            if (prng.below(3) == 0) {
                table.remove(*message);
                there[at] = false;
            }
        } else {
            ASSERT_FALSE(there[at]);
            table.add({id_of(at), Location(1, 2, 3, false), static_cast<std::int64_t>(at)}, {});
            there[at] = true;
        }
    }
    std::size_t count = 0;
    for (std::uint64_t i = 0; i < there.size(); ++i) {
        ASSERT_EQ(table.find(id_of(i)) != nullptr, there[i]);
        count += there[i] ? 1 : 0;
    }
    EXPECT_EQ(table.size(), count);
    EXPECT_GT(count, 10'000U);
    table.clear();
    EXPECT_EQ(table.size(), 0U);
    EXPECT_EQ(table.find(id_of(5)), nullptr);
}

TEST(MessageTable, KeepsRecipientsAndSegments) {
    MessageTable table;
    const std::array<format::SegmentShare, 2> two{{{7, 3}, {8, 4}}};
    const std::array<format::SegmentShare, 1> one_more{{{9, 5}}};
    Message& one = table.add({id_of(1), Location(9, 2, 3, true), 12'345}, two);
    Message& many = table.add({id_of(2), Location(9, 2, 4, false), 12'346, 50}, {});
    EXPECT_EQ(one.recipients().size(), 1U);
    EXPECT_EQ(many.recipients().size(), 50U);
    many.recipients()[49].status = RecipientStatus::delivered;
    EXPECT_EQ(many.recipients()[48].status, RecipientStatus::pending);
    EXPECT_EQ(base::unix_ms(one.arrival()), 12'345);
    EXPECT_EQ(table.other_segments(one).size(), 2U);
    EXPECT_TRUE(table.other_segments(many).empty());
    table.move(one, Location(12, 1, 0, true), 77, one_more);
    EXPECT_EQ(table.other_segments(one).size(), 1U);
    EXPECT_EQ(one.units(), 77U);
    table.move(one, Location(13, 1, 0, false), 78, {});
    EXPECT_TRUE(table.other_segments(one).empty());
    table.remove(one);
    Message& again = table.add({id_of(1), Location(10, 2, 3, true)}, one_more);
    EXPECT_EQ(table.other_segments(again).size(), 1U);
}

// What is said of memory in the header, with the chunks' own share.
TEST(MessageTable, CostsWhatItSays) {
    MessageTable table;
    constexpr std::size_t kMessages = 100'000;
    for (std::size_t i = 0; i < kMessages; ++i) {
        table.add({id_of(i), Location(1, 2, 3, false)}, {});
    }
    EXPECT_LT(table.bytes() / kMessages, 84U);
}

}  // namespace
}  // namespace store
