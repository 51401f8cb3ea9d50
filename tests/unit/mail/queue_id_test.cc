#include "mail/queue_id.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "base/prng.h"

namespace mail {
namespace {

TEST(QueueId, Fields) {
    const QueueId id(255, QueueId::kEpochMax, QueueId::kSequenceMax);
    EXPECT_EQ(id.value(), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(id.partition(), 255U);
    EXPECT_EQ(id.epoch(), QueueId::kEpochMax);
    EXPECT_EQ(id.sequence(), QueueId::kSequenceMax);
    const QueueId small(3, 7, 9);
    EXPECT_EQ(small.partition(), 3U);
    EXPECT_EQ(small.epoch(), 7U);
    EXPECT_EQ(small.sequence(), 9U);
}

TEST(QueueId, TextAndBack) {
    EXPECT_EQ(view(QueueId().text()), "0000000000000");
    EXPECT_EQ(view(QueueId(std::numeric_limits<std::uint64_t>::max()).text()), "FVVVVVVVVVVVV");
    base::Prng random(5);
    for (int i = 0; i < 1000; ++i) {
        const QueueId id(random.next());
        const QueueId::Text text = id.text();
        EXPECT_EQ(QueueId::parse(view(text)), id);
        std::string lower(view(text));
        for (char& c : lower) {
            c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        }
        EXPECT_EQ(QueueId::parse(lower), id);
    }
}

TEST(QueueId, TextSortsAsTheNumber) {
    base::Prng random(6);
    for (int i = 0; i < 1000; ++i) {
        const QueueId a(random.next() >> random.below(64));
        const QueueId b(random.next() >> random.below(64));
        EXPECT_EQ(a < b, a.text() < b.text());
    }
    EXPECT_LT(QueueId(1, 2, QueueId::kSequenceMax), QueueId(1, 3, 0));
}

TEST(QueueId, WhatIsNoId) {
    for (const std::string_view text :
         {"", "0", "000000000000", "00000000000000", "G000000000000", "g000000000000",
          "000000000000W", "00000 0000000", "0000000000000"}) {
        EXPECT_FALSE(QueueId::parse(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace mail
