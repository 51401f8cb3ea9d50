// The queue when something is wrong: a disk that cannot be read, a wall clock that jumps.
#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/queue/relay_fixture.h"

namespace queue::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class QueueFaults : public RelayFixture {
  protected:
    QueueFaults()
        : RelayFixture(RetryPolicy({seconds(5), seconds(30), minutes(5)}, hours(24 * 5))) {
        // No cleaner: it would take the read that is to fail, and find room where there is none.
        relay_.checkpoint_bytes = 0;
        options_.routes[0].connections_max = 1;  // so that one message is read behind the other
    }

    void defer_everything() {
        server_.reply = [](const std::string& line) -> std::string {
            return line.starts_with("RCPT") ? "450 4.2.1 later\r\n" : "";
        };
    }
    // Two messages that wait for their second attempt, and are in no cache.
    void two_that_wait() {
        defer_everything();
        relay_.start();
        relay_.submit_now({.to = {"first@dst.test"}});
        relay_.submit_now({.to = {"second@dst.test"}});
        relay_.run_for(seconds(2));
        relay_.stop();
        server_.reply = nullptr;
        relay_.start();
        ASSERT_EQ(relay_.scheduler().counts().deferred, 2U);
    }
    // The next read fails, and so does that of its first block alone, which follows.
    void fail_next_read() {
        for (int i = 0; i < 2; ++i) {
            relay_.host().inject({.code = io::OpCode::read, .error = EIO});
        }
    }
    Entry& held_entry() {
        Scheduler& scheduler = relay_.scheduler();
        for (std::size_t i = 0; i < scheduler.slots(); ++i) {
            Entry* entry = scheduler.slot(i);
            if (entry != nullptr && entry->state() == EntryState::held) {
                return *entry;
            }
        }
        RP_PANIC("nothing is held");
    }
    [[nodiscard]] base::MonoTime last_attempt() { return relay_.log().attempts.back().at; }
};

TEST_F(QueueFaults, WhatCannotBeReadIsHeldAndTheOthersGoOn) {
    two_that_wait();
    fail_next_read();
    relay_.run_for(seconds(10));
    EXPECT_EQ(relay_.scheduler().counts().held, 1U);
    EXPECT_EQ(relay_.scheduler().counts().total(), 1U);
    EXPECT_EQ(server_.taken.size(), 1U);
    EXPECT_THAT(relay_.log().errors, Contains(HasSubstr(" is held: its envelope cannot be read")));

    // It stays so, and is listed, whether or not it can be read now.
    relay_.run_for(hours(1));
    EXPECT_EQ(relay_.scheduler().counts().held, 1U);
    fail_next_read();
    ListedPage page = relay_.list();
    ASSERT_EQ(page.messages.size(), 1U);
    EXPECT_FALSE(page.messages[0].readable);
    EXPECT_EQ(page.messages[0].state, EntryState::held);
    EXPECT_EQ(page.messages[0].hold_reason, HoldReason::unreadable);
    ASSERT_EQ(page.messages[0].recipients.size(), 1U);
    EXPECT_EQ(page.messages[0].recipients[0].path, "");
    fail_next_read();
    EXPECT_TRUE(relay_.list(0, {}, {.sender = "@src.test"}).messages.empty());  // as a rule has it
    page = relay_.list();
    ASSERT_EQ(page.messages.size(), 1U);
    EXPECT_TRUE(page.messages[0].readable);
    EXPECT_EQ(page.messages[0].state, EntryState::held);
    EXPECT_THAT(page.messages[0].recipients[0].path, HasSubstr("@dst.test"));

    EXPECT_TRUE(relay_.rule({.action = store::RuleAction::release}));
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(server_.taken.size(), 2U);
}

TEST_F(QueueFaults, ARestartTriesWhatWasHeld) {
    two_that_wait();
    fail_next_read();
    relay_.run_for(seconds(10));
    ASSERT_EQ(relay_.scheduler().counts().held, 1U);
    relay_.stop();
    relay_.start();
    ASSERT_TRUE(relay_.drain(minutes(10)));
    EXPECT_EQ(server_.taken.size(), 2U);
}

// One block of the content, which is read once the next hop has taken the envelope.
TEST_F(QueueFaults, ContentThatCannotBeReadIsNoAttemptAndIsHeld) {
    two_that_wait();
    const std::size_t attempts = relay_.log().attempts.size();
    // Behind its records, and that of its last attempt.
    relay_.host().inject({.code = io::OpCode::read, .skip = 2, .error = EIO});
    relay_.run_for(seconds(10));
    ASSERT_EQ(relay_.scheduler().counts().held, 1U);
    EXPECT_EQ(held_entry().hold_reason, HoldReason::content_bad);
    EXPECT_EQ(held_entry().recipients()[0].attempts, 1U);
    EXPECT_EQ(relay_.log().attempts.size(), attempts + 1);  // the other one's
    EXPECT_EQ(server_.taken.size(), 1U);
    EXPECT_THAT(relay_.log().errors, Contains(HasSubstr("cannot be read at block")));
    EXPECT_THAT(relay_.log().errors, Contains(HasSubstr(" is held: its content cannot be read")));
    EXPECT_TRUE(relay_.rule({.action = store::RuleAction::release}));
    ASSERT_TRUE(relay_.drain(minutes(1)));
    EXPECT_EQ(server_.taken.size(), 2U);
}

// Its envelope can be read, so it is meant by addresses: after the next start, too.
TEST_F(QueueFaults, ARuleMeansWhatIsHeldForItsContent) {
    for (const store::RuleAction action : {store::RuleAction::hold, store::RuleAction::erase}) {
        two_that_wait();
        relay_.host().inject({.code = io::OpCode::read, .skip = 2, .error = EIO});
        relay_.run_for(seconds(10));
        ASSERT_EQ(held_entry().hold_reason, HoldReason::content_bad);
        ASSERT_TRUE(relay_.rule({.action = action, .sender = "a@src.test"}));
        relay_.run_for(seconds(5));
        EXPECT_TRUE(relay_.scheduler().rules().under_way().empty());
        relay_.stop();
        relay_.start();
        relay_.run_for(minutes(10));
        EXPECT_EQ(relay_.scheduler().counts().total(), action == store::RuleAction::hold ? 1U : 0U);
        EXPECT_EQ(server_.taken.size(), 1U);
        EXPECT_TRUE(relay_.rule({.action = store::RuleAction::erase}));
        ASSERT_TRUE(relay_.drain(minutes(1)));
        server_.taken.clear();
        relay_.stop();
    }
}

// Behind the envelope the record of the last attempt is read, and then its first block alone.
TEST_F(QueueFaults, ALastAttemptThatCannotBeReadIsAGapInTheHistoryAlone) {
    two_that_wait();
    defer_everything();
    relay_.host().inject({.code = io::OpCode::read, .skip = 1, .error = EIO});
    relay_.host().inject({.code = io::OpCode::read, .error = EIO});
    relay_.run_for(seconds(10));
    EXPECT_EQ(relay_.host().injections_left(), 0U);
    EXPECT_EQ(relay_.scheduler().counts().deferred, 2U);
    int gaps = 0;
    for (const ListedMessage& message : relay_.list().messages) {
        const MessageDetail detail = relay_.detail(message.id);
        ASSERT_EQ(detail.recipients.size(), 1U);
        std::uint32_t attempts = 0;
        for (const DetailedAttempts& run : detail.recipients[0].attempts) {
            attempts += run.count;
            gaps += run.gap ? 1 : 0;
        }
        EXPECT_EQ(attempts, 2U);
        EXPECT_FALSE(detail.recipients[0].attempts.back().gap);
    }
    EXPECT_EQ(gaps, 1);
    server_.reply = nullptr;
    ASSERT_TRUE(relay_.drain(minutes(10)));
    EXPECT_EQ(server_.taken.size(), 2U);
}

TEST_F(QueueFaults, WantOfMemoryIsNoDamage) {
    two_that_wait();
    for (int i = 0; i < 2; ++i) {
        relay_.host().inject({.code = io::OpCode::read, .error = ENOMEM});
    }
    relay_.run_for(seconds(10));
    EXPECT_EQ(relay_.scheduler().counts().held, 0U);
    EXPECT_THAT(relay_.log().warnings, Contains(HasSubstr("it is read again later")));
    ASSERT_TRUE(relay_.drain(minutes(10)));
    EXPECT_EQ(server_.taken.size(), 2U);
}

// Acceptance stops while there is room for some notifications; these are more than that.
// The number of messages decides where in the reserve the room ends.
class FullDiskQueueFaults : public QueueFaults,
                            public testing::WithParamInterface<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Queue, FullDiskQueueFaults, testing::Values(120, 149, 150, 153, 157, 250));

TEST_P(FullDiskQueueFaults, NotificationsThatFindNoRoomComeWhenThereIsRoom) {
    const std::uint32_t kMessages = GetParam();
    options_.notifications_max = 10 * kMessages;
    options_.notifications_per_domain_max = 10 * kMessages;
    relay_.start();
    server_.stop_listening();
    for (std::size_t i = 0; i < kMessages; ++i) {
        relay_.submit_now({.from = "s" + std::to_string(i) + "@src.test"});
    }
    // From here on nothing grows. What is there already is not taken away.
    relay_.host().disk().set_capacity_bytes(0);
    relay_.run_for(seconds(5));
    server_.reply = [](const std::string& line) -> std::string {
        return line == "RCPT TO:<b@dst.test>" ? "550 5.1.1 no such user\r\n" : "";
    };
    server_.listen("10.0.0.1:25");
    relay_.run_for(minutes(10));
    const std::size_t told = server_.taken.size();
    EXPECT_LT(told, kMessages);
    EXPECT_EQ(relay_.scheduler().counts().total(), kMessages - told);

    relay_.stop();  // a stop and a start change nothing
    relay_.start();
    relay_.run_for(minutes(10));
    EXPECT_EQ(relay_.scheduler().counts().total(), kMessages - server_.taken.size());
    EXPECT_GT(relay_.scheduler().counts().total(), 0U);

    relay_.host().disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    ASSERT_TRUE(relay_.drain(minutes(12)));
    EXPECT_EQ(server_.taken.size(), kMessages);  // each sender once
}

TEST_F(QueueFaults, AClockThatJumpsChangesNoWaitOfARunningRelay) {
    for (const int jump : {6, -6, 23, -23}) {
        SCOPED_TRACE(jump);
        server_.reply = nullptr;
        defer_everything();
        if (!relay_.up()) {
            relay_.start();
        }
        const std::size_t before = relay_.log().attempts.size();
        relay_.submit_now({});
        relay_.run_for(seconds(1));
        const auto& attempts = relay_.log().attempts;
        ASSERT_EQ(attempts.size(), before + 1);
        world_.step_wall(hours(jump));
        relay_.run_for(seconds(50));
        world_.step_wall(hours(-2 * jump));  // in the middle of the third wait
        relay_.run_for(seconds(300));
        ASSERT_EQ(attempts.size(), before + 4);  // no storm, no stall
        const std::vector<base::Duration> waits = {seconds(5), seconds(30), seconds(300)};
        for (std::size_t i = 0; i < waits.size(); ++i) {
            const base::Duration gap = attempts[before + i + 1].at - attempts[before + i].at;
            EXPECT_GE(gap, waits[i]);
            EXPECT_LE(gap, waits[i] + seconds(3));  // whole seconds, and a tick of the wheel
        }
        server_.reply = nullptr;
        ASSERT_TRUE(relay_.drain(minutes(6)));
    }
}

TEST_F(QueueFaults, AStartWithAClockThatWentBackWaitsForOneWaitAtTheMost) {
    two_that_wait();
    relay_.stop();
    world_.step_wall(-hours(20));
    relay_.start();
    const base::MonoTime start = world_.now();
    ASSERT_TRUE(relay_.drain(minutes(6)));
    EXPECT_LE(world_.now() - start, minutes(5) + seconds(10));
}

TEST_F(QueueFaults, IdsGrowWhateverTheClockSays) {
    defer_everything();
    relay_.start();
    std::uint64_t last = 0;
    for (const int jump : {6, -12, -20, 3}) {
        relay_.submit_now({});
        relay_.run_for(seconds(1));
        std::uint64_t newest = 0;
        for (const RecordingLog::Attempt& attempt : relay_.log().attempts) {
            newest = std::max(newest, attempt.id.value());
        }
        EXPECT_GT(newest, last);
        last = newest;
        world_.step_wall(hours(jump));
        relay_.stop();
        relay_.start();
    }
}

// An answer takes a second, as does a durable write.
class SlowQueueFaults : public RelayFixture {
  protected:
    SlowQueueFaults() : RelayFixture(RetryPolicy({seconds(5)}, seconds(20)), 7, slow_world()) {}

    static sim::Options slow_world() {
        const auto half_a_second = std::chrono::milliseconds(500);
        sim::Options options = world_options();
        options.network_latency = {half_a_second, half_a_second};
        options.disk_latency = {half_a_second, half_a_second};
        return options;
    }
};

// A site that was dead serves again, and its connection is closed after one message; who gives up
// expired mail beside it is done while QUIT waits for its answer, and finds mail to deliver.
TEST_F(SlowQueueFaults, AConnectionCountsUntilItIsClosed) {
    const io::SocketAddress address = *io::SocketAddress::parse("10.0.0.1:25");
    options_.routes[0].connections_max = 1;
    options_.transactions_per_connection = 1;
    server_.stop_listening();
    relay_.start();
    std::size_t most = 0;
    for (int i = 0; i < 6000; ++i) {
        if (i % 100 == 0) {
            relay_.submit({});
        }
        if (i == 3000) {
            server_.listen("10.0.0.1:25");
        }
        relay_.run_for(std::chrono::milliseconds(10));
        most = std::max(most, world_.network().clients_of(address));
    }
    EXPECT_GE(server_.taken.size(), 3U);
    EXPECT_EQ(most, 1U);
}

}  // namespace
}  // namespace queue::test
