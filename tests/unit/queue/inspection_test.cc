// What is told of one message: its attempts, its header and content, and why it waits.
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/queue/relay_fixture.h"

namespace queue::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr std::string_view kAdded = "Received: by relay.test\r\n";

class InspectionTest : public RelayFixture {
  protected:
    InspectionTest() : RelayFixture(RetryPolicy({seconds(10), minutes(2)}, hours(1), minutes(30))) {
        options_.routes[0].connections_max = 1;
    }
    [[nodiscard]] mail::QueueId first() { return relay_.list().messages.at(0).id; }
};

TEST_F(InspectionTest, EveryAttemptIsToldAcrossARestartAndAKill) {
    relay_.start();
    answer_recipients("450 4.2.1 Later\r\n");
    relay_.submit_now({.to = {"b@dst.test", "c@dst.test"}});
    relay_.run_for(seconds(30));  // two attempts
    relay_.stop();
    answer_recipients("452 4.2.2 Mailbox full\r\n");
    relay_.start();
    relay_.run_for(minutes(3));
    answer_recipients("!silent");
    relay_.host().kill();
    ASSERT_TRUE(
        world_.run_until([this] { return relay_.host().starts() > 2 && relay_.up(); }, minutes(1)));
    const MessageDetail detail = relay_.detail(first());
    ASSERT_EQ(detail.recipients.size(), 2U);
    for (const DetailedRecipient& recipient : detail.recipients) {
        ASSERT_EQ(recipient.attempts.size(), 2U);
        const DetailedAttempts& before = recipient.attempts[0];
        EXPECT_EQ(before.count, 2U);
        EXPECT_EQ(before.reply.code, 450);
        EXPECT_EQ(before.reply.text, "Later");
        EXPECT_EQ(before.relay, "10.0.0.1:25");
        EXPECT_GE(before.last - before.first, seconds(10));
        const DetailedAttempts& last = recipient.attempts[1];
        EXPECT_GE(last.count, 1U);
        EXPECT_EQ(last.reply.code, 452);
        EXPECT_EQ(last.reply.status, (mail::EnhancedStatus{4, 2, 2}));
        EXPECT_GT(last.first, before.last);
    }
    EXPECT_EQ(detail.listed.recipients[0].attempts, 2 + detail.recipients[0].attempts[1].count);
}

TEST_F(InspectionTest, WordOfADelayIsNoAttempt) {
    options_.retry = RetryPolicy({minutes(10)}, hours(2), minutes(15));
    relay_.start();
    answer_recipients("450 4.2.1 Later\r\n");
    relay_.submit_now({});
    relay_.run_for(minutes(25));  // attempts at 0, 10 and 20 minutes
    const MessageDetail detail = relay_.detail(first());
    ASSERT_EQ(detail.recipients.size(), 1U);
    EXPECT_TRUE(detail.recipients[0].delay_told);
    EXPECT_EQ(detail.listed.recipients[0].attempts, 3U);
    ASSERT_EQ(detail.recipients[0].attempts.size(), 1U);
    EXPECT_EQ(detail.recipients[0].attempts[0].count, 3U);
    EXPECT_LT(detail.recipients[0].attempts[0].last, detail.listed.arrival + minutes(21));
    EXPECT_TRUE(relay_.explain(first()).delay_told[0]);
}

TEST_F(InspectionTest, HeaderAndContentAreAsTheyWouldBeSent) {
    relay_.start();
    server_.stop_listening();
    const std::string body = "\r\n..dot\r\nline\r\n";
    relay_.submit_now({.content = "Subject: x\r\n folded\r\n" + body, .envelope_id = "QQ1"});
    const mail::QueueId id = first();
    const MessageDetail detail = relay_.detail(id);
    EXPECT_EQ(detail.header, std::string(kAdded) + "Subject: x\r\n folded\r\n");
    EXPECT_FALSE(detail.header_cut);
    EXPECT_EQ(detail.envelope_id, "QQ1");
    EXPECT_EQ(detail.helo, "test");
    EXPECT_EQ(detail.client_address, "127.0.0.1");
    EXPECT_EQ(detail.protocol, "ESMTP");
    EXPECT_EQ(relay_.content(id),
              std::string(kAdded) + "Subject: x\r\n folded\r\n\r\n.dot\r\nline\r\n");
}

TEST_F(InspectionTest, ALongHeaderIsCutAndContentWithoutOneHasNone) {
    relay_.start();
    server_.stop_listening();
    std::string header;
    while (header.size() < 2 * MessageDetail::kHeaderBytesMax) {
        header += "X-Filler: " + std::string(900, 'x') + "\r\n";
    }
    relay_.submit_now({.content = header + "\r\nbody\r\n"});
    const MessageDetail cut = relay_.detail(first());
    EXPECT_TRUE(cut.header_cut);
    EXPECT_EQ(cut.header, (std::string(kAdded) + header).substr(0, MessageDetail::kHeaderBytesMax));
    EXPECT_EQ(relay_.content(first()), std::string(kAdded) + header + "\r\nbody\r\n");
    relay_.submit_now({.content = "\r\nbody\r\n\r\nmore\r\n"});
    const MessageDetail none = relay_.detail(relay_.list().messages.at(1).id);
    EXPECT_EQ(none.header, kAdded);
}

TEST_F(InspectionTest, ExplainsTimeAndLastReply) {
    relay_.start();
    answer_recipients("450 4.2.1 Later\r\n");
    relay_.submit_now({});
    relay_.run_for(seconds(2));
    const Explanation why = relay_.explain(first());
    ASSERT_EQ(why.listed.recipients.size(), 1U);
    const ListedRecipient& recipient = why.listed.recipients[0];
    EXPECT_FALSE(recipient.due);
    EXPECT_EQ(recipient.reply.code, 450);
    EXPECT_EQ(recipient.relay, "10.0.0.1:25");
    EXPECT_GT(recipient.next_attempt, why.listed.arrival);
    EXPECT_EQ(why.expires_at, why.listed.arrival + hours(1));
    EXPECT_EQ(why.delay_notice_at, why.listed.arrival + minutes(30));
    EXPECT_FALSE(why.site.dead);
    EXPECT_TRUE(why.store_takes_attempts);
}

TEST_F(InspectionTest, ExplainsTheLimitOfConnections) {
    relay_.start();
    answer_recipients("!silent");
    relay_.submit_now({});
    relay_.submit_now({});
    relay_.submit_now({});
    relay_.run_for(seconds(2));
    int ready = 0;
    for (const ListedMessage& message : relay_.list().messages) {
        const Explanation why = relay_.explain(message.id);
        EXPECT_TRUE(why.site.full);
        EXPECT_EQ(why.site.connections, 1U);
        EXPECT_EQ(why.site.connections_limit, 1U);
        EXPECT_EQ(why.site.ready, 2U);
        EXPECT_TRUE(why.listed.recipients[0].due);
        ready += why.listed.state == EntryState::ready ? 1 : 0;
    }
    EXPECT_EQ(ready, 2);
}

TEST_F(InspectionTest, ExplainsAHostThatDoesNotServe) {
    relay_.start();
    server_.greeting = "554 5.3.2 Not now\r\n";
    for (int i = 0; i < 6; ++i) {
        relay_.submit_now({});
    }
    relay_.run_for(seconds(2));
    bool seen = false;
    for (const ListedMessage& message : relay_.list().messages) {
        const Explanation why = relay_.explain(message.id);
        EXPECT_TRUE(why.site.dead);
        EXPECT_THAT(why.site.last_words, HasSubstr("Not now"));
        ASSERT_EQ(why.site.hosts.size(), 1U);
        EXPECT_EQ(why.site.hosts[0].name, "10.0.0.1:25");
        EXPECT_THAT(why.site.hosts[0].words, HasSubstr("Not now"));
        seen = seen || why.listed.state == EntryState::ready;
    }
    EXPECT_TRUE(seen);
    server_.greeting = "220 peer.test ESMTP\r\n";
    EXPECT_TRUE(relay_.drain(minutes(5)));
}

}  // namespace
}  // namespace queue::test
