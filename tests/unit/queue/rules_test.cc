// The operator's rules over the queue, in simulated time.
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/rule_match.h"
#include "unit/queue/relay_fixture.h"

namespace queue::test {
namespace {

using smtp::test::TakenMessage;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using store::RecipientStatus;
using store::RuleAction;
using testing::HasSubstr;
using testing::UnorderedElementsAre;
using Status = mail::AttemptEvent::Status;

class RulesTest : public RelayFixture {
  protected:
    RulesTest() : RelayFixture(RetryPolicy({hours(1)}, hours(24 * 5)), 11) {
        options_.routes[0].connections_max = 4;
        server_.reply = [this](const std::string& line) -> std::string {
            if (silent_ && line.starts_with("RCPT")) {
                return "!silent";
            }
            return defers_ && line.starts_with("RCPT") ? "450 4.2.0 Later\r\n" : "";
        };
        relay_.start();
    }

    // One message to each domain, from each of two senders: all tried once, and deferred.
    void six_wait() {
        defers_ = true;
        for (const char* from : {"a@one.test", "b@two.test"}) {
            for (const char* domain : {"x.test", "y.test", "sub.x.test"}) {
                relay_.submit_now({.from = from, .to = {std::string("r@") + domain}});
            }
        }
        relay_.run_for(seconds(10));
        EXPECT_EQ(relay_.scheduler().counts().deferred, 6U);
        defers_ = false;
    }
    // Gives it, and lets it be carried out.
    void give(store::Rule rule) {
        EXPECT_TRUE(relay_.rule(std::move(rule)));
        relay_.run_for(seconds(5));
        EXPECT_TRUE(relay_.scheduler().rules().under_way().empty());
    }
    // "sender<recipient>".
    [[nodiscard]] std::vector<std::string> taken() {
        std::vector<std::string> all;
        for (const TakenMessage& message : server_.taken) {
            const std::size_t from = message.mail_line.find('<') + 1;
            all.push_back(message.mail_line.substr(from, message.mail_line.find('>') - from + 1) +
                          message.recipients.front());
        }
        return all;
    }
    [[nodiscard]] QueueCounts counts() { return relay_.scheduler().counts(); }
    [[nodiscard]] static std::uint8_t bit(RecipientStatus status) {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(status));
    }

    bool defers_ = false;
    bool silent_ = false;
};

TEST_F(RulesTest, HoldKeepsWhatItMeansAndReleaseLetsItGo) {
    six_wait();
    give({.action = RuleAction::hold, .domain = "x.test"});
    EXPECT_EQ(counts().held, 2U);
    relay_.run_for(hours(2));
    EXPECT_EQ(counts().total(), 2U);
    EXPECT_EQ(server_.taken.size(), 4U);
    give({.action = RuleAction::release, .sender = "a@ONE.test"});
    EXPECT_EQ(counts().total(), 1U);
    EXPECT_EQ(server_.taken.size(), 5U);
    give({.action = RuleAction::release});
    EXPECT_EQ(counts().total(), 0U);
    EXPECT_EQ(server_.taken.size(), 6U);
}

TEST_F(RulesTest, RetryTriesWhatIsDeferredAtOnce) {
    six_wait();
    give({.action = RuleAction::retry, .sender = "@two.test", .domain = "*.x.test"});
    EXPECT_THAT(taken(), UnorderedElementsAre("b@two.test><r@sub.x.test>"));
}

TEST_F(RulesTest, RetryWaitsForNoCoolDown) {
    server_.stop_listening();
    relay_.submit_now({});
    relay_.run_for(minutes(10));
    server_.listen("10.0.0.1:25");
    give({.action = RuleAction::retry});
    EXPECT_EQ(server_.taken.size(), 1U);
}

TEST_F(RulesTest, DeleteTellsNobody) {
    six_wait();
    give({.action = RuleAction::erase, .tenant = "two.test"});
    EXPECT_EQ(counts().total(), 3U);
    relay_.run_for(hours(2));
    EXPECT_EQ(counts().total(), 0U);
    EXPECT_THAT(taken(), UnorderedElementsAre("a@one.test><r@x.test>", "a@one.test><r@y.test>",
                                              "a@one.test><r@sub.x.test>"));
    ASSERT_FALSE(relay_.log().removals.empty());
    EXPECT_EQ(relay_.log().removals.front().deleted, 1U);
}

TEST_F(RulesTest, BounceTellsTheSenderWhy) {
    six_wait();
    give({.action = RuleAction::bounce, .recipient = "r@y.test", .words = "the site has closed"});
    relay_.run_for(minutes(1));
    EXPECT_EQ(server_.taken.size(), 2U);
    for (const TakenMessage& message : server_.taken) {
        EXPECT_THAT(message.mail_line, HasSubstr("FROM:<>"));
        EXPECT_THAT(message.content, HasSubstr("given up by the postmaster: the site has closed"));
        EXPECT_THAT(message.content, HasSubstr("Status: 5.7.1"));
        EXPECT_THAT(message.content, Not(HasSubstr("Last-Attempt-Date")));  // it was none
    }
    EXPECT_EQ(counts().total(), 4U);
}

TEST_F(RulesTest, OneRecipientOfSeveralIsMeant) {
    defers_ = true;
    relay_.submit_now({.to = {"r@x.test", "r@y.test", "s@x.test"}});
    relay_.run_for(seconds(10));
    defers_ = false;
    give({.action = RuleAction::erase, .recipient = "r@x.test"});
    give({.action = RuleAction::hold, .domain = "y.test"});
    relay_.run_for(hours(2));
    ASSERT_EQ(server_.taken.size(), 1U);
    EXPECT_THAT(server_.taken[0].recipients, UnorderedElementsAre("<s@x.test>"));
    EXPECT_EQ(counts().held, 1U);
    give({.action = RuleAction::release});
    relay_.run_for(minutes(1));
    ASSERT_EQ(server_.taken.size(), 2U);
    EXPECT_THAT(server_.taken[1].recipients, UnorderedElementsAre("<r@y.test>"));
    EXPECT_EQ(counts().total(), 0U);
}

TEST_F(RulesTest, LaterMailIsNotMeant) {
    six_wait();
    ASSERT_TRUE(relay_.rule({.action = RuleAction::hold}));
    relay_.submit_now({.from = "late@one.test", .to = {"r@x.test"}});
    relay_.run_for(minutes(1));
    EXPECT_EQ(counts().held, 6U);
    EXPECT_THAT(taken(), UnorderedElementsAre("late@one.test><r@x.test>"));
}

TEST_F(RulesTest, OnlyThatMessage) {
    six_wait();
    const mail::QueueId id = relay_.list().messages[2].id;
    give({.action = RuleAction::erase, .only = id});
    EXPECT_EQ(counts().total(), 5U);
    ListedMessage gone;
    EXPECT_FALSE(relay_.show(id, gone));
}

TEST_F(RulesTest, TheStateAndTheAgeThatAreAskedFor) {
    six_wait();
    relay_.run_for(minutes(10));
    const std::int64_t now = base::unix_ms(relay_.shard().wall_now());
    defers_ = true;
    relay_.run_for(seconds(1));
    relay_.submit_now({.from = "young@one.test"});
    relay_.run_for(seconds(5));
    give({.action = RuleAction::hold, .arrived_until_ms = now, .sender = "@one.test"});
    EXPECT_EQ(counts().held, 3U);
    give({.action = RuleAction::erase, .statuses = bit(RecipientStatus::held)});
    EXPECT_EQ(counts().total(), 4U);
    EXPECT_EQ(counts().held, 0U);
    give({.action = RuleAction::erase, .arrived_from_ms = now});
    EXPECT_EQ(counts().total(), 3U);
}

// Many more than one turn looks at: the rule holds from the moment that it is durable.
TEST_F(RulesTest, InForceBeforeAllHasBeenLookedAt) {
    defers_ = true;
    for (int i = 0; i < 2000; ++i) {
        relay_.submit_now({.to = {"r@x.test"}});
    }
    relay_.run_for(minutes(1));
    ASSERT_EQ(counts().deferred, 2000U);
    defers_ = false;
    ASSERT_TRUE(relay_.rule({.action = RuleAction::hold, .domain = "x.test"}));
    EXPECT_FALSE(relay_.scheduler().rules().under_way().empty());
    // A listing shows it as done.
    store::Rule held;
    held.statuses = bit(RecipientStatus::held);
    EXPECT_EQ(relay_.list(0, {.messages = 50}, held).messages.size(), 50U);
    relay_.stop();
    relay_.start();
    relay_.run_for(hours(3));
    EXPECT_EQ(server_.taken.size(), 0U);
    EXPECT_EQ(counts().held, 2000U);
    EXPECT_TRUE(relay_.scheduler().rules().under_way().empty());
}

TEST_F(RulesTest, WhatWasDoneSurvivesARestart) {
    six_wait();
    give({.action = RuleAction::hold, .domain = "x.test"});
    give({.action = RuleAction::release, .sender = "@two.test"});
    EXPECT_EQ(counts().held, 1U);
    const std::size_t before = server_.taken.size();
    relay_.stop();
    relay_.start();
    relay_.run_for(minutes(1));
    EXPECT_EQ(counts().held, 1U);
    EXPECT_EQ(counts().deferred, 4U);
    EXPECT_EQ(server_.taken.size(), before);
}

// The hop is slow: the message is in delivery when the rule comes.
TEST_F(RulesTest, WhatIsInDeliveryMeetsItAfterwards) {
    silent_ = true;
    relay_.submit_now({});
    relay_.run_for(seconds(5));
    ASSERT_EQ(counts().in_delivery, 1U);
    ASSERT_TRUE(relay_.rule({.action = RuleAction::hold}));
    relay_.run_for(seconds(2));
    EXPECT_EQ(relay_.scheduler().rules().under_way().size(), 1U);
    relay_.run_for(minutes(30));
    EXPECT_EQ(counts().held, 1U);
    EXPECT_TRUE(relay_.scheduler().rules().under_way().empty());
}

// What is listed and what is explained are the same: it will be held, and an attempt is under way.
TEST_F(RulesTest, ListingAndExplanationForeseeTheSame) {
    silent_ = true;
    relay_.submit_now({});
    relay_.run_for(seconds(5));
    ASSERT_EQ(counts().in_delivery, 1U);
    const mail::QueueId id = relay_.list().messages.at(0).id;
    EXPECT_FALSE(relay_.explain(id).listed.recipients.at(0).foreseen);
    for (const auto& [action, status] : {std::pair(RuleAction::hold, RecipientStatus::held),
                                         std::pair(RuleAction::erase, RecipientStatus::deleted)}) {
        ASSERT_TRUE(relay_.rule({.action = action}));
        const ListedPage page = relay_.list();
        ASSERT_EQ(page.messages.size(), 1U);
        const ListedMessage& listed = page.messages[0];
        const Explanation why = relay_.explain(id);
        for (const ListedMessage* message : {&listed, &why.listed}) {
            EXPECT_EQ(message->state, EntryState::in_delivery);
            ASSERT_EQ(message->recipients.size(), 1U);
            EXPECT_EQ(message->recipients[0].status, status);
            EXPECT_TRUE(message->recipients[0].foreseen);
            EXPECT_TRUE(message->recipients[0].in_attempt);
        }
    }
    relay_.run_for(minutes(30));
    EXPECT_EQ(counts().total(), 0U);
}

// One that is named is meant only if all else holds of it, too.
TEST_F(RulesTest, AListingOfOneMessageHeedsItsAge) {
    six_wait();
    store::Rule filter;
    filter.only = relay_.list().messages.at(2).id;
    EXPECT_EQ(relay_.list(0, {}, filter).messages.size(), 1U);
    filter.arrived_from_ms = base::unix_ms(relay_.list().messages[2].arrival) + 1;
    EXPECT_TRUE(relay_.list(0, {}, filter).messages.empty());
    filter.arrived_from_ms = store::Rule().arrived_from_ms;
    filter.arrived_until_ms = base::unix_ms(relay_.list().messages[2].arrival) - 1;
    EXPECT_TRUE(relay_.list(0, {}, filter).messages.empty());
}

TEST_F(RulesTest, ABounceThatCannotBeToldWaits) {
    six_wait();
    relay_.fill_up(true);
    ASSERT_TRUE(relay_.rule({.action = RuleAction::bounce, .sender = "a@one.test"}));
    relay_.run_for(minutes(1));
    EXPECT_EQ(counts().total(), 6U);
    relay_.fill_up(false);
    relay_.run_for(minutes(1));
    EXPECT_EQ(counts().total(), 3U);
    EXPECT_EQ(server_.taken.size(), 3U);  // the notifications
}

TEST_F(RulesTest, AStopWaitsForNoRule) {
    base::Status waits = base::fail(EAGAIN);
    relay_.give({.action = RuleAction::hold}, waits);
    ASSERT_TRUE(world_.run_until([this] { return relay_.scheduler().rules().newest() == 1; },
                                 seconds(1)));  // in force, and not on the disk yet
    relay_.scheduler().rules().take_no_more();
    relay_.run_for(seconds(1));
    ASSERT_FALSE(waits.has_value());
    EXPECT_EQ(waits.error().number(), ESHUTDOWN);
    EXPECT_THAT(waits.error().describe(), HasSubstr("has not taken the command yet"));
    base::Status late = base::fail(EAGAIN);
    relay_.give({.action = RuleAction::hold}, late);
    relay_.run_for(seconds(1));
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().describe(), "the server is stopping");
}

// So much is to be written down that the walk waits for the log, which has no room.
TEST_F(RulesTest, NeitherACommandNorAStopWaitsForAFullDisk) {
    defers_ = true;
    Submission many;
    many.to.clear();
    for (int i = 0; i < 200; ++i) {
        many.to.push_back("r" + std::to_string(i) + "@x.test");
    }
    for (int i = 0; i < 400; ++i) {
        relay_.submit_now(many);
    }
    relay_.run_for(minutes(10));
    ASSERT_EQ(counts().deferred, 400U);
    relay_.host().disk().set_capacity_bytes(0);
    std::string refused;
    for (int i = 0; i < 200 && refused.empty(); ++i) {
        base::Status status;
        relay_.give({.action = i % 2 == 0 ? RuleAction::hold : RuleAction::release}, status);
        relay_.run_for(seconds(6));
        refused = status ? "" : status.error().describe();
    }
    EXPECT_THAT(refused, HasSubstr("is the disk full?"));
    relay_.stop();
    relay_.host().disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    relay_.start();
    EXPECT_EQ(counts().total(), 400U);
}

TEST_F(RulesTest, AMessageInDeliveryHoldsUpNoRuleThatCannotMeanIt) {
    silent_ = true;
    relay_.submit_now({});
    relay_.run_for(seconds(5));
    ASSERT_EQ(counts().in_delivery, 1U);
    ASSERT_TRUE(relay_.rule({.action = RuleAction::hold, .domain = "elsewhere.test"}));
    ASSERT_TRUE(relay_.rule({.action = RuleAction::erase, .only = mail::QueueId(0, 1, 77)}));
    relay_.run_for(seconds(5));
    ASSERT_EQ(relay_.scheduler().rules().under_way().size(), 1U);
    EXPECT_EQ(relay_.scheduler().rules().under_way()[0].rule.domain, "elsewhere.test");
}

// The bounce of one waits for its notification; the other is held, so that rule does not mean him,
// and is released behind it.
TEST_F(RulesTest, NoRuleOvertakesABounceThatWaits) {
    defers_ = true;
    relay_.submit_now({.to = {"held@x.test", "late@y.test"}});
    relay_.run_for(seconds(10));
    give({.action = RuleAction::hold, .domain = "x.test"});
    defers_ = false;
    relay_.fill_up(true);
    ASSERT_TRUE(
        relay_.rule({.action = RuleAction::bounce, .statuses = bit(RecipientStatus::deferred)}));
    relay_.run_for(seconds(3));
    ASSERT_TRUE(relay_.rule({.action = RuleAction::release}));
    relay_.run_for(seconds(3));
    EXPECT_EQ(counts().total(), 1U);
    const std::vector<RuleProgress> waits = relay_.scheduler().rules().under_way();
    ASSERT_EQ(waits.size(), 2U);
    EXPECT_EQ(waits[0].recipients, 0U);
    relay_.fill_up(false);
    relay_.run_for(hours(2));
    EXPECT_EQ(counts().total(), 0U);
    EXPECT_THAT(taken(), UnorderedElementsAre("a@src.test><held@x.test>", "><a@src.test>"));
    EXPECT_THAT(server_.taken.front().content + server_.taken.back().content,
                HasSubstr("late@y.test"));
}

// While a bounce waits, nothing behind it is done; but whoever is deleted in the end is so at once.
TEST_F(RulesTest, ADeleteBehindABounceThatWaitsHeedsTheRulesBetween) {
    six_wait();
    relay_.fill_up(true);
    ASSERT_TRUE(relay_.rule({.action = RuleAction::bounce, .domain = "x.test"}));
    relay_.run_for(seconds(3));
    ASSERT_TRUE(relay_.rule({.action = RuleAction::hold, .sender = "a@one.test"}));
    ASSERT_TRUE(
        relay_.rule({.action = RuleAction::erase, .statuses = bit(RecipientStatus::deferred)}));
    relay_.run_for(minutes(1));
    std::vector<std::string> left;
    for (const ListedMessage& message : relay_.list().messages) {
        EXPECT_EQ(message.recipients.at(0).status, RecipientStatus::held);
        left.push_back(message.sender + " " + message.recipients.at(0).path);
    }
    EXPECT_THAT(left, UnorderedElementsAre("a@one.test r@y.test", "a@one.test r@sub.x.test"));
    relay_.fill_up(false);
    relay_.run_for(minutes(1));
    EXPECT_TRUE(relay_.scheduler().rules().under_way().empty());
    EXPECT_EQ(counts().held, 2U);
    EXPECT_TRUE(server_.taken.empty());
}

TEST_F(RulesTest, ADeleteBehindABounceThatWaitsSparesWhoWasReleasedBetween) {
    defers_ = true;
    relay_.submit_now({.to = {"r1@x.test", "r2@y.test", "r3@z.test"}});
    relay_.run_for(seconds(10));
    give({.action = RuleAction::hold, .domain = "y.test"});
    give({.action = RuleAction::hold, .domain = "z.test"});
    defers_ = false;
    relay_.fill_up(true);
    ASSERT_TRUE(relay_.rule({.action = RuleAction::bounce, .domain = "x.test"}));
    relay_.run_for(seconds(3));
    ASSERT_TRUE(relay_.rule({.action = RuleAction::release, .domain = "y.test"}));
    ASSERT_TRUE(relay_.rule({.action = RuleAction::erase, .statuses = bit(RecipientStatus::held)}));
    relay_.run_for(seconds(10));
    EXPECT_EQ(counts().total(), 1U);
    relay_.fill_up(false);
    relay_.run_for(hours(2));
    EXPECT_EQ(counts().total(), 0U);
    EXPECT_THAT(taken(), UnorderedElementsAre("a@src.test><r2@y.test>", "><a@src.test>"));
}

// What is on record as met has been done, also to who is bounced next.
TEST_F(RulesTest, AHoldThatABounceFollowsIsNotForgotten) {
    silent_ = true;
    relay_.submit_now({});
    relay_.run_for(seconds(5));
    ASSERT_EQ(counts().in_delivery, 1U);
    ASSERT_TRUE(relay_.rule({.action = RuleAction::hold}));
    ASSERT_TRUE(
        relay_.rule({.action = RuleAction::bounce, .statuses = bit(RecipientStatus::held)}));
    relay_.fill_up(true);
    relay_.run_for(minutes(30));
    silent_ = false;
    relay_.run_for(hours(3));
    EXPECT_EQ(counts().total(), 1U);
    relay_.fill_up(false);
    relay_.run_for(minutes(2));
    EXPECT_EQ(counts().total(), 0U);
    EXPECT_THAT(taken(), UnorderedElementsAre("><a@src.test>"));
}

// To be looked at is no reason to be tried, also where the clock was set forth.
TEST_F(RulesTest, WhatARuleDoesNotMeanWaitsOn) {
    six_wait();
    for (const base::Duration step : {hours(2), -hours(7)}) {
        world_.step_wall(step);
        give({.action = RuleAction::hold, .domain = "nobody.test"});
        relay_.run_for(minutes(20));
        EXPECT_EQ(counts().deferred, 6U);
        EXPECT_TRUE(server_.taken.empty());
    }
    relay_.run_for(minutes(21));
    EXPECT_EQ(server_.taken.size(), 6U);
}

TEST_F(RulesTest, TooManyAtOnceAreRefused) {
    six_wait();
    relay_.fill_up(true);
    std::size_t taken = 0;
    while (taken < 2 * Rules::kRulesMax &&
           relay_.rule({.action = RuleAction::bounce, .sender = "a@one.test"})) {
        ++taken;
    }
    EXPECT_LE(taken, Rules::kRulesMax);
    relay_.fill_up(false);
}

TEST(RuleMatch, Addresses) {
    EXPECT_TRUE(address_matches("<>", ""));
    EXPECT_FALSE(address_matches("<>", "a@b"));
    EXPECT_TRUE(address_matches("A@b.test", "a@B.test"));
    EXPECT_FALSE(address_matches("a@b.test", "aa@b.test"));
    EXPECT_TRUE(address_matches("@b.test", "\"x@y\"@B.test"));
    EXPECT_FALSE(address_matches("@b.test", "a@sub.b.test"));
    EXPECT_TRUE(address_matches("@*.b.test", "a@sub.b.test"));
    EXPECT_FALSE(address_matches("@*.b.test", "a@b.test"));
    EXPECT_FALSE(address_matches("@*.b.test", "a@xb.test"));
    EXPECT_FALSE(address_matches("@b.test", "postmaster"));
}

}  // namespace
}  // namespace queue::test
