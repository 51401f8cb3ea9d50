// One driver ends another's wait, from its shard or from any thread.
#include <atomic>
#include <thread>

#include "ring/conformance.h"

namespace ring_test {
namespace {

// A shard on driver 1 that waits, with a bound of a minute, until it is told to stop; as the loop
// does, it looks at what it may have been told before each wait. Where the world has threads it is
// one, else it takes its turns when the test says so.
class OtherShard {
  public:
    explicit OtherShard(World& world) : world_(world) {
        if (world.threads()) {
            thread_ = std::thread([this] { run(); });
            while (driver_.load() == nullptr)
                std::this_thread::yield();
        } else {
            driver_ = &world_.driver(1);
        }
    }
    // Stopped with the message and the bell that belongs to it. True: no wait ran to its bound.
    bool stop(const std::function<void(io::Driver&)>& ring_bell) {
        // Relaxed: it is the doorbell, or nothing, that brings the order.
        stopped_.store(true, std::memory_order_relaxed);
        ring_bell(*driver_.load());
        bell_rung_ = true;
        if (thread_.joinable()) {
            thread_.join();
        } else {
            run();
        }
        return !overslept_;
    }
    // Lets it go to sleep, as far as the test can see to that.
    void let_sleep() {
        if (thread_.joinable()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        } else {
            EXPECT_TRUE(world_.turn(1, driver_.load()->now()).empty());
        }
    }

  private:
    void run() {
        io::Driver& driver = world_.driver(1);
        driver_ = &driver;
        // Where there is one thread, what was told is there before the first look: so there the
        // wait comes first, and only the bell can end it.
        while (!world_.threads() || !stopped_.load(std::memory_order_relaxed)) {
            const base::MonoTime bound = driver.now() + std::chrono::minutes(1);
            EXPECT_TRUE(world_.turn(1, bound).empty());
            overslept_ = overslept_ || driver.now() >= bound;
            if (overslept_ || stopped_.load(std::memory_order_relaxed)) break;
        }
        // It may have seen the message before the bell: the driver must outlive the ringing.
        while (!bell_rung_.load())
            std::this_thread::yield();
        world_.end(1);
    }

    World& world_;
    std::thread thread_;
    std::atomic<io::Driver*> driver_ = nullptr;
    std::atomic<bool> stopped_ = false;
    std::atomic<bool> bell_rung_ = false;
    bool overslept_ = false;
};

TEST_P(Conformance, ADoorbellEndsTheWait) {
    OtherShard other(world());
    other.let_sleep();
    EXPECT_TRUE(other.stop([&](io::Driver& driver) {
        bench().driver().ring_doorbell(driver);
        bench().driver().ring_doorbell(driver);
        bench().turn(base::Duration::zero());
    }));
}

// A plain variable, so that ThreadSanitizer objects if the bell brought no order.
void hand_over(World& world, const std::function<void(io::Driver&)>& ring_bell) {
    std::string message;
    std::string received;
    std::atomic<io::Driver*> there = nullptr;
    std::atomic<bool> bell_rung = false;
    const auto listen_for_it = [&] {
        io::Driver& driver = world.driver(1);
        there = &driver;
        const base::MonoTime bound = driver.now() + std::chrono::minutes(1);
        EXPECT_TRUE(world.turn(1, bound).empty());
        EXPECT_LT(driver.now(), bound);
        received = message;
        while (!bell_rung.load())
            std::this_thread::yield();
        world.end(1);
    };
    std::thread thread;
    if (world.threads()) {
        thread = std::thread(listen_for_it);
        while (there.load() == nullptr)
            std::this_thread::yield();
    } else {
        there = &world.driver(1);
    }
    message = "handed over";
    ring_bell(*there.load());
    bell_rung = true;
    if (thread.joinable()) {
        thread.join();
    } else {
        listen_for_it();
    }
    EXPECT_EQ(received, "handed over");
}

TEST_P(Conformance, WhatWasWrittenBeforeADoorbellIsSeenAfterIt) {
    hand_over(world(), [&](io::Driver& driver) {
        bench().driver().ring_doorbell(driver);
        bench().turn(base::Duration::zero());
    });
}

TEST_P(Conformance, WhatWasWrittenBeforeAWakeIsSeenAfterIt) {
    hand_over(world(), [](io::Driver& driver) { driver.wake(); });
}

// It was rung before the other ever waited: the bell is not lost.
TEST_P(Conformance, ADoorbellBeforeTheFirstWaitIsHeard) {
    io::Driver& other = world().driver(1);
    bench().driver().ring_doorbell(other);
    bench().settle();
    const base::MonoTime bound = other.now() + std::chrono::minutes(1);
    EXPECT_TRUE(world().turn(1, bound).empty());
    EXPECT_LT(other.now(), bound);
    world().end(1);
}

TEST_P(Conformance, ManyDoorbellsEachEndAWait) {
    // Both on this thread: each turn of the one ends the next wait of the other.
    io::Driver& first = bench().driver();
    io::Driver& second = world().driver(1);
    for (int i = 0; i < 1000; ++i) {
        first.ring_doorbell(second);
        bench().turn(base::Duration::zero());
        const base::MonoTime bound = second.now() + std::chrono::minutes(1);
        ASSERT_TRUE(world().turn(1, bound).empty());
        ASSERT_LT(second.now(), bound);
    }
    world().end(1);
}

TEST_P(Conformance, WakeEndsTheWait) {
    OtherShard other(world());
    other.let_sleep();
    EXPECT_TRUE(other.stop([](io::Driver& driver) { driver.wake(); }));
}

TEST_P(Conformance, AWakeBeforeTheWaitIsHeard) {
    io::Driver& driver = bench().driver();
    for (int i = 0; i < 100; ++i) {
        driver.wake();
        driver.wake();
        const base::MonoTime bound = driver.now() + std::chrono::minutes(1);
        EXPECT_TRUE(world().turn(0, bound).empty());
        ASSERT_LT(driver.now(), bound);
    }
}

}  // namespace
}  // namespace ring_test
