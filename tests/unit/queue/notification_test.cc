// Who is told of what, by the queue over the real store, in simulated time.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/queue/relay_fixture.h"

namespace queue::test {
namespace {

using mail::Notify;
using smtp::test::TakenMessage;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Status = mail::AttemptEvent::Status;

class NotificationTest : public RelayFixture {
  protected:
    NotificationTest() : RelayFixture(RetryPolicy({minutes(10)}, hours(2), minutes(15))) {}

    [[nodiscard]] std::vector<TakenMessage> notifications() const {
        std::vector<TakenMessage> found;
        for (const TakenMessage& one : server_.taken) {
            if (one.mail_line.starts_with("MAIL FROM:<>")) {
                found.push_back(one);
            }
        }
        return found;
    }
    [[nodiscard]] std::size_t count(Status status) {
        return static_cast<std::size_t>(
            std::ranges::count(relay_.log().attempts, status, &RecordingLog::Attempt::status));
    }
};

// No room, and nobody who serves: it is tried now and then, and not all the time.
TEST_F(NotificationTest, WordOfADelayThatFindsNoRoomKeepsNoShardBusy) {
    server_.stop_listening();
    relay_.start();
    relay_.submit_now({});
    relay_.submit_now({});
    relay_.run_for(minutes(14));
    relay_.fill_up(true);
    const std::uint64_t before = world_.events();
    relay_.run_for(minutes(20));
    EXPECT_LT(world_.events() - before, 200'000U);
    EXPECT_EQ(count(Status::delayed), 0U);
    relay_.fill_up(false);
    relay_.run_for(minutes(5));
    EXPECT_EQ(count(Status::delayed), 2U);
}

// What is due waits for the next hop, and has no time of its own.
TEST_F(NotificationTest, WordOfADelayTellsNoTimeThatIsOver) {
    answer_recipients("450 4.2.0 later\r\n");
    relay_.start();
    for (int i = 0; i < 100; ++i) {
        relay_.submit_now({});
    }
    relay_.run_for(minutes(9));
    server_.stop_listening();
    relay_.submit_now({});  // finds that out
    relay_.run_for(minutes(8));
    ASSERT_EQ(count(Status::delayed), 100U);  // due at the tenth, and one at a time is tried
    for (const RecordingLog::Attempt& attempt : relay_.log().attempts) {
        EXPECT_GE(attempt.next, base::Duration::zero());
        if (attempt.status == Status::deferred) {
            EXPECT_GT(attempt.next, base::Duration::zero());
        }
    }
}

TEST_F(NotificationTest, TheLogLinksItWithItsMessage) {
    using Kind = mail::NotificationEvent::Kind;
    options_.double_bounce_to = "postmaster@src.test";
    answer_recipients("550 5.1.1 no such user\r\n");
    relay_.start();
    relay_.submit_now({.from = "a@dst.test", .to = {"b@dst.test", "c@dst.test"}});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    const auto& told = relay_.log().notifications;
    ASSERT_EQ(told.size(), 2U);  // the bounce is refused, too
    EXPECT_EQ(told[0].kind, Kind::failed);
    EXPECT_EQ(told[0].id, relay_.log().attempts.at(0).id);
    EXPECT_EQ(told[0].to, "a@dst.test");
    EXPECT_EQ(told[0].recipients, 2U);
    EXPECT_EQ(told[1].kind, Kind::double_bounce);
    EXPECT_EQ(told[1].id, told[0].notification);
    EXPECT_EQ(told[1].to, "postmaster@src.test");
}

TEST_F(NotificationTest, AffectedByNotify) {
    answer_recipients("550 5.1.1 no such user\r\n");
    relay_.start();
    relay_.submit_now({.notify = {Notify::kNever}});
    relay_.submit_now({.notify = {Notify::kSuccess}});
    relay_.submit_now({.notify = {Notify::kFailure}, .envelope_id = "ID+2B1"});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    ASSERT_EQ(notifications().size(), 1U);
    EXPECT_THAT(notifications()[0].content, HasSubstr("Original-Envelope-Id: ID+1\r\n"));
    EXPECT_EQ(count(Status::bounced), 3U);
}

TEST_F(NotificationTest, DelayIsToldOnceAndInTimeAndAcrossARestart) {
    answer_recipients("450 4.2.0 later\r\n");
    relay_.start();
    relay_.submit_now({.to = {"b@dst.test", "c@dst.test"}});
    relay_.submit_now({.from = "", .to = {"n@dst.test"}});
    relay_.submit_now({.to = {"s@dst.test"}, .notify = {Notify::kSuccess | Notify::kFailure}});
    relay_.run_for(minutes(14));
    EXPECT_EQ(notifications().size(), 0U);
    relay_.run_for(minutes(2));  // between the attempts behind 10 and 20 minutes
    ASSERT_EQ(notifications().size(), 1U);
    EXPECT_THAT(notifications()[0].recipients, ElementsAre("<a@src.test>"));
    EXPECT_THAT(notifications()[0].content, HasSubstr("Action: delayed"));
    EXPECT_THAT(notifications()[0].content, HasSubstr("450 4.2.0 later"));
    EXPECT_THAT(notifications()[0].content, HasSubstr("c@dst.test"));
    EXPECT_EQ(count(Status::delayed), 2U);
    relay_.stop();
    relay_.start();
    relay_.run_for(minutes(40));
    EXPECT_EQ(notifications().size(), 1U);
    EXPECT_EQ(count(Status::delayed), 2U);
    server_.reply = nullptr;
    ASSERT_TRUE(relay_.drain(minutes(30)));
}

TEST_F(NotificationTest, DelayIsToldWhileTheNextHopIsAwayTo) {
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 5; ++i) {
        relay_.submit_now({});
    }
    relay_.run_for(minutes(16));
    EXPECT_EQ(count(Status::delayed), 5U);
    server_.listen("10.0.0.1:25");
    ASSERT_TRUE(relay_.drain(minutes(30)));
    EXPECT_EQ(notifications().size(), 5U);
    EXPECT_EQ(server_.taken.size(), 10U);
    EXPECT_EQ(count(Status::delayed), 5U);
}

// A find of the simulator: word of a delay that lay in the future again kept the attempt from
// coming.
TEST_F(NotificationTest, AClockSetBackHoldsUpNoAttempt) {
    answer_recipients("450 4.2.0 later\r\n");
    relay_.start();
    relay_.submit_now({});
    relay_.run_for(seconds(1));
    ASSERT_EQ(relay_.log().attempts.size(), 1U);
    world_.step_wall(-hours(12));
    server_.reply = nullptr;
    ASSERT_TRUE(relay_.drain(minutes(25)));
    EXPECT_EQ(count(Status::sent), 1U);
}

TEST_F(NotificationTest, HandedOnIsToldWhereTheNextHopWillNot) {
    relay_.start();
    relay_.submit_now({.notify = {Notify::kSuccess}});
    relay_.submit_now({.from = "", .notify = {Notify::kSuccess}});
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    ASSERT_EQ(notifications().size(), 2U);  // and the one that came with the null path
    const bool first = notifications()[0].content.contains("Action: relayed");
    const TakenMessage told = notifications()[first ? 0 : 1];
    EXPECT_THAT(told.content, HasSubstr("Action: relayed\r\nStatus: 2.0.0\r\n"));
    EXPECT_THAT(told.recipients, ElementsAre("<a@src.test>"));
    // Who speaks DSN tells himself.
    server_.taken.clear();
    server_.extensions.emplace_back("DSN");
    relay_.run_for(seconds(20));
    relay_.submit_now({.notify = {Notify::kSuccess}});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(notifications().size(), 0U);
    EXPECT_THAT(server_.lines, testing::Contains("RCPT TO:<b@dst.test> NOTIFY=SUCCESS"));
}

TEST_F(NotificationTest, TheWholeMessageComesBackWhereItIsAskedFor) {
    answer_recipients("550 5.1.1 no such user\r\n");
    options_.returned_bytes_max = 100;
    relay_.start();
    const std::string content = "Subject: x\r\n\r\nHello\r\n..dot\r\n";
    relay_.submit_now({.content = content, .ret = mail::ReturnContent::full});
    relay_.submit_now(
        {.content = content + std::string(100, 'x') + "\r\n", .ret = mail::ReturnContent::full});
    relay_.submit_now({.content = content, .ret = mail::ReturnContent::headers});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    ASSERT_EQ(notifications().size(), 3U);
    EXPECT_THAT(notifications()[0].content,
                HasSubstr("Content-Type: message/rfc822\r\n\r\nReceived: by relay.test\r\nSubject: "
                          "x\r\n\r\nHello\r\n.dot\r\n\r\n--=_ringpost_"));
    for (const int i : {1, 2}) {
        EXPECT_THAT(notifications()[static_cast<std::size_t>(i)].content,
                    HasSubstr("text/rfc822-headers"));
        EXPECT_THAT(notifications()[static_cast<std::size_t>(i)].content, Not(HasSubstr("Hello")));
    }
}

TEST_F(NotificationTest, AWholeMessageIsOneThatEveryNextHopTakes) {
    answer_recipients("550 5.1.1 no such user\r\n");
    server_.extensions = {"PIPELINING"};
    relay_.start();
    relay_.submit_now({.content = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                  "Content-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n",
                       .ret = mail::ReturnContent::full,
                       .has_8bit = true});
    relay_.submit_now({.content = "MIME-Version: 1.0\r\nContent-Type: multipart/signed; "
                                  "boundary=x\r\n\r\n--x\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n--x--\r\n",
                       .ret = mail::ReturnContent::full,
                       .has_8bit = true});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    ASSERT_EQ(notifications().size(), 2U);
    EXPECT_THAT(notifications()[0].content, HasSubstr("gr=C3=BC=C3=9F"));
    EXPECT_THAT(notifications()[1].content, HasSubstr("text/rfc822-headers"));
}

TEST_F(NotificationTest, ADoubleBounceGoesToThePostmasterOnce) {
    options_.double_bounce_to = "postmaster@ops.test";
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "550 5.1.1 nobody\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(minutes(2)));
    ASSERT_EQ(relay_.log().attempts.size(), 3U);
    EXPECT_EQ(relay_.log().attempts[1].to, "a@src.test");
    EXPECT_EQ(relay_.log().attempts[2].to, "postmaster@ops.test");
    EXPECT_THAT(relay_.log().infos, testing::Contains(HasSubstr("postmaster@ops.test has failed")));
}

TEST_F(NotificationTest, WithoutAPostmasterADoubleBounceIsDroppedWithALine) {
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "550 5.1.1 nobody\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(minutes(2)));
    EXPECT_EQ(relay_.log().attempts.size(), 2U);
    EXPECT_THAT(relay_.log().infos, testing::Contains(HasSubstr("set queue.double_bounce_to")));
}

// Above the limit nobody is failed whose sender is not told: the next hop is asked again in time.
TEST_F(NotificationTest, ARefusalWhoseWordIsOneTooManyIsDeferred) {
    options_.notifications_per_domain_max = 3;
    answer_recipients("550 5.1.1 no such user\r\n");
    relay_.start();
    for (int i = 0; i < 10; ++i) {
        relay_.submit_now({.notify = {Notify::kFailure}});
    }
    relay_.run_for(minutes(1));
    EXPECT_EQ(notifications().size(), 3U);
    EXPECT_EQ(count(Status::bounced), 3U);
    EXPECT_EQ(count(Status::deferred), 7U);
    EXPECT_THAT(relay_.log().warnings,
                ElementsAre(HasSubstr("too many notifications to src.test")));
    ASSERT_TRUE(relay_.drain(minutes(40)));
    EXPECT_EQ(notifications().size(), 10U);
    EXPECT_EQ(count(Status::bounced), 10U);
    EXPECT_EQ(count(Status::deferred), 7U + 4U + 1U);
}

// What has expired waits for the limit alone, also while nobody serves, and keeps no shard busy.
TEST_F(NotificationTest, ExpiriesAboveTheLimitAreToldInTurn) {
    options_.notifications_per_domain_max = 3;
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 10; ++i) {
        relay_.submit_now({.notify = {Notify::kFailure}});
    }
    relay_.run_for(hours(2) - minutes(1));
    EXPECT_EQ(relay_.scheduler().counts().total(), 10U);
    for (const std::size_t told : {3U, 6U, 9U, 10U}) {
        const std::uint64_t before = world_.events();
        relay_.run_for(told == 3 ? seconds(85) : seconds(61));
        EXPECT_EQ(count(Status::expired), told);
        EXPECT_LT(world_.events() - before, 3'000U);
    }
    server_.listen("10.0.0.1:25");
    ASSERT_TRUE(relay_.drain(minutes(20)));
    EXPECT_EQ(notifications().size(), 10U);
    EXPECT_EQ(count(Status::bounced), 0U);
}

TEST_F(NotificationTest, ExpiriesWaitForTheLimitAcrossARestart) {
    options_.notifications_max = 2;
    answer_recipients("450 4.2.0 later\r\n");
    relay_.start();
    for (int i = 0; i < 5; ++i) {
        relay_.submit_now({.from = "a@src" + std::to_string(i), .notify = {Notify::kFailure}});
    }
    relay_.run_for(hours(2) + seconds(10));
    EXPECT_EQ(notifications().size(), 2U);
    const std::vector<ListedMessage> waiting = relay_.list().messages;
    ASSERT_EQ(waiting.size(), 3U);
    for (const ListedMessage& message : waiting) {
        EXPECT_EQ(relay_.explain(message.id).put_off, PutOff::notification_limit);
    }
    relay_.stop();
    relay_.start();
    relay_.run_for(seconds(10));
    EXPECT_EQ(notifications().size(), 4U);  // a start counts anew
    ASSERT_TRUE(relay_.drain(minutes(2)));
    EXPECT_EQ(notifications().size(), 5U);
    EXPECT_EQ(count(Status::expired), 5U);
}

TEST_F(NotificationTest, AnOperatorsBounceOfManyTellsAllOfTheirSenders) {
    options_.notifications_per_domain_max = 3;
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 12; ++i) {
        relay_.submit_now({.from = (i < 11 ? "a@src.test" : "a@other.test")});
    }
    relay_.run_for(minutes(1));
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::bounce}));
    relay_.run_for(seconds(20));
    EXPECT_GE(count(Status::bounced), 3U);
    EXPECT_LE(count(Status::bounced), 4U);
    EXPECT_EQ(relay_.scheduler().rules().under_way().size(), 1U);
    const std::uint64_t before = world_.events();
    relay_.run_for(seconds(30));
    EXPECT_LT(world_.events() - before, 2'000U);
    relay_.run_for(minutes(4));
    EXPECT_EQ(count(Status::bounced), 12U);
    EXPECT_TRUE(relay_.scheduler().rules().under_way().empty());
    EXPECT_LE(relay_.log().warnings.size(), 6U);  // one for each minute, and that nobody serves
    server_.listen("10.0.0.1:25");
    ASSERT_TRUE(relay_.drain(minutes(20)));
    EXPECT_EQ(notifications().size(), 12U);
}

// Nobody was told of it yet, so there is nothing that it would take back.
TEST_F(NotificationTest, ADeleteWaitsForNoBounceThatIsUntold) {
    options_.notifications_per_domain_max = 1;
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 12; ++i) {
        relay_.submit_now({.from = "a@src.test", .to = {i % 2 == 0 ? "b@x.test" : "c@y.test"}});
    }
    relay_.run_for(minutes(1));
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::bounce}));
    relay_.run_for(seconds(5));
    const std::size_t bounced = count(Status::bounced);
    EXPECT_LE(bounced, 2U);
    std::size_t waiting = 0;
    for (const ListedMessage& message : relay_.list().messages) {
        for (const ListedRecipient& recipient : message.recipients) {
            waiting += message.sender.empty() ? 0 : 1;
            EXPECT_TRUE(message.sender.empty() || recipient.to_be_bounced());
            EXPECT_FALSE(store::is_final(recipient.status_now));
        }
    }
    EXPECT_EQ(waiting, 12 - bounced);
    // What they mean is to be read first; others go on waiting, and shards rest meanwhile.
    const std::uint64_t before = world_.events();
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::erase, .domain = "x.test"}));
    relay_.run_for(seconds(5));
    for (const ListedMessage& message : relay_.list().messages) {
        EXPECT_TRUE(message.sender.empty() || message.recipients.at(0).path == "c@y.test");
    }
    EXPECT_LT(world_.events() - before, 2'000U);
    EXPECT_LE(count(Status::bounced), bounced);
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::erase}));
    relay_.run_for(seconds(2));
    EXPECT_EQ(relay_.scheduler().counts().total(), 0U);
    EXPECT_TRUE(relay_.scheduler().rules().under_way().empty());
    EXPECT_EQ(count(Status::bounced), bounced);
}

// … and heeds the rules between, though they wait, too.
TEST_F(NotificationTest, ADeleteHeedsAHoldThatWaitsBehindABounce) {
    options_.notifications_per_domain_max = 1;
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 12; ++i) {  // more than are looked at beside each other
        relay_.submit_now({.from = "a@src.test", .to = {"b@x.test"}});
    }
    relay_.submit_now({.from = "boss@src.test", .to = {"c@y.test"}});
    relay_.run_for(minutes(1));
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::bounce, .domain = "x.test"}));
    relay_.run_for(seconds(5));
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::hold, .sender = "boss@src.test"}));
    const auto deferred =
        static_cast<std::uint8_t>(1U << static_cast<unsigned>(store::RecipientStatus::deferred) |
                                  1U << static_cast<unsigned>(store::RecipientStatus::pending));
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::erase, .statuses = deferred}));
    relay_.run_for(seconds(5));
    ASSERT_EQ(relay_.list().messages.size(), 1U);
    EXPECT_EQ(relay_.list().messages[0].sender, "boss@src.test");
    EXPECT_EQ(relay_.scheduler().counts().held, 1U);
}

// One message is looked at by no walk.
TEST_F(NotificationTest, ADeleteOfOneMessageWaitsForNoBounceEither) {
    options_.notifications_per_domain_max = 1;
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 4; ++i) {
        relay_.submit_now({.from = "a@src.test"});
    }
    relay_.run_for(minutes(1));
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::bounce}));
    relay_.run_for(seconds(5));
    const std::size_t bounced = count(Status::bounced);
    for (const ListedMessage& message : relay_.list().messages) {
        if (!message.sender.empty()) {
            ASSERT_TRUE(relay_.rule({.action = store::RuleAction::erase, .only = message.id}));
        }
    }
    relay_.run_for(seconds(2));
    for (const ListedMessage& message : relay_.list().messages) {
        EXPECT_EQ(message.sender, "");  // notifications
    }
    EXPECT_EQ(count(Status::bounced), bounced);
}

// A rule over one message ends when it is carried out, though a bounce over many goes on.
TEST_F(NotificationTest, ABounceThatWaitsForTheLimitHoldsUpNoRuleOverAnotherMessage) {
    options_.notifications_per_domain_max = 1;
    server_.stop_listening();
    relay_.start();
    for (const char* from : {"a@src.test", "a@src.test", "a@src.test", "b@other.test"}) {
        relay_.submit_now({.from = from});
    }
    relay_.run_for(seconds(10));
    mail::QueueId other;
    for (const ListedMessage& message : relay_.list().messages) {
        other = message.sender == "b@other.test" ? message.id : other;
    }
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::bounce, .sender = "@src.test"}));
    relay_.run_for(seconds(5));
    ASSERT_EQ(relay_.scheduler().rules().under_way().size(), 1U);
    ASSERT_TRUE(relay_.rule({.action = store::RuleAction::hold, .only = other}));
    relay_.run_for(seconds(5));
    ASSERT_EQ(relay_.scheduler().rules().under_way().size(), 1U);
    EXPECT_EQ(relay_.scheduler().rules().under_way()[0].rule.action, store::RuleAction::bounce);
    EXPECT_EQ(relay_.scheduler().counts().held, 1U);
}

TEST_F(NotificationTest, ThePostmasterIsToldOfAllDoubleBouncesInTurn) {
    options_.double_bounce_to = "postmaster@ops.test";
    options_.notifications_per_domain_max = 1;
    answer_recipients("550 5.1.1 no such user\r\n");
    relay_.start();
    relay_.submit_now({.from = ""});
    relay_.submit_now({.from = ""});
    relay_.run_for(minutes(1));
    EXPECT_EQ(count(Status::bounced), 1U);
    EXPECT_EQ(count(Status::deferred), 1U);
    ASSERT_TRUE(relay_.drain(minutes(15)));
    EXPECT_EQ(count(Status::bounced), 2U);
    EXPECT_EQ(notifications().size(), 2U);
}

// They only inform, and are no reason to keep a message.
TEST_F(NotificationTest, WordOfHandOversAboveTheLimitIsDropped) {
    options_.notifications_per_domain_max = 1;
    relay_.start();
    relay_.submit_now({.notify = {Notify::kSuccess}});
    relay_.submit_now({.notify = {Notify::kSuccess}});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(notifications().size(), 1U);
    EXPECT_EQ(count(Status::sent), 3U);
}

TEST_F(NotificationTest, ARouteHasTimesOfItsOwn) {
    options_.routes[0].retry = RetryPolicy({seconds(5)}, seconds(20), seconds(8));
    answer_recipients("450 4.2.0 later\r\n");
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(count(Status::delayed), 1U);
    EXPECT_EQ(count(Status::expired), 1U);
    ASSERT_EQ(notifications().size(), 2U);
    EXPECT_THAT(notifications()[1].content, HasSubstr("Status: 5.4.7"));
}

}  // namespace
}  // namespace queue::test
