// What is kept of the attempts before the last one.
#include "store/attempt_history.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "store/format.h"
#include "store/outcome_buffer.h"
#include "store/record_reader.h"
#include "store/stored_message.h"

namespace store {
namespace {

base::WallTime at(std::int64_t ms) {
    return base::wall_from_unix_ms(ms);
}

AttemptRun attempt(std::int64_t ms, std::string_view reply, std::string_view relay = "mx.test") {
    return {.first = at(ms),
            .last = at(ms),
            .count = 1,
            .gap = false,
            .code = 450,
            .status = {4, 2, 1},
            .relay = relay,
            .reply = reply};
}

std::vector<std::byte> encoded(const AttemptHistory& history) {
    std::vector<std::byte> bytes;
    history.append_to(bytes);
    EXPECT_EQ(bytes.size(), history.bytes());
    EXPECT_LE(bytes.size(), AttemptHistory::kBytesMax);
    return bytes;
}

StoredOutcome outcome(std::uint32_t attempts, std::int64_t ms, std::string reply) {
    StoredOutcome value;
    value.attempts = attempts;
    value.at = at(ms);
    value.reply = {.code = 450, .status = {4, 2, 1}, .text = std::move(reply)};
    value.relay = "mx.test";
    return value;
}

void set_history(StoredOutcome& value, const AttemptHistory& history) {
    value.history.assign(base::as_text(encoded(history)));
}

TEST(AttemptHistory, AttemptsAlikeInARowAreOneRun) {
    AttemptHistory history;
    history.add(attempt(1, "later"));
    history.add(attempt(2, "later"));
    history.add(attempt(3, "full"));
    history.add(attempt(4, "later"));
    history.add(attempt(5, "later", "other.test"));
    const std::vector<std::byte> bytes = encoded(history);
    AttemptHistory read;
    ASSERT_TRUE(read.decode(bytes));
    ASSERT_EQ(read.runs().size(), 4U);
    EXPECT_EQ(read.attempts(), 5U);
    EXPECT_EQ(read.runs()[0].count, 2U);
    EXPECT_EQ(read.runs()[0].first, at(1));
    EXPECT_EQ(read.runs()[0].last, at(2));
    EXPECT_EQ(read.runs()[0].reply, "later");
    EXPECT_EQ(read.runs()[0].code, 450);
    EXPECT_EQ(read.runs()[0].status, (mail::EnhancedStatus{4, 2, 1}));
    EXPECT_EQ(read.runs()[1].reply, "full");
    EXPECT_EQ(read.runs()[2].relay, "mx.test");
    EXPECT_EQ(read.runs()[3].relay, "other.test");
}

TEST(AttemptHistory, WhatIsTooMuchGoesFromTheMiddle) {
    AttemptHistory history;
    for (int i = 0; i < 1000; ++i) {
        const std::string reply = "reply " + std::to_string(i);
        history.add(attempt(i, reply));
        std::vector<std::byte> bytes = encoded(history);  // keeps the texts that it views
        AttemptHistory read;
        ASSERT_TRUE(read.decode(bytes));
        ASSERT_EQ(read.attempts(), static_cast<std::uint64_t>(i) + 1);
        ASSERT_EQ(read.runs().front().reply, i == 0 ? "reply 0" : read.runs().front().reply);
        ASSERT_EQ(read.runs().back().reply, "reply " + std::to_string(i));
        static std::vector<std::byte> kept;
        kept = std::move(bytes);
        ASSERT_TRUE(history.decode(kept));
    }
    ASSERT_EQ(history.runs().size(), AttemptHistory::kRunsMax);
    EXPECT_EQ(history.runs()[0].reply, "reply 0");
    const AttemptRun& gap = history.runs()[1];
    EXPECT_TRUE(gap.gap);
    EXPECT_EQ(gap.count, 1000U - 15U);
    EXPECT_EQ(gap.first, at(1));
    EXPECT_EQ(gap.last, at(985));
    EXPECT_EQ(history.runs()[2].reply, "reply 986");
}

TEST(AttemptHistory, LongTextsAreCutAndBoundTheWhole) {
    AttemptHistory history;
    std::vector<std::string> replies;
    for (int i = 0; i < 40; ++i) {
        replies.push_back(std::to_string(i) + std::string(500, 'x'));
    }
    const std::string relay(500, 'r');
    for (const std::string& reply : replies) {
        history.add(attempt(1, reply, relay));
        EXPECT_LE(history.bytes(), AttemptHistory::kBytesMax);
    }
    EXPECT_EQ(history.attempts(), 40U);
    EXPECT_EQ(history.runs().back().reply.size(), AttemptHistory::kReplyBytesMax);
    EXPECT_EQ(history.runs().back().relay.size(), AttemptHistory::kRelayBytesMax);
    EXPECT_EQ(history.runs()[0].reply.substr(0, 2), "0x");
    EXPECT_GE(history.runs().size(), 5U);
}

TEST(AttemptHistory, TakesARecordsOwnAttemptBehindThoseBefore) {
    AttemptHistory history;
    const StoredOutcome first = outcome(1, 10, "first");
    history.take(first);
    StoredOutcome second = outcome(2, 20, "second");
    set_history(second, history);
    history.take(second);
    ASSERT_EQ(history.runs().size(), 2U);
    EXPECT_EQ(history.runs()[0].reply, "first");
    EXPECT_EQ(history.runs()[1].reply, "second");
    EXPECT_EQ(history.runs()[1].first, at(20));
    // One that gives up is no attempt.
    StoredOutcome expired = outcome(2, 99, "second");
    set_history(expired, history);
    history.take(expired);
    EXPECT_EQ(history.attempts(), 2U);
    EXPECT_EQ(history.runs()[1].last, at(20));
}

TEST(AttemptHistory, WhatIsNotKnownIsAGap) {
    AttemptHistory history;
    history.take(outcome(5, 50, "fifth"));  // of a version that kept no history
    ASSERT_EQ(history.runs().size(), 2U);
    EXPECT_TRUE(history.runs()[0].gap);
    EXPECT_EQ(history.runs()[0].count, 4U);
    EXPECT_EQ(history.attempts(), 5U);

    StoredOutcome damaged = outcome(3, 30, "third");
    damaged.history = "no history";
    history.take(damaged);
    ASSERT_EQ(history.runs().size(), 2U);
    EXPECT_EQ(history.runs()[0].count, 2U);
    EXPECT_EQ(history.runs()[1].reply, "third");

    // A gap at the front takes up what has to go.
    std::vector<std::string> replies;
    for (int i = 0; i < 40; ++i) {
        replies.push_back(std::to_string(i));
    }
    for (const std::string& reply : replies) {
        history.add(attempt(100, reply));
    }
    EXPECT_EQ(history.attempts(), 43U);
    EXPECT_TRUE(history.runs()[0].gap);
    EXPECT_FALSE(history.runs()[1].gap);
    EXPECT_EQ(history.runs().back().reply, "39");
}

TEST(AttemptHistory, EveryTruncationIsRefused) {
    AttemptHistory history;
    history.add(attempt(1, "later"));
    const std::vector<std::byte> bytes = encoded(history);
    AttemptHistory read;
    for (std::size_t size = 1; size < bytes.size(); ++size) {
        EXPECT_FALSE(read.decode(base::Bytes(bytes).first(size))) << size;
        EXPECT_TRUE(read.runs().empty());
    }
    EXPECT_TRUE(read.decode({}));
    EXPECT_EQ(read.attempts(), 0U);
}

TEST(AttemptHistory, IsWrittenAndReadWithTheOutcome) {
    AttemptHistory history;
    history.add(attempt(1, "later"));
    history.add(attempt(2, "full"));
    const std::vector<std::byte> bytes = encoded(history);
    MessageTable table;
    Message& message = table.add({mail::QueueId(0, 1, 9), Location(3, 4, 5, false), 0, 1}, {});
    OutcomeBuffer buffer;
    Outcome written;
    written.attempts = 3;
    written.status = RecipientStatus::deferred;
    written.reply = "third";
    written.delay_told = true;
    written.history = bytes;
    buffer.add(message, written);
    buffer.plan();
    RecordReader reader(buffer.planned_bytes(), 1);
    StoredOutcome stored;
    ASSERT_TRUE(decode_outcome(*reader.next(), stored));
    EXPECT_TRUE(stored.delay_told);
    history.take(stored);
    ASSERT_EQ(history.runs().size(), 3U);
    EXPECT_EQ(history.runs()[1].reply, "full");
    EXPECT_EQ(history.runs()[2].reply, "third");
}

}  // namespace
}  // namespace store
