// Stream, LineReader and close_gently over the simulated world: what arrives, in order, whatever
// the ring and the network do.
#include "net/stream.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "net/line_reader.h"
#include "rt/awaiters.h"
#include "rt/scope.h"
#include "sim/host.h"
#include "sim/peer.h"
#include "sim/sim_driver.h"
#include "sim/world.h"

namespace net {
namespace {

static_assert(sizeof(Stream::Wait) <= 16);
static_assert(sizeof(Stream) < 1024);

constexpr std::string_view kPeer = "192.0.2.1:25";

// One shard with `count` streams that connect to a scripted peer.
class StreamTest : public testing::Test {
  protected:
    void build(ShardNet::Options options, std::uint64_t seed = 1, sim::Faults faults = {}) {
        peer_.reset();  // a world built before goes in the order that it came
        scope_.reset();
        net_.reset();
        shard_.reset();
        sim::Options sim;
        sim.faults = faults;
        world_ = std::make_unique<sim::World>(seed, sim);
        host_ = &world_->add_host("host");
        driver_ = &host_->add_driver();
        shard_ = std::make_unique<rt::Shard>(0, *driver_);
        net_ = std::move(*ShardNet::create(*shard_, options));
        scope_ = std::make_unique<rt::Scope>(*shard_, "test");
        peer_ = std::make_unique<sim::Peer>(*world_);
        peer_->listen(kPeer);
        driver_->set_turn([this] { shard_->turn(); });
    }
    void run() {
        EXPECT_TRUE(
            world_->run_until([this] { return scope_->size() == 0; }, std::chrono::hours(2)));
        world_->run_for(std::chrono::seconds(1));  // what was sent last arrives
        EXPECT_EQ(net_->leased(), 0U);
        EXPECT_EQ(driver_->leases_out(), 0U);
        EXPECT_EQ(host_->operations_in_flight(), 0U);
        EXPECT_EQ(host_->open_handles(), 0U);
    }
    base::MonoTime in(base::Duration time) { return shard_->now() + time; }

    rt::Task<void> connect_and_close(base::Duration patience) {
        Stream stream(*net_);
        result_ = co_await stream.connect(address_, source_, in(patience));
        static_cast<void>(co_await stream.close());
    }
    // Reads until the end, resting before each look.
    rt::Task<void> read_all(std::string* into, base::Duration rest) {
        Stream stream(*net_);
        rt::Sleep sleep;
        std::int32_t result =
            co_await stream.connect(address_, source_, in(std::chrono::minutes(1)));
        while (result >= 0) {
            if (rest != base::Duration::zero()) {
                co_await sleep.until(in(rest));
            }
            result = co_await stream.receive(in(std::chrono::minutes(10)));
            if (result <= 0) {
                break;
            }
            const std::string_view input = stream.input();
            const std::size_t part = std::max<std::size_t>(1, input.size() / 2);
            into->append(input.substr(0, part));
            stream.consume(part);
        }
        result_ = result;
        static_cast<void>(co_await stream.close());
    }
    rt::Task<void> send_all(std::string_view bytes, base::Duration patience) {
        Stream stream(*net_);
        result_ = co_await stream.connect(address_, source_, in(std::chrono::minutes(1)));
        result_ = co_await stream.send(bytes, in(patience));
        co_await close_gently(stream, 1'000'000, in(std::chrono::seconds(5)));
    }
    rt::Task<void> send_pieces(std::vector<iovec>* pieces) {
        Stream stream(*net_);
        result_ = co_await stream.connect(address_, source_, in(std::chrono::minutes(1)));
        result_ = co_await stream.send_vector(*pieces, in(std::chrono::minutes(5)));
        co_await close_gently(stream, 1'000'000, in(std::chrono::seconds(5)));
    }
    rt::Task<void> wait_in(Stream* stream) {
        result_ = co_await stream->connect(address_, source_, in(std::chrono::minutes(1)));
        result_ = co_await stream->receive(base::kNever);
        late_result_ = co_await stream->receive(base::kNever);
        sent_ = co_await stream->send("bye", in(std::chrono::minutes(1)));
        static_cast<void>(co_await stream->close());
    }
    rt::Task<void> read_lines(std::vector<std::string>* lines, std::size_t bytes_max) {
        Stream stream(*net_);
        LineReader reader(stream);
        std::int32_t result =
            co_await stream.connect(address_, source_, in(std::chrono::minutes(1)));
        while (result >= 0) {
            std::string_view line;
            const LineReader::Event event = reader.next(line, bytes_max);
            if (event != LineReader::Event::more) {
                const bool whole = event == LineReader::Event::line;
                lines->push_back((whole ? "" : "(too long) ") + std::string(line));
                continue;
            }
            result = co_await stream.receive(in(std::chrono::minutes(10)));
            if (result <= 0) {
                break;
            }
        }
        static_cast<void>(co_await stream.close());
    }

    std::unique_ptr<sim::World> world_;
    sim::Host* host_ = nullptr;
    sim::SimDriver* driver_ = nullptr;
    std::unique_ptr<rt::Shard> shard_;
    std::unique_ptr<ShardNet> net_;
    std::unique_ptr<rt::Scope> scope_;
    std::unique_ptr<sim::Peer> peer_;
    io::SocketAddress address_ = *io::SocketAddress::parse(kPeer);
    io::SocketAddress source_;
    std::int32_t result_ = 1;
    std::int32_t late_result_ = 1;
    std::int32_t sent_ = 1;
};

std::string numbered(std::size_t bytes) {
    std::string text;
    for (int i = 0; text.size() < bytes; ++i) {
        text.append(std::to_string(i)).append(" ");
    }
    return text;
}

TEST_F(StreamTest, ConnectResults) {
    build({.buffers = 4, .buffer_bytes = 64});
    scope_->spawn(connect_and_close(std::chrono::seconds(30)));
    run();
    EXPECT_EQ(result_, 0);
    peer_->stop_listening();
    scope_->spawn(connect_and_close(std::chrono::seconds(30)));
    run();
    EXPECT_EQ(result_, -ECONNREFUSED);
    world_->network().set_silence(address_, sim::Silence::no_answer);
    scope_->spawn(connect_and_close(std::chrono::seconds(30)));
    run();
    EXPECT_EQ(result_, -ETIMEDOUT);
}

TEST_F(StreamTest, WhatArrivesIsReadInOrder) {
    for (const base::Duration rest :
         {base::Duration::zero(), base::Duration(std::chrono::seconds(1))}) {
        build({.buffers = 4, .buffer_bytes = 64});
        const std::string sent = numbered(rest == base::Duration::zero() ? 200'000 : 5000);
        peer_->on_connect = [&](sim::Connection& connection) {
            connection.send(sent);
            connection.finish();
        };
        std::string got;
        scope_->spawn(read_all(&got, rest));
        run();
        EXPECT_EQ(result_, 0);
        EXPECT_EQ(got, sent);
    }
}

TEST_F(StreamTest, ASlowReaderHoldsFewBuffers) {
    build({.buffers = 64, .buffer_bytes = 64});
    const std::string sent = numbered(20'000);
    peer_->on_connect = [&](sim::Connection& connection) { connection.send(sent); };
    std::string got;
    scope_->spawn(read_all(&got, std::chrono::seconds(1)));
    world_->run_for(std::chrono::seconds(20));
    EXPECT_GT(net_->counters().paused, 0U);
    EXPECT_LT(net_->leased(), 64U);
    EXPECT_EQ(net_->counters().starved, 0U);
    EXPECT_EQ(sent.substr(0, got.size()), got);
    run();
    EXPECT_EQ(got, sent);
    EXPECT_EQ(result_, -ETIMEDOUT);
}

// Slow readers hold what the ring has; the fast one must not wait for them, and nobody loses an
// octet.
TEST_F(StreamTest, SlowReadersStarveNoOne) {
    build({.buffers = 16, .buffer_bytes = 64});
    const std::string sent = numbered(20'000);
    peer_->on_connect = [&](sim::Connection& connection) {
        connection.send(sent);
        connection.finish();
    };
    std::vector<std::string> slow(10);
    for (std::string& one : slow) {
        scope_->spawn(read_all(&one, std::chrono::seconds(2)));
    }
    world_->run_for(std::chrono::seconds(3));
    std::string fast;
    scope_->spawn(read_all(&fast, {}));
    world_->run_until([&] { return fast.size() == sent.size(); }, std::chrono::seconds(60));
    EXPECT_EQ(fast, sent);
    EXPECT_GT(net_->counters().starved, 0U);
    EXPECT_GT(net_->counters().copied_out, 0U);
    run();
    for (const std::string& one : slow) {
        EXPECT_EQ(one, sent);
    }
}

TEST_F(StreamTest, ARoughRingLosesNothing) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        sim::Faults faults;
        for (const sim::Fault fault :
             {sim::Fault::split, sim::Fault::short_send, sim::Fault::short_receive,
              sim::Fault::multishot_end, sim::Fault::no_buffers, sim::Fault::cancel_loses}) {
            faults.set(fault, 100'000);
        }
        build({.buffers = 8, .buffer_bytes = 256}, seed, faults);
        const std::string sent = numbered(20'000);
        std::string echoed;
        peer_->on_connect = [&](sim::Connection& connection) {
            connection.send(sent);
            connection.finish();
        };
        peer_->on_bytes = [&](sim::Connection&, std::string_view bytes) { echoed += bytes; };
        std::string got[3];
        scope_->spawn(read_all(&got[0], {}));
        scope_->spawn(read_all(&got[1], std::chrono::milliseconds(300)));
        scope_->spawn(read_all(&got[2], std::chrono::milliseconds(100)));
        run();
        for (const std::string& one : got) {
            EXPECT_EQ(one, sent) << seed;
        }
        scope_->spawn(send_all(sent, std::chrono::minutes(10)));
        run();
        EXPECT_EQ(result_, 0);
        EXPECT_EQ(echoed, sent) << seed;
    }
}

TEST_F(StreamTest, SendVectorSendsAllPiecesInOrder) {
    sim::Faults faults;
    faults.set(sim::Fault::short_send, 900'000);
    build({.buffers = 4, .buffer_bytes = 64}, 7, faults);
    std::string received;
    peer_->on_bytes = [&](sim::Connection&, std::string_view bytes) { received += bytes; };
    std::string all = numbered(3000);
    std::vector<iovec> pieces;
    for (std::size_t at = 0, size = 1; at < all.size(); at += size, size = size % 97 + 1) {
        pieces.push_back({all.data() + at, std::min(size, all.size() - at)});
    }
    scope_->spawn(send_pieces(&pieces));
    run();
    EXPECT_EQ(result_, 0);
    EXPECT_EQ(received, all);
}

TEST_F(StreamTest, ASendThatNobodyReadsTimesOut) {
    build({.buffers = 4, .buffer_bytes = 64});
    peer_->on_connect = [](sim::Connection& connection) { connection.pause(); };
    const std::string much(4'000'000, 'x');
    const base::MonoTime before = world_->now();
    scope_->spawn(send_all(much, std::chrono::seconds(30)));
    run();
    EXPECT_EQ(result_, -ETIMEDOUT);
    EXPECT_GE(world_->now() - before, std::chrono::seconds(30));
    EXPECT_LE(world_->now() - before, std::chrono::seconds(37));
}

TEST_F(StreamTest, AReceiveTimesOutAndGoesOnAfterwards) {
    build({.buffers = 4, .buffer_bytes = 64});
    std::string got;
    peer_->on_connect = [&](sim::Connection& connection) {
        world_->after(std::chrono::minutes(11), "late", [&connection] { connection.send("x"); });
    };
    scope_->spawn(read_all(&got, {}));
    run();
    EXPECT_EQ(result_, -ETIMEDOUT);
}

TEST_F(StreamTest, AResetIsAnError) {
    build({.buffers = 4, .buffer_bytes = 64});
    peer_->on_connect = [&](sim::Connection& connection) {
        world_->after(std::chrono::seconds(1), "reset", [&connection] { connection.reset(); });
    };
    std::string got;
    scope_->spawn(read_all(&got, {}));
    run();
    EXPECT_EQ(result_, -ECONNRESET);
}

TEST_F(StreamTest, StopEndsTheWaitForInputAndLeavesOutput) {
    build({.buffers = 4, .buffer_bytes = 64});
    Stream stream(*net_);
    scope_->spawn(wait_in(&stream));
    world_->run_for(std::chrono::seconds(5));
    EXPECT_EQ(result_, 0);
    world_->after({}, "stop", [&] {
        stream.stop();
        driver_->wake();
    });
    run();
    EXPECT_EQ(result_, -ECANCELED);
    EXPECT_EQ(late_result_, -ECANCELED);
    EXPECT_EQ(sent_, 0);
}

TEST_F(StreamTest, AbortEndsOutputToo) {
    build({.buffers = 4, .buffer_bytes = 64});
    Stream stream(*net_);
    scope_->spawn(wait_in(&stream));
    world_->run_for(std::chrono::seconds(5));
    world_->after({}, "abort", [&] {
        stream.abort();
        driver_->wake();
    });
    run();
    EXPECT_EQ(result_, -ECANCELED);
    EXPECT_EQ(sent_, -ECANCELED);
}

TEST_F(StreamTest, ClosedGentlyThePeerGetsAllThoughItIsStillSending) {
    build({.buffers = 4, .buffer_bytes = 64});
    std::string got;
    int error = -1;
    peer_->on_connect = [](sim::Connection& connection) { connection.send(std::string(900, 'x')); };
    peer_->on_bytes = [&](sim::Connection&, std::string_view bytes) { got += bytes; };
    peer_->on_close = [&](sim::Connection& connection, int code) {
        error = code;
        if (code == 0) {
            connection.close();
        }
    };
    scope_->spawn(send_all("last words", std::chrono::seconds(30)));
    run();
    EXPECT_EQ(got, "last words");
    EXPECT_EQ(error, 0);
}

// Lines of all sizes around the bound, cut by buffers of every size.
TEST_F(StreamTest, Lines) {
    const std::string sent = "one\r\n\r\ntwo\n" + std::string(18, 'a') + "\r\n" +
                             std::string(19, 'b') + "\r\n" + "head " + std::string(500, 'c') +
                             "\r\nafter\r\n\n\r\r\n" + std::string(19, 'd') + "\n" +
                             std::string(20, 'e') + "\nend\r";
    const std::string long_b = "(too long) " + std::string(19, 'b') + "\r\n";
    const std::string long_c = "(too long) head " + std::string(LineReader::kHeadBytes - 5, 'c');
    const std::string long_e = "(too long) " + std::string(20, 'e') + "\n";
    const std::vector<std::string> expected{
        "one",   "", "two", std::string(18, 'a'), long_b, long_c,
        "after", "", "\r",  std::string(19, 'd'), long_e};
    for (std::uint32_t size = 1; size <= 40; ++size) {
        build({.buffers = 64, .buffer_bytes = size}, size);
        peer_->on_connect = [&](sim::Connection& connection) {
            connection.send(sent);
            connection.finish();
        };
        std::vector<std::string> lines;
        scope_->spawn(read_lines(&lines, 20));
        run();
        EXPECT_EQ(lines, expected) << size;
    }
}

}  // namespace
}  // namespace net
