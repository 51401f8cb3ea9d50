// Operations over SimDriver: faults, cancels, injections, kills, doorbells.
#include "sim/sim_driver.h"

#include <array>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "sim/host.h"
#include "sim/network.h"
#include "sim/peer.h"
#include "sim/test_op.h"
#include "sim/world.h"

namespace {

using sim::run;
using sim::TestOp;
using sim::turn;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr io::OpenMode kCreate{.write = true, .create = true, .dsync = true};

// A host driven by the test itself.
class DriverTest : public testing::Test {
  protected:
    void make(std::uint64_t seed, const sim::Options& options = {}) {
        world = std::make_unique<sim::World>(seed, options);
        host = &world->add_host("host");
        driver = &host->add_driver();
    }
    io::Handle open(const char* path, io::OpenMode mode) {
        TestOp op;
        op.prepare_open(io::kNoHandle, path, mode);
        const std::int32_t result = run(*driver, op);
        EXPECT_GE(result, 0) << path;
        return result;
    }

    std::unique_ptr<sim::World> world;
    sim::Host* host = nullptr;
    sim::SimDriver* driver = nullptr;
};

TEST_F(DriverTest, AKilledProgramsWriteReachesTheDiskAndHoldsTheLock) {
    make(1);
    const io::Handle file = open("/f", kCreate);
    ASSERT_TRUE(driver->try_lock(file).has_value());
    TestOp write;
    host->inject({.code = io::OpCode::write, .delay = milliseconds(50)});
    write.prepare_write(file, base::as_bytes("late"), 0);
    driver->submit(write);
    turn(*driver, driver->now() + milliseconds(1));
    host->kill();
    EXPECT_TRUE(driver->dead());
    turn(*driver);
    EXPECT_EQ(write.result, -ECANCELED);
    EXPECT_EQ(host->disk().content_of("/f"), "");
    host->stop();

    driver = &host->add_driver();
    const io::Handle again = open("/f", kCreate);
    EXPECT_EQ(driver->try_lock(again).error().number(), EWOULDBLOCK);
    world->run_for(milliseconds(60));
    EXPECT_EQ(host->disk().content_of("/f"), "late");
    EXPECT_TRUE(driver->try_lock(again).has_value());
}

TEST_F(DriverTest, FatalReturnsAndDiscardsWhatComesLater) {
    make(1);
    const io::Handle file = open("/f", kCreate);
    driver->fatal("the disk is gone: look at dmesg");
    EXPECT_TRUE(driver->dead());
    EXPECT_EQ(host->fatal_sentence(), "the disk is gone: look at dmesg");
    TestOp write;
    write.prepare_write(file, base::as_bytes("x"), 0);
    EXPECT_EQ(run(*driver, write), -ECANCELED);
    driver->close(file);
    EXPECT_FALSE(driver->listen(*io::SocketAddress::parse("127.0.0.1:1"), {}).has_value());
    EXPECT_EQ(host->disk().content_of("/f"), "");
}

TEST_F(DriverTest, ACancelMayWinOrLose) {
    std::set<std::int32_t> results;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        make(seed);
        const io::Handle file = open("/f", kCreate);
        TestOp write;
        write.prepare_write(file, base::as_bytes("1234"), 0);
        driver->submit(write);
        driver->cancel(write);
        while (write.in_flight()) {
            turn(*driver);
        }
        results.insert(write.result);
        EXPECT_EQ(write.completions, 1);
        const std::string content = *host->disk().content_of("/f");
        EXPECT_TRUE(content == "1234" || (write.result < 0 && content.empty()));
    }
    EXPECT_EQ(results, (std::set<std::int32_t>{-ECANCELED, 4}));
}

TEST_F(DriverTest, ACancelOfAReceiveRacesWithItsBytes) {
    std::set<std::int32_t> results;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        sim::Options options;
        options.ring_latency = {milliseconds(0), milliseconds(2)};
        make(seed, options);
        sim::Peer peer(*world);
        peer.on_connect = [](sim::Connection& c) { c.send("hello"); };
        peer.listen("127.0.0.1:9");
        const io::Handle socket = *driver->socket(AF_INET, {});
        const io::SocketAddress address = *io::SocketAddress::parse("127.0.0.1:9");
        TestOp op;
        op.prepare_connect(socket, address);
        ASSERT_EQ(run(*driver, op), 0);
        std::array<std::byte, 16> into;
        op.prepare_receive(socket, into);
        driver->submit(op);
        driver->cancel(op);
        while (op.in_flight()) {
            turn(*driver);
        }
        results.insert(op.result);
        driver->close(socket);
    }
    EXPECT_EQ(results, (std::set<std::int32_t>{-ECANCELED, 5}));
}

TEST_F(DriverTest, AnInjectedFaultHitsTheChosenOperation) {
    make(1);
    const io::Handle file = open("/f", {.write = true, .create = true});
    host->inject({.code = io::OpCode::sync, .skip = 1, .error = EIO});
    host->inject({.code = io::OpCode::write, .bytes = 3});
    TestOp op;
    op.prepare_write(file, base::as_bytes("12345"), 0);
    EXPECT_EQ(run(*driver, op), 3);
    op.prepare_sync(file);
    EXPECT_EQ(run(*driver, op), 0);
    op.prepare_sync(file);
    EXPECT_EQ(run(*driver, op), -EIO);
    op.prepare_sync(file);
    EXPECT_EQ(run(*driver, op), 0);
    EXPECT_EQ(host->injections_left(), 0U);
}

TEST_F(DriverTest, EachFaultOfTheDiskShows) {
    using sim::Fault;
    const auto result_with = [&](Fault fault, io::OpCode code) {
        sim::Options options;
        make(1, options);
        const io::Handle file = open("/f", kCreate);
        std::string bytes(100, 'b');
        TestOp op;
        op.prepare_write(file, base::as_bytes(bytes), 0);
        EXPECT_EQ(run(*driver, op), 100);
        world->set_faults(sim::Faults().set(fault, 1'000'000));
        if (code == io::OpCode::read) {
            op.prepare_read(file, std::as_writable_bytes(std::span(bytes)), 0);
        } else if (code == io::OpCode::write) {
            op.prepare_write(file, base::as_bytes(bytes), 4096);
        } else if (code == io::OpCode::sync) {
            op.prepare_sync(file);
        } else {
            op.prepare_allocate(file, 4096, 100);
        }
        const std::int32_t result = run(*driver, op);
        EXPECT_EQ(world->meetings().of(fault), 1U);
        return result;
    };
    EXPECT_EQ(result_with(Fault::read_error, io::OpCode::read), -EIO);
    EXPECT_EQ(result_with(Fault::write_error, io::OpCode::write), -EIO);
    EXPECT_EQ(result_with(Fault::sync_error, io::OpCode::sync), -EIO);
    EXPECT_EQ(result_with(Fault::no_space, io::OpCode::write), -ENOSPC);
    EXPECT_EQ(result_with(Fault::no_space, io::OpCode::allocate), -ENOSPC);
    EXPECT_LE(result_with(Fault::short_read, io::OpCode::read), 100);
    EXPECT_LE(result_with(Fault::short_write, io::OpCode::write), 100);
    EXPECT_EQ(result_with(Fault::slow_disk, io::OpCode::read), 100);
}

TEST_F(DriverTest, AChangedBufferOfAWriteInFlightIsAPanic) {
    EXPECT_DEATH(
        {
            make(1);
            const io::Handle file = open("/f", kCreate);
            std::string bytes = "before";
            TestOp op;
            op.prepare_write(file, base::as_bytes(bytes), 0);
            driver->submit(op);
            turn(*driver, driver->now());
            bytes = "after!";
            turn(*driver);
        },
        "panic");
}

TEST_F(DriverTest, TheWallClockStepsAndTheOtherDoesNot) {
    make(1);
    const base::WallTime wall = driver->wall_now();
    const base::MonoTime mono = driver->now();
    world->step_wall(-std::chrono::hours(3));
    EXPECT_EQ(driver->wall_now(), wall - std::chrono::hours(3));
    EXPECT_EQ(driver->now(), mono);
    turn(*driver, mono + seconds(5));
    EXPECT_EQ(driver->now(), mono + seconds(5));
    EXPECT_EQ(driver->wall_now(), wall - std::chrono::hours(3) + seconds(5));
}

TEST_F(DriverTest, ADoorbellEndsTheOthersWait) {
    make(1);
    sim::SimDriver& other = host->add_driver();
    int turns = 0;
    base::MonoTime heard{};
    other.set_turn([&] {
        turn(other, base::kNever);
        ++turns;
        heard = other.now();
    });
    world->run_for(seconds(1));
    const int before = turns;
    EXPECT_LE(before, 2) << "a driver that waits for nothing gets no turns";
    driver->ring_doorbell(other);
    turn(*driver, driver->now());
    const base::MonoTime rung = world->now();
    world->run_for(seconds(1));
    EXPECT_GT(turns, before);
    EXPECT_LT(heard - rung, milliseconds(1));
}

}  // namespace
