// The queue over the real store, in simulated time.
#include <algorithm>
#include <string>
#include <vector>

#include <sys/socket.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/queue/relay_fixture.h"

namespace queue::test {
namespace {

using smtp::test::ScriptedServer;
using smtp::test::TakenMessage;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using Status = mail::AttemptEvent::Status;

std::vector<std::string> recipients_numbered(int count) {
    std::vector<std::string> paths;
    for (int i = 0; i < count; ++i) {
        paths.push_back("r" + std::to_string(i) + "@dst.test");
    }
    return paths;
}

class QueueTest : public RelayFixture {
  protected:
    QueueTest() : RelayFixture(RetryPolicy({seconds(5), seconds(30), minutes(5)}, hours(1))) {}

    [[nodiscard]] std::vector<Status> statuses() {
        std::vector<Status> out;
        for (const RecordingLog::Attempt& attempt : relay_.log().attempts) {
            out.push_back(attempt.status);
        }
        return out;
    }
    // How long after the one before each attempt came.
    [[nodiscard]] std::vector<base::Duration> gaps() {
        std::vector<base::Duration> out;
        const auto& attempts = relay_.log().attempts;
        for (std::size_t i = 1; i < attempts.size(); ++i) {
            out.push_back(attempts[i].at - attempts[i - 1].at);
        }
        return out;
    }
};

TEST_F(QueueTest, DeliversWhatWasCommitted) {
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(10)));
    ASSERT_EQ(server_.taken.size(), 1U);
    EXPECT_EQ(server_.taken[0].content, "Received: by relay.test\r\nSubject: x\r\n\r\nHello\r\n");
    ASSERT_EQ(relay_.log().attempts.size(), 1U);
    const RecordingLog::Attempt& attempt = relay_.log().attempts[0];
    EXPECT_EQ(attempt.status, Status::sent);
    EXPECT_EQ(attempt.to, "b@dst.test");
    EXPECT_EQ(attempt.relay, "10.0.0.1:25");
    EXPECT_EQ(attempt.reply, "taken");
    ASSERT_EQ(relay_.log().removals.size(), 1U);
    EXPECT_EQ(relay_.log().removals[0].delivered, 1U);
}

TEST_F(QueueTest, ConnectionsAreReusedAndLimited) {
    options_.routes[0].connections_max = 3;
    std::size_t most = 0;
    server_.reply = [&](const std::string&) -> std::string {
        most = std::max(most, server_.open_connections());
        return "";
    };
    relay_.start();
    for (int i = 0; i < 60; ++i) {
        relay_.submit({});
    }
    ASSERT_TRUE(world_.run_until([&] { return relay_.durable() == 60; }, seconds(10)));
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(server_.taken.size(), 60U);
    EXPECT_EQ(most, 3U);
    EXPECT_EQ(server_.connections(), 3U);
    // Nobody stays connected for ever.
    relay_.run_for(seconds(10));
    EXPECT_EQ(server_.open_connections(), 0U);
    EXPECT_EQ(server_.lines.back(), "QUIT");
}

TEST_F(QueueTest, DeferredIsTriedAgainInTimeAndNeverEarly) {
    int refusals = 4;
    server_.reply = [&](const std::string& line) -> std::string {
        return line.starts_with("RCPT") && refusals-- > 0 ? "450 4.2.0 later\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(hours(1)));
    EXPECT_THAT(statuses(), ElementsAre(Status::deferred, Status::deferred, Status::deferred,
                                        Status::deferred, Status::sent));
    const std::vector<base::Duration> waits = {seconds(5), seconds(30), minutes(5), minutes(5)};
    ASSERT_EQ(gaps().size(), waits.size());
    for (std::size_t i = 0; i < waits.size(); ++i) {
        EXPECT_GE(gaps()[i], waits[i]) << i;
        EXPECT_LE(gaps()[i], waits[i] + seconds(3)) << i;
    }
    EXPECT_EQ(relay_.log().attempts.back().attempts, 5U);
}

TEST_F(QueueTest, RestartContinuesWhereItWas) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "450 4.2.0 later\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    relay_.run_for(seconds(10));  // two attempts; the third is due 30 s behind the second
    ASSERT_EQ(relay_.log().attempts.size(), 2U);
    relay_.stop();
    relay_.start();
    EXPECT_EQ(relay_.scheduler().counts().deferred, 1U);
    relay_.run_for(seconds(15));
    EXPECT_EQ(relay_.log().attempts.size(), 2U);
    server_.reply = nullptr;
    ASSERT_TRUE(relay_.drain(minutes(1)));
    ASSERT_EQ(relay_.log().attempts.size(), 3U);
    EXPECT_EQ(relay_.log().attempts[2].attempts, 3U);
    EXPECT_GE(gaps()[1], seconds(30));
    EXPECT_LE(gaps()[1], seconds(33));
}

TEST_F(QueueTest, TimeThatPassedWhileDownMakesItReady) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "450 4.2.0 later\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    relay_.run_for(seconds(2));
    relay_.stop();
    server_.reply = nullptr;
    relay_.run_for(minutes(10));
    relay_.start();
    ASSERT_TRUE(relay_.drain(seconds(3)));
    EXPECT_EQ(server_.taken.size(), 1U);
}

TEST_F(QueueTest, RefusedForGoodGivesOneNotification) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line == "RCPT TO:<no1@dst.test>" || line == "RCPT TO:<no2@dst.test>"
                   ? "550 5.1.1 no such user\r\n"
                   : "";
    };
    relay_.start();
    relay_.submit_now({.to = {"no1@dst.test", "yes@dst.test", "no2@dst.test"}});
    ASSERT_TRUE(relay_.drain(seconds(20)));
    ASSERT_EQ(server_.taken.size(), 2U);
    const TakenMessage& notification = server_.taken[1];
    EXPECT_THAT(notification.mail_line, HasSubstr("MAIL FROM:<>"));
    EXPECT_THAT(notification.recipients, ElementsAre("<a@src.test>"));
    EXPECT_THAT(notification.content, HasSubstr("multipart/report"));
    EXPECT_THAT(notification.content, HasSubstr("no1@dst.test"));
    EXPECT_THAT(notification.content, HasSubstr("no2@dst.test"));
    EXPECT_THAT(notification.content, testing::Not(HasSubstr("yes@dst.test")));
    EXPECT_THAT(notification.content, HasSubstr("550 5.1.1 no such user"));
    EXPECT_THAT(notification.content, HasSubstr("Subject: x"));
    EXPECT_EQ(relay_.log().removals[0].failed, 2U);
    EXPECT_EQ(relay_.log().removals[0].delivered, 1U);
}

TEST_F(QueueTest, NullReversePathGetsNoNotification) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "550 5.1.1 no such user\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({.from = "", .to = {"no@dst.test"}});
    ASSERT_TRUE(relay_.drain(seconds(20)));
    EXPECT_THAT(statuses(), ElementsAre(Status::bounced));
    EXPECT_TRUE(server_.taken.empty());
}

// The server's side lets no such content in; whatever did, it does not leave as it is.
TEST_F(QueueTest, ContentThatIsPutRightOnTheWayOutIsAWarning) {
    relay_.start();
    relay_.submit_now({.content = "Subject: x\r\n\r\na\nb\r\n"});
    ASSERT_TRUE(relay_.drain(seconds(20)));
    ASSERT_EQ(server_.taken.size(), 1U);
    EXPECT_THAT(server_.taken[0].content, HasSubstr("a\r\nb\r\n"));
    const auto id = relay_.log().attempts[0].id.text();
    EXPECT_THAT(
        relay_.log().warnings,
        ElementsAre(testing::AllOf(HasSubstr(std::string(mail::view(id))),
                                   HasSubstr(": 1 were put right on the way to 10.0.0.1:25"))));
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(20)));
    EXPECT_EQ(relay_.log().warnings.size(), 1U);
}

TEST_F(QueueTest, ABouncedNotificationIsDropped) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "550 5.1.1 no such user\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(20)));
    EXPECT_THAT(statuses(), ElementsAre(Status::bounced, Status::bounced));
}

TEST_F(QueueTest, NobodyFailsWithoutANotificationThatIsStored) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line == "RCPT TO:<b@dst.test>" ? "550 5.1.1 no such user\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    relay_.fill_up(true);
    relay_.run_for(seconds(20));
    EXPECT_THAT(statuses(), testing::Each(Status::deferred));
    EXPECT_GE(statuses().size(), 1U);
    EXPECT_EQ(relay_.scheduler().counts().deferred, 1U);
    EXPECT_TRUE(server_.taken.empty());
    relay_.fill_up(false);
    ASSERT_TRUE(relay_.drain(minutes(2)));
    ASSERT_EQ(server_.taken.size(), 1U);
    EXPECT_THAT(server_.taken[0].content, HasSubstr("no such user"));
    EXPECT_EQ(statuses()[statuses().size() - 2], Status::bounced);
}

TEST_F(QueueTest, ExpiredIsNotifiedWithItsLastReply) {
    bool open = false;
    server_.reply = [&](const std::string& line) -> std::string {
        return !open && line.starts_with("RCPT TO:<b@") ? "450 4.2.0 greylisted for ever\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(world_.run_until([&] { return !server_.taken.empty(); }, hours(2)));
    EXPECT_THAT(server_.taken[0].content, HasSubstr("5.4.7"));
    EXPECT_THAT(server_.taken[0].content, HasSubstr("Last-Attempt-Date: "));
    EXPECT_THAT(server_.taken[0].content, HasSubstr("greylisted for ever"));
    const auto& attempts = relay_.log().attempts;
    const auto expired =
        std::ranges::find(attempts, Status::expired, &RecordingLog::Attempt::status);
    ASSERT_NE(expired, attempts.end());
    const RecordingLog::Attempt& expiry = *expired;
    EXPECT_GE(expiry.at - attempts[0].at, hours(1) - seconds(2));
    EXPECT_LE(expiry.at - attempts[0].at, hours(1) + seconds(5));
    ASSERT_TRUE(relay_.drain(seconds(10)));
    EXPECT_EQ(relay_.scheduler().counts().total(), 0U);
}

// Only what met the refused connection was tried: the rest waits with its retry times untouched,
// and leaves at once when the site is back.
TEST_F(QueueTest, DeadSiteCostsFewAttemptsAndComesBack) {
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 500; ++i) {
        relay_.submit({});
    }
    relay_.run_for(seconds(60));
    EXPECT_EQ(relay_.scheduler().counts().total(), 500U);
    const std::size_t tried = relay_.log().attempts.size();
    EXPECT_GE(tried, 5U);
    EXPECT_LE(tried, 20U);
    EXPECT_THAT(relay_.log().attempts[0].reply, HasSubstr("Connection refused"));
    EXPECT_GE(relay_.scheduler().counts().ready, 500 - tried);
    server_.listen("10.0.0.1:25");
    relay_.run_for(options_.cool_down_most + seconds(10));
    EXPECT_GE(server_.taken.size(), 500 - tried);
    ASSERT_TRUE(relay_.drain(minutes(10)));
    EXPECT_EQ(server_.taken.size(), 500U);
}

TEST_F(QueueTest, WhatWaitsForADeadSiteExpires) {
    options_.retry = RetryPolicy({seconds(5), minutes(5)}, minutes(10));
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 300; ++i) {
        relay_.submit({.from = ""});  // whose end makes no new message
    }
    relay_.run_for(minutes(9));
    EXPECT_EQ(relay_.scheduler().counts().total(), 300U);
    ASSERT_TRUE(relay_.drain(minutes(1) + seconds(10)));
    EXPECT_EQ(
        std::ranges::count(relay_.log().attempts, Status::expired, &RecordingLog::Attempt::status),
        300);
    // Whether it was ever tried or not, its sender learns why.
    for (const RecordingLog::Attempt& attempt : relay_.log().attempts) {
        EXPECT_THAT(attempt.reply, testing::HasSubstr("refused"));
    }
}

// What gives up the expired ones needs no connection, and makes none beyond the limit.
TEST_F(QueueTest, ExpiryWhileASiteIsDeadMakesNoSecondConnection) {
    options_.retry = RetryPolicy({seconds(5)}, seconds(20));
    options_.routes[0].connections_max = 1;
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 3; ++i) {
        relay_.submit({.from = ""});
    }
    relay_.run_for(seconds(3));
    server_.greeting = "";  // whoever connects now waits
    server_.listen("10.0.0.1:25");
    relay_.run_for(seconds(12));
    relay_.submit_now({.from = ""});
    relay_.run_for(seconds(15));
    EXPECT_GE(
        std::ranges::count(relay_.log().attempts, Status::expired, &RecordingLog::Attempt::status),
        1);
    EXPECT_EQ(server_.connections(), 1U);
}

// Two deliveries that gave up expired mail see the same place free when the site may be tried
// again.
TEST_F(QueueTest, ConnectionsStayWithinTheirLimitWhenASiteIsTriedAgain) {
    options_.retry = RetryPolicy({seconds(5)}, seconds(20));
    options_.routes[0].connections_max = 1;
    options_.cool_down_least = seconds(30);
    options_.cool_down_most = seconds(30);
    server_.stop_listening();
    relay_.start();
    relay_.submit({.from = ""});
    relay_.run_for(seconds(1));
    server_.greeting = "";  // whoever connects now waits
    server_.listen("10.0.0.1:25");
    for (int i = 0; i < 350; ++i) {  // from the twentieth second on, some expire in each look
        relay_.submit_now({.from = ""});
        relay_.run_for(std::chrono::milliseconds(100));
    }
    EXPECT_GE(
        std::ranges::count(relay_.log().attempts, Status::expired, &RecordingLog::Attempt::status),
        10);
    EXPECT_EQ(server_.connections(), 1U);
}

TEST_F(QueueTest, AConnectionThatIsRefusedIsNoAttemptForTheRecipientsBehind) {
    options_.recipients_per_transaction = 10;
    server_.stop_listening();
    relay_.start();
    relay_.submit_now({.to = recipients_numbered(35)});
    relay_.run_for(std::chrono::milliseconds(500));
    EXPECT_EQ(relay_.log().attempts.size(), 10U);
    server_.listen("10.0.0.1:25");
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(relay_.log().attempts.size(), 45U);
}

// Out of descriptors: nothing that the next hop is to blame for, and nothing to be counted.
TEST_F(QueueTest, AShortageOfOurOwnIsNoAttempt) {
    relay_.start();
    io::Driver& driver = relay_.shard().driver();
    std::vector<io::Handle> taken;
    while (const auto socket = driver.socket(AF_INET, {})) {
        taken.push_back(*socket);
    }
    for (int i = 0; i < 30; ++i) {
        relay_.submit({});
    }
    relay_.run_for(seconds(30));
    EXPECT_EQ(relay_.scheduler().counts().ready, 30U);
    EXPECT_EQ(relay_.log().attempts.size(), 0U);
    EXPECT_THAT(relay_.log().warnings, ElementsAre(HasSubstr("no connection can be made")));
    for (const io::Handle socket : taken) {
        driver.close(socket);
    }
    ASSERT_TRUE(relay_.drain(seconds(5)));
    EXPECT_EQ(server_.taken.size(), 30U);
    EXPECT_EQ(relay_.log().attempts.size(), 30U);
}

TEST_F(QueueTest, OneConnectionTooManyDefersNobody) {
    options_.routes[0].connections_max = 8;
    server_.connections_max = 3;
    relay_.start();
    for (int i = 0; i < 100; ++i) {
        relay_.submit({});
    }
    ASSERT_TRUE(world_.run_until([&] { return relay_.durable() == 100; }, seconds(10)));
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(server_.taken.size(), 100U);
    EXPECT_EQ(relay_.log().attempts.size(), 100U);  // all of them sent
    EXPECT_LE(server_.connections(), 20U);
}

TEST_F(QueueTest, FailsOverToTheNextHost) {
    options_.routes[0].targets.insert(
        options_.routes[0].targets.begin(),
        smtp::Target{"10.0.0.9:25", *io::SocketAddress::parse("10.0.0.9:25")});
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(5)));
    EXPECT_EQ(relay_.log().attempts.at(0).relay, "10.0.0.1:25");
}

TEST_F(QueueTest, AHostThatIsPassedOverIsToldOnce) {
    options_.routes[0].targets.insert(
        options_.routes[0].targets.begin(),
        smtp::Target{"10.0.0.9:25", *io::SocketAddress::parse("10.0.0.9:25")});
    options_.transactions_per_connection = 1;
    relay_.start();
    for (int i = 0; i < 10; ++i) {
        relay_.submit_now({});
    }
    ASSERT_TRUE(relay_.drain(seconds(5)));
    EXPECT_THAT(relay_.log().warnings,
                ElementsAre(testing::AllOf(HasSubstr("10.0.0.9:25 does not serve (connect to"),
                                           HasSubstr("mail goes to 10.0.0.1:25"))));
    ScriptedServer first(world_);
    first.listen("10.0.0.9:25");
    relay_.run_for(seconds(10));
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(5)));
    EXPECT_EQ(first.taken.size(), 1U);
    EXPECT_EQ(relay_.log().warnings.size(), 1U);
    EXPECT_THAT(relay_.log().infos, ElementsAre(HasSubstr("10.0.0.9:25 serves again")));
}

TEST_F(QueueTest, AHostThatRefusesTheConnectionIsNamed) {
    server_.greeting = "554 5.7.1 not you\r\n";
    relay_.start();
    relay_.submit_now({});
    relay_.run_for(seconds(1));
    ASSERT_EQ(relay_.log().attempts.size(), 1U);
    const RecordingLog::Attempt attempt = relay_.log().attempts[0];
    EXPECT_EQ(attempt.status, Status::deferred);
    EXPECT_EQ(attempt.relay, "10.0.0.1:25");
    EXPECT_EQ(attempt.reply, "not you");
    EXPECT_EQ(attempt.dsn, (mail::EnhancedStatus{4, 7, 1}));
    EXPECT_THAT(relay_.log().warnings, ElementsAre(HasSubstr("(554 5.7.1 not you)")));
    server_.greeting = "220 peer.test ESMTP\r\n";
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_THAT(relay_.log().infos, ElementsAre(HasSubstr("mail gets through to smarthost again")));
}

// Some recipients make the next hop close, or say 421, behind a MAIL that it took. That is their
// own bad luck: they wait, and all others go at once.
TEST_F(QueueTest, ARecipientThatBreaksConnectionsHoldsUpNobodyElse) {
    for (const char* words : {"!close", "!close421 4.3.2 away with you\r\n"}) {
        for (const char* offered : {"8BITMIME", "PIPELINING", "CHUNKING"}) {
            SCOPED_TRACE(std::string(words) + offered);
            server_.extensions = {"PIPELINING", offered};
            if (offered == std::string_view("8BITMIME")) {
                server_.extensions.erase(server_.extensions.begin());
            }
            server_.taken.clear();
            relay_.log().attempts.clear();
            std::size_t most = 0;
            server_.reply = [&](const std::string& line) -> std::string {
                most = std::max(most, server_.open_connections());
                return line.starts_with("RCPT TO:<poison") ? words : "";
            };
            options_.routes[0].connections_max = 3;
            if (!relay_.up()) {
                relay_.start();
            }
            constexpr int kPoison = 300;
            for (int i = 0; i < kPoison; ++i) {
                relay_.submit({.from = "", .to = {"poison@dst.test"}});
                if (i % 3 == 0) {
                    relay_.submit({.from = ""});
                }
            }
            relay_.run_for(std::chrono::milliseconds(4500));
            EXPECT_EQ(server_.taken.size(), kPoison / 3);
            // Each of them had one attempt, and waits for its time.
            EXPECT_EQ(std::ranges::count(relay_.log().attempts, "poison@dst.test",
                                         &RecordingLog::Attempt::to),
                      kPoison);
            EXPECT_EQ(relay_.scheduler().counts().deferred, kPoison);
            EXPECT_FALSE(relay_.scheduler().site(0).dead());
            EXPECT_THAT(relay_.log().warnings, testing::IsEmpty());
            EXPECT_LE(most, 3U);
            server_.reply = nullptr;
            ASSERT_TRUE(relay_.drain(minutes(1)));
        }
    }
}

// What a site does before it has answered MAIL says that it does not serve.
TEST_F(QueueTest, ASiteThatBreaksBeforeMailIsAnsweredIsDead) {
    options_.routes[0].connections_max = 5;
    for (const char* at : {"greeting", "EHLO", "MAIL"}) {
        for (const char* words : {"!close", "!close421 4.3.2 not now\r\n"}) {
            SCOPED_TRACE(std::string(at) + words);
            server_.greeting = at == std::string_view("greeting") ? words : "220 peer.test\r\n";
            server_.taken.clear();
            server_.reply = [&](const std::string& line) -> std::string {
                return line.starts_with(at) ? words : "";
            };
            if (!relay_.up()) {
                relay_.start();
            }
            relay_.run_for(seconds(10));  // no connection is left
            relay_.log().attempts.clear();
            for (int i = 0; i < 200; ++i) {
                relay_.submit({});
            }
            relay_.run_for(seconds(20));
            EXPECT_TRUE(relay_.scheduler().site(0).dead());
            EXPECT_LE(relay_.log().attempts.size(), 40U);
            server_.greeting = "220 peer.test\r\n";
            server_.reply = nullptr;
            ASSERT_TRUE(relay_.drain(minutes(10)));
            EXPECT_EQ(server_.taken.size(), 200U);
        }
    }
}

// One attempt for each message and each of its times, as with a 4xx; never at once again.
TEST_F(QueueTest, ASiteThatBreaksBehindEveryMailCostsOneAttemptForEachTime) {
    server_.reply = [](const std::string& line) -> std::string {
        return line == "DATA" ? "!close" : "";
    };
    relay_.start();
    for (int i = 0; i < 100; ++i) {
        relay_.submit({});
    }
    relay_.run_for(seconds(4));
    EXPECT_EQ(relay_.log().attempts.size(), 100U);
    relay_.run_for(seconds(20));
    EXPECT_EQ(relay_.log().attempts.size(), 200U);
    server_.reply = nullptr;
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(server_.taken.size(), 100U);
    EXPECT_EQ(relay_.log().attempts.size(), 300U);
}

TEST_F(QueueTest, ManyRecipientsGoInSeveralTransactions) {
    Submission submission;
    submission.to.clear();
    for (int i = 0; i < 250; ++i) {
        submission.to.push_back("r" + std::to_string(i) + "@dst.test");
    }
    relay_.start();
    relay_.submit_now(submission);
    ASSERT_TRUE(relay_.drain(seconds(10)));
    ASSERT_EQ(server_.taken.size(), 3U);
    std::vector<std::string> all;
    for (const TakenMessage& message : server_.taken) {
        EXPECT_LE(message.recipients.size(), 100U);
        all.insert(all.end(), message.recipients.begin(), message.recipients.end());
    }
    std::ranges::sort(all);
    EXPECT_EQ(std::ranges::unique(all).begin(), all.end());
    EXPECT_EQ(all.size(), 250U);
    EXPECT_EQ(server_.connections(), 1U);
}

TEST_F(QueueTest, AConnectionServesNoMoreTransactionsThanItMay) {
    options_.recipients_per_transaction = 1;
    options_.transactions_per_connection = 2;
    relay_.start();
    relay_.submit_now({.to = recipients_numbered(5)});
    ASSERT_TRUE(relay_.drain(seconds(10)));
    EXPECT_EQ(server_.taken.size(), 5U);
    EXPECT_EQ(server_.connections(), 3U);
}

TEST_F(QueueTest, OnlyTheDeferredRecipientsAreTriedAgain) {
    bool first = true;
    server_.reply = [&](const std::string& line) -> std::string {
        if (line == "RCPT TO:<later@dst.test>" && first) {
            first = false;
            return "450 4.2.0 later\r\n";
        }
        return "";
    };
    relay_.start();
    relay_.submit_now({.to = {"now@dst.test", "later@dst.test"}});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    ASSERT_EQ(server_.taken.size(), 2U);
    EXPECT_THAT(server_.taken[0].recipients, ElementsAre("<now@dst.test>"));
    EXPECT_THAT(server_.taken[1].recipients, ElementsAre("<later@dst.test>"));
}

TEST_F(QueueTest, StaleConnectionIsNoAttempt) {
    options_.connection_idle_max = minutes(5);
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(5)));
    bool once = true;
    server_.reply = [&](const std::string& line) -> std::string {
        return line.starts_with("MAIL") && std::exchange(once, false)
                   ? "!close421 4.4.2 idle for too long\r\n"
                   : "";
    };
    relay_.run_for(seconds(30));
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(5)));
    EXPECT_THAT(statuses(), ElementsAre(Status::sent, Status::sent));
    EXPECT_EQ(server_.connections(), 2U);
}

TEST_F(QueueTest, WhatAClosedConnectionOnceOfferedRefusesNothing) {
    options_.connection_idle_max = minutes(5);
    server_.extensions = {"PIPELINING", "SIZE 300"};
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(seconds(5)));
    server_.close_connections();
    server_.extensions = {"PIPELINING", "SIZE 100000"};
    relay_.run_for(seconds(1));
    relay_.submit_now({.content = "Subject: x\r\n\r\n" + std::string(900, 'x') + "\r\n"});
    ASSERT_TRUE(relay_.drain(seconds(5)));
    EXPECT_THAT(statuses(), ElementsAre(Status::sent, Status::sent));
    EXPECT_EQ(server_.connections(), 2U);
}

TEST_F(QueueTest, LostEndIsLoggedAsPossibleDuplicate) {
    bool once = true;
    server_.reply = [&](const std::string& line) -> std::string {
        return line == "." && std::exchange(once, false) ? "!close" : "";
    };
    relay_.start();
    relay_.submit_now({});
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_THAT(statuses(), ElementsAre(Status::deferred, Status::sent));
    EXPECT_TRUE(relay_.log().attempts[0].possible_duplicate);
    EXPECT_FALSE(relay_.log().attempts[1].possible_duplicate);
}

TEST_F(QueueTest, StopLetsATransferEnd) {
    bool asked = false;
    server_.reply = [&](const std::string& line) -> std::string {
        asked = asked || line == "DATA";
        return "";
    };
    relay_.start();
    relay_.submit_now({.content = std::string(200'000, 'x') + "\r\n"});
    ASSERT_TRUE(world_.run_until([&] { return asked; }, seconds(5)));
    relay_.stop();
    EXPECT_EQ(server_.taken.size(), 1U);
    EXPECT_THAT(statuses(), ElementsAre(Status::sent));
    relay_.start();
    EXPECT_EQ(relay_.scheduler().counts().total(), 0U);
}

TEST_F(QueueTest, StopBreaksOffAStalledTransferAndTriesItAgain) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line == "DATA" ? "!silent" : "";
    };
    relay_.start();
    relay_.submit_now({});
    relay_.run_for(seconds(1));
    const base::MonoTime before = world_.now();
    relay_.stop();
    EXPECT_LE(world_.now() - before, options_.stop_wait + seconds(1));
    EXPECT_TRUE(relay_.log().attempts.empty());  // it was none
    server_.reply = nullptr;
    relay_.start();
    ASSERT_TRUE(relay_.drain(seconds(3)));
    EXPECT_EQ(server_.taken.size(), 1U);
}

TEST_F(QueueTest, StopTellsOfAPossibleDuplicate) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line == "." ? "!silent" : "";
    };
    relay_.start();
    relay_.submit_now({});
    relay_.run_for(seconds(1));
    relay_.stop();
    ASSERT_EQ(relay_.log().attempts.size(), 1U);
    EXPECT_TRUE(relay_.log().attempts[0].possible_duplicate);
    EXPECT_EQ(relay_.log().attempts[0].attempts, 1U);
    server_.reply = nullptr;
    relay_.start();
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(relay_.log().attempts.back().attempts, 2U);
}

TEST_F(QueueTest, ListsAndShows) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line == "RCPT TO:<later@dst.test>" ? "450 4.2.0 not now\r\n" : "";
    };
    relay_.start();
    relay_.submit_now({.to = {"now@dst.test", "later@dst.test"}});
    for (int i = 0; i < 9; ++i) {
        relay_.submit({.to = {"later@dst.test"}});
    }
    relay_.run_for(seconds(2));
    for (int start = 0; start < 2; ++start) {
        std::vector<ListedMessage> all;
        std::uint64_t cursor = 0;
        do {
            ListedPage page = relay_.list(cursor, {.messages = 3});
            EXPECT_LE(page.messages.size(), 3U);
            cursor = page.next_cursor;
            std::ranges::move(page.messages, std::back_inserter(all));
        } while (cursor != 0);
        ASSERT_EQ(all.size(), 10U);
        ListedMessage message;
        ASSERT_TRUE(relay_.show(all[0].id, message));
        EXPECT_EQ(message.sender, "a@src.test");
        EXPECT_EQ(message.size_bytes, 21U);
        EXPECT_EQ(message.state, EntryState::deferred);
        ASSERT_EQ(message.recipients.size(), 2U);
        EXPECT_EQ(message.recipients[0].path, "now@dst.test");
        EXPECT_EQ(message.recipients[0].status, store::RecipientStatus::delivered);
        EXPECT_EQ(message.recipients[1].status, store::RecipientStatus::deferred);
        EXPECT_EQ(message.recipients[1].reply.text, "not now");
        EXPECT_EQ(message.recipients[1].reply.code, 450);
        EXPECT_EQ(message.recipients[1].attempts, 1U);
        EXPECT_EQ(message.recipients[1].relay, "10.0.0.1:25");
        EXPECT_GT(message.recipients[1].next_attempt, message.recipients[1].last_attempt);
        EXPECT_FALSE(relay_.show(mail::QueueId(12345), message));
        if (start == 0) {
            relay_.stop();
            relay_.start();
        }
    }
}

// What a dead site keeps waiting is due, and its site is told to be dead; what is not yet due is
// not.
TEST_F(QueueTest, ListsWhatWaitsForADeadSite) {
    options_.cool_down_least = options_.cool_down_most = seconds(30);
    server_.stop_listening();
    relay_.start();
    relay_.submit_now({});
    relay_.run_for(seconds(1));
    relay_.submit_now({});
    ListedPage page = relay_.list();
    ASSERT_EQ(page.messages.size(), 2U);
    std::ranges::sort(page.messages, {}, &ListedMessage::arrival);
    EXPECT_EQ(page.messages[0].state, EntryState::deferred);
    EXPECT_FALSE(page.messages[0].recipients[0].due);
    EXPECT_EQ(page.messages[1].state, EntryState::ready);
    EXPECT_TRUE(page.messages[1].recipients[0].due);
    EXPECT_TRUE(page.messages[1].site_dead);
}

// A page is as long as its recipients are many; and their last replies, which lie in one batch,
// cost far fewer reads than there are of them.
TEST_F(QueueTest, ListsManyRecipientsInShortPagesAndFewReads) {
    server_.reply = [&](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "450 4.2.0 not now\r\n" : "";
    };
    relay_.start();
    for (int i = 0; i < 3; ++i) {
        relay_.submit_now({.to = recipients_numbered(300)});
    }
    relay_.run_for(seconds(2));
    ASSERT_EQ(relay_.scheduler().counts().deferred, 3U);
    std::size_t messages = 0;
    std::uint64_t cursor = 0;
    const std::uint64_t before = relay_.shard().driver().counters().submitted;
    do {
        const ListedPage page = relay_.list(cursor, {.messages = 200, .recipients = 200});
        ASSERT_EQ(page.messages.size(), 1U);
        ASSERT_EQ(page.messages[0].recipients.size(), 300U);
        for (const ListedRecipient& recipient : page.messages[0].recipients) {
            EXPECT_EQ(recipient.reply.text, "not now");
        }
        ++messages;
        cursor = page.next_cursor;
    } while (cursor != 0 && messages < 3);
    EXPECT_EQ(messages, 3U);
    EXPECT_LE(relay_.shard().driver().counters().submitted - before, 100U);

    relay_.call_off = true;
    EXPECT_TRUE(relay_.list().messages.empty());
}

TEST_F(QueueTest, MemoryPerQueuedRecipientStaysBelowTheBound) {
    server_.stop_listening();
    relay_.start();
    for (int i = 0; i < 3000; ++i) {
        relay_.submit({});
        if (i % 500 == 499) {
            relay_.run_for(seconds(1));
        }
    }
    relay_.run_for(seconds(1));
    ASSERT_EQ(relay_.scheduler().counts().total(), 3000U);
    EXPECT_LE(relay_.scheduler().bytes() / 3000, 150U);
}

}  // namespace
}  // namespace queue::test
