// rt::Shard as a program of the simulated world: tasks, timers and letters over turns, and their
// unwinding at a crash.
#include "rt/shard.h"

#include <array>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "rt/awaiters.h"
#include "rt/scope.h"
#include "sim/host.h"
#include "sim/sim_driver.h"
#include "sim/world.h"

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// One shard that writes a block each ten milliseconds.
struct Ticker {
    explicit Ticker(sim::SimDriver& on) : driver(on), shard(0, on), scope(shard, "ticker") {
        driver.set_turn([this] { shard.turn(); });
        scope.spawn(tick(*this));
    }

    static rt::Task<void> tick(Ticker& self) {
        self.op.prepare_open(io::kNoHandle, "/ticks", {.write = true, .create = true});
        self.file = co_await self.op.submit(self.shard);
        while (!self.driver.dead()) {
            const base::MonoTime next = self.shard.now() + milliseconds(10);
            co_await self.sleep.until(next);
            self.op.prepare_write(self.file, base::as_bytes("tick"), self.ticks * 4);
            const std::int32_t written = co_await self.op.submit(self.shard);
            self.ticks += written == 4 ? 1 : 0;
        }
    }

    sim::SimDriver& driver;
    rt::Shard shard;
    rt::Scope scope;
    rt::AwaitableOp op;
    rt::Sleep sleep;
    io::Handle file = io::kNoHandle;
    std::uint64_t ticks = 0;
};

class ShardTest : public testing::Test {
  protected:
    void start(std::uint64_t seed) {
        world = std::make_unique<sim::World>(seed);
        host = &world->add_host("host");
        host->set_program(
            {.start = [this] { ticker = std::make_unique<Ticker>(host->add_driver()); },
             .end = [this] { ticker.reset(); },
             .unwound = [this] { return ticker->scope.size() == 0; }});
        host->start();
    }
    void end() {
        host->set_restart(false);
        host->kill();
        world->run_for(seconds(1));
        EXPECT_EQ(ticker, nullptr);
    }

    std::unique_ptr<Ticker> ticker;
    std::unique_ptr<sim::World> world;
    sim::Host* host = nullptr;
};

TEST_F(ShardTest, TasksRunInVirtualTime) {
    start(1);
    ASSERT_TRUE(world->run_until([&] { return ticker->ticks == 50; }, minutes(1)));
    // The wheel's ticks are 100 ms.
    EXPECT_LT(world->now().time_since_epoch(), seconds(20));
    end();
}

TEST_F(ShardTest, ACrashUnwindsTasksAtAnyEvent) {
    for (std::uint64_t event = 0; event < 60; ++event) {
        start(event);
        world->crash_at_event(*host, event);
        const auto ticks_again = [&] {
            return host->starts() == 2 && ticker != nullptr && ticker->ticks == 3;
        };
        EXPECT_TRUE(world->run_until(ticks_again, minutes(1))) << event;
        end();
    }
}

struct Hello : rt::Letter {
    void open() override { read = true; }
    bool read = false;
};

TEST(ShardsTest, LettersCrossShards) {
    sim::World world(1);
    sim::Host& host = world.add_host("host");
    std::vector<std::unique_ptr<rt::Shard>> shards;
    for (std::uint32_t i = 0; i < 2; ++i) {
        sim::SimDriver& driver = host.add_driver();
        shards.push_back(std::make_unique<rt::Shard>(i, driver));
        driver.set_turn([shard = shards.back().get()] { shard->turn(); });
    }
    world.run_for(milliseconds(10));
    Hello hello;
    const base::MonoTime posted = world.now();
    ASSERT_TRUE(shards[1]->post(hello, shards[0].get()));
    EXPECT_TRUE(world.run_until([&] { return hello.read; }, seconds(10)));
    EXPECT_LT(world.now() - posted, milliseconds(1)) << "the bell rang, no deadline was needed";
}

}  // namespace
