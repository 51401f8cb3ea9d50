#include "rt/task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "io/uring/uring_driver.h"
#include "rt/awaiters.h"
#include "rt/scope.h"
#include "rt/shard.h"

namespace rt {
namespace {

using namespace std::chrono_literals;

class Loop : public testing::Test {
  protected:
    void SetUp() override {
        auto made = io::UringDriver::create({});
        ASSERT_TRUE(made.has_value()) << made.error().describe();
        driver_ = std::move(*made);
        shard_ = std::make_unique<Shard>(0, *driver_);
        scope_ = std::make_unique<Scope>(*shard_, "test");
    }
    void TearDown() override {
        scope_.reset();
        shard_.reset();
        driver_.reset();
    }
    // Turns until no task is left.
    void run() {
        while (scope_->size() > 0) {
            shard_->turn();
        }
    }

    std::unique_ptr<io::UringDriver> driver_;
    std::unique_ptr<Shard> shard_;
    std::unique_ptr<Scope> scope_;
};

Task<int> add(int a, int b) {
    co_return a + b;
}

Task<std::string> sum(int depth) {
    if (depth == 0) {
        co_return "0";
    }
    std::string below = co_await sum(depth - 1);
    const int one = co_await add(1, std::stoi(below));
    co_return std::to_string(one);
}

Task<void> store_sum(std::string& into, int depth) {
    into = co_await sum(depth);
}

TEST_F(Loop, NestedTasksGiveTheirValues) {
    std::string result;
    scope_->spawn(store_sum(result, 100));
    run();
    EXPECT_EQ(result, "100");
    EXPECT_EQ(shard_->frames().frames_in_use(), 0U);
}

Task<void> spin(base::Duration time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
    }
    co_return;
}

Task<void> spin_twice(base::Duration time) {
    co_await spin(time);
    co_await spin(time);
}

TEST_F(Loop, AMeterCountsItsScopesTasksAndThoseTheyAwait) {
    Meter meter;
    {
        Scope metered(*shard_, "metered", &meter);
        scope_->spawn(spin(1ms));
        run();
        EXPECT_EQ(meter.busy, 0ms);
        metered.spawn(spin_twice(1ms));
        while (metered.size() > 0) {
            shard_->turn();
        }
    }
    EXPECT_GE(meter.busy, 2ms);
    EXPECT_GE(meter.longest, 1ms);
    EXPECT_LT(meter.longest, meter.busy);
}

Task<void> count_up(int& count, int times) {
    for (int i = 0; i < times; ++i) {
        co_await Yield();
        ++count;
    }
}

Task<void> count_turns(int& count, int times) {
    for (int i = 0; i < times; ++i) {
        co_await NextTurn();
        ++count;
    }
}

TEST_F(Loop, ATaskMayWaitForTheNextTurn) {
    int count = 0;
    scope_->spawn(count_turns(count, 3));
    for (int turn = 0; turn <= 3; ++turn) {
        EXPECT_EQ(count, std::max(turn - 1, 0));
        shard_->turn();
    }
    EXPECT_EQ(scope_->size(), 0U);
}

// One that never waits for the kernel still lets the others, and the ring, have their turns.
TEST_F(Loop, ATurnHasABudgetOfWork) {
    int count = 0;
    scope_->spawn(count_up(count, 100000));
    shard_->turn();
    EXPECT_LE(count, static_cast<int>(Shard::kTasksPerTurn));
    run();
    EXPECT_EQ(count, 100000);
}

Task<void> descend(int depth) {
    if (depth > 0) {
        co_await descend(depth - 1);
    }
}

// With symmetric transfer this would overflow the stack at -O0.
TEST_F(Loop, AChainOfAHundredThousandTasksNeedsNoStack) {
    scope_->spawn(descend(100000));
    run();
}

Task<void> join_children(Shard& shard, std::vector<int>& order) {
    Scope children(shard, "children");
    int counts[3] = {};
    for (int& count : counts) {
        children.spawn(count_up(count, 3));
    }
    order.push_back(static_cast<int>(children.size()));
    co_await children.join();
    order.push_back(counts[0] + counts[1] + counts[2]);
}

TEST_F(Loop, AScopeEndsBehindItsTasks) {
    std::vector<int> order;
    scope_->spawn(join_children(*shard_, order));
    run();
    EXPECT_EQ(order, (std::vector<int>{3, 9}));
}

Task<void> perform_nop(Shard& shard, std::int32_t& result) {
    AwaitableOp op;
    op.prepare_nop();
    result = co_await op.submit(shard);
}

TEST_F(Loop, AnOperationWakesItsTask) {
    std::int32_t result = -1;
    scope_->spawn(perform_nop(*shard_, result));
    run();
    EXPECT_EQ(result, 0);
}

Task<void> wait_for(Wakeup& wakeup, std::vector<std::string>& events, const char* name) {
    co_await wakeup.woken(name);
    events.emplace_back(name);
}

TEST_F(Loop, AWakeBeforeTheWaitIsKept) {
    Wakeup early;
    Wakeup late;
    std::vector<std::string> events;
    early.wake();
    scope_->spawn(wait_for(early, events, "early"));
    scope_->spawn(wait_for(late, events, "late"));
    shard_->turn();
    EXPECT_EQ(events, (std::vector<std::string>{"early"}));
    late.wake();
    run();
    EXPECT_EQ(events, (std::vector<std::string>{"early", "late"}));
}

Task<void> sleep_until(Sleep& sleep, base::MonoTime at, base::MonoTime& woke) {
    co_await sleep.until(at);
    woke = at;
}

TEST_F(Loop, ASleepEndsAtItsTimeOrWhenInterrupted) {
    Sleep brief;
    Sleep endless;
    base::MonoTime woke{};
    base::MonoTime never{};
    const base::MonoTime at = shard_->now() + 150ms;
    scope_->spawn(sleep_until(brief, at, woke));
    scope_->spawn(sleep_until(endless, base::kNever, never));
    while (woke != at) {
        shard_->turn();
    }
    EXPECT_GE(shard_->now(), at);
    EXPECT_EQ(scope_->size(), 1U);
    endless.interrupt();
    run();
}

class Count : public TurnHook {
  public:
    base::MonoTime end_of_turn(base::MonoTime now) override {
        ++turns;
        return wanted == base::kNever ? base::kNever : now + (wanted - base::MonoTime{});
    }
    int turns = 0;
    base::MonoTime wanted = base::kNever;
};

TEST_F(Loop, AHookIsCalledByItsDeadline) {
    Count hook;
    hook.wanted = base::MonoTime{} + 1ms;
    shard_->add_hook(hook);
    const base::MonoTime start = driver_->now();
    shard_->turn();
    shard_->turn();  // waits for the hook's millisecond, not for the second that nothing else
                     // shortens
    EXPECT_EQ(hook.turns, 2);
    EXPECT_GE(driver_->now() - start, 1ms);
}

// A letter that travels between two shards, each on its own thread, until it has done its rounds.
class Ball : public Letter {
  public:
    void open() override {
        ++hops;
        Shard& here = *courts[static_cast<std::size_t>(hops - 1) % 2];
        if (hops == last) {
            courts[0]->stop();
            courts[1]->stop();
            return;
        }
        Shard& there = *courts[static_cast<std::size_t>(hops) % 2];
        ASSERT_TRUE(there.post(*this, &here));
    }
    Shard* courts[2] = {};
    int hops = 0;
    int last = 0;
};

TEST(Shards, ALetterWakesASleepingShard) {
    auto first = io::UringDriver::create({});
    auto second = io::UringDriver::create({});
    ASSERT_TRUE(first.has_value() && second.has_value());
    Shard one(0, **first);
    Shard two(1, **second);
    Ball ball;
    ball.courts[0] = &one;
    ball.courts[1] = &two;
    ball.last = 20000;
    ASSERT_TRUE(one.post(ball, nullptr));
    std::thread other([&two] { two.run(); });
    one.run();
    other.join();
    EXPECT_EQ(ball.hops, 20000);
}

TEST(Shards, StopFromAnotherThreadEndsAWait) {
    auto driver = io::UringDriver::create({});
    ASSERT_TRUE(driver.has_value());
    Shard shard(0, **driver);
    std::thread other([&shard] { shard.stop(); });
    shard.run();
    other.join();
    EXPECT_TRUE(shard.stopping());
}

Task<int> small() {
    co_return 1;
}

// g++ 12 overlaps nothing in a frame: every awaiter adds up. The runtime's own share must stay
// small.
TEST(Frames, TheRuntimesShareIsSmall) {
    EXPECT_LE(sizeof(Promise), 88U);
    EXPECT_LE(sizeof(AwaitableOp::Submission), 16U);
    EXPECT_LE(sizeof(Wakeup::Woken), 16U);
    EXPECT_LE(sizeof(Sleep::Until), 16U);
    FramePool pool;
    const FramePool::Use use(pool);
    {
        Task<int> task = small();
        EXPECT_EQ(pool.frames_in_use(), 1U);
    }
    EXPECT_EQ(pool.frames_in_use(), 0U);
}

}  // namespace
}  // namespace rt
