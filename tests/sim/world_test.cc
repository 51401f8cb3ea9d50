// Programs over SimDriver: turns, crashes, kills, cancels, injections, and that a seed replays.
#include "sim/world.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "io/driver.h"
#include "sim/host.h"
#include "sim/network.h"
#include "sim/peer.h"
#include "sim/sim_driver.h"
#include "sim/test_op.h"

namespace {

using sim::TestOp;
using sim::turn;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr io::OpenMode kCreate{.write = true, .create = true, .dsync = true};

// Echoes what comes, on one shard of a host, with everything over the driver.
class EchoServer {
  public:
    EchoServer(sim::SimDriver& driver, const char* address) : driver_(driver) {
        listener_ = *driver.listen(*io::SocketAddress::parse(address), {});
        ring_ = *driver.add_buffer_ring(4, 64);
        accept_.then = [this](const io::Completion& completion) { accepted(completion); };
        accept_.prepare_accept_multishot(listener_);
        driver.submit(accept_);
        driver.set_turn([this] {
            turn(driver_);
            std::erase_if(sessions_, [](const auto& session) { return session->done(); });
        });
    }

  private:
    struct Session {
        Session(EchoServer& server, io::Handle handle) : server_(server), handle_(handle) {
            receive_.then = [this](const io::Completion& completion) { received(completion); };
            send_.then = [this](const io::Completion& completion) { sent(completion); };
            arm();
        }
        [[nodiscard]] bool done() {
            if (ended_ && !receive_.in_flight() && !send_.in_flight() && handle_ >= 0) {
                server_.driver_.close(std::exchange(handle_, io::kNoHandle));
            }
            return handle_ < 0;
        }
        void arm() {
            receive_.prepare_receive_multishot(handle_, server_.ring_);
            server_.driver_.submit(receive_);
        }
        void received(const io::Completion& completion) {
            if (completion.buffer >= 0) {
                const io::Lease lease(server_.driver_, server_.ring_, completion);
                out_ += base::as_text(lease.bytes());
                push();
            }
            if (completion.more) {
                return;
            }
            if (completion.result > 0 || completion.result == -ENOBUFS) {
                arm();
                return;
            }
            ended_ = true;
        }
        void push() {
            if (!send_.in_flight() && !out_.empty() && !ended_) {
                sending_ = out_;
                send_.prepare_send(handle_, base::as_bytes(sending_));
                server_.driver_.submit(send_);
            }
        }
        void sent(const io::Completion& completion) {
            if (completion.result < 0) {
                ended_ = true;
                server_.driver_.cancel(receive_);
                return;
            }
            out_.erase(0, static_cast<std::size_t>(completion.result));
            push();
        }
        EchoServer& server_;
        io::Handle handle_;
        TestOp receive_;
        TestOp send_;
        std::string out_;
        std::string sending_;
        bool ended_ = false;
    };

    void accepted(const io::Completion& completion) {
        if (completion.result >= 0) {
            sessions_.push_back(std::make_unique<Session>(*this, completion.result));
        }
        if (!completion.more && !driver_.dead()) {
            accept_.prepare_accept_multishot(listener_);
            driver_.submit(accept_);
        }
    }

    sim::SimDriver& driver_;
    io::Handle listener_ = io::kNoHandle;
    io::BufferRingId ring_ = 0;
    TestOp accept_;
    std::vector<std::unique_ptr<Session>> sessions_;
};

struct Echoed {
    std::uint64_t hash = 0;
    std::uint64_t whole = 0;   // clients that got everything back
    std::uint64_t broken = 0;  // clients whose connection broke
    sim::Meetings meetings;
};

// Twenty clients against an echo server on two shards, whose host may crash once.
Echoed run_echo(std::uint64_t seed, const sim::Faults& faults, bool crash) {
    sim::Options options;
    options.faults = faults;
    sim::World world(seed, options);
    sim::Host& host = world.add_host("echo");
    std::vector<std::unique_ptr<EchoServer>> servers;
    host.set_program({.start =
                          [&] {
                              for (int i = 0; i < 2; ++i) {
                                  servers.push_back(std::make_unique<EchoServer>(host.add_driver(),
                                                                                 "127.0.0.1:7"));
                              }
                          },
                      .end = [&] { servers.clear(); }});
    host.start();
    if (crash) {
        world.crash_at_event(host, 500);
    }
    Echoed echoed;
    std::uint64_t ended = 0;
    sim::Peer clients(world);
    const std::string sent(1000, 'x');
    clients.on_connect = [&](sim::Connection& c) { c.send(sent); };
    clients.on_bytes = [&](sim::Connection& c, std::string_view) {
        if (c.received() == sent) {
            ++echoed.whole;
            ++ended;
            c.close();
        }
    };
    clients.on_close = [&](sim::Connection& c, int error) {
        ++echoed.broken;
        ++ended;
        if (error == 0) {
            c.close();
        }
    };
    for (int i = 0; i < 20; ++i) {
        world.after(milliseconds(i), "client", [&] { clients.connect("127.0.0.1:7"); });
    }
    world.run_until([&] { return ended == 20; }, minutes(60));
    world.set_faults(sim::Faults::none());
    world.run_for(minutes(1));
    EXPECT_LE(host.open_handles(), 2U + echoed.broken) << "the listeners, and sessions whose "
                                                          "client's host just fell silent";
    host.set_restart(false);
    host.kill();
    world.run_for(seconds(1));
    echoed.hash = world.trace_hash();
    echoed.meetings = world.meetings();
    return echoed;
}

TEST(World, ACalmWorldEchoesEverything) {
    const Echoed echoed = run_echo(1, sim::Faults::none(), false);
    EXPECT_EQ(echoed.whole, 20U);
    EXPECT_EQ(echoed.broken, 0U);
}

TEST(World, TheSameSeedReplaysAndAnotherDoesNot) {
    std::set<std::uint64_t> hashes;
    sim::Meetings all;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        base::Prng prng(seed);
        const sim::Faults faults = sim::Faults::swarm(prng);
        const Echoed first = run_echo(seed, faults, seed % 2 == 0);
        const std::vector<std::string> shifted_heap(seed, std::string(100, 'h'));
        const Echoed second = run_echo(seed, faults, seed % 2 == 0);
        EXPECT_EQ(first.hash, second.hash) << "seed " << seed;
        hashes.insert(first.hash);
        all.add(first.meetings);
    }
    EXPECT_EQ(hashes.size(), 30U);
    using sim::Fault;
    for (const Fault fault : {Fault::split, Fault::short_send, Fault::short_receive,
                              Fault::connect_refused, Fault::connect_silent, Fault::accept_error,
                              Fault::multishot_end, Fault::no_buffers, Fault::crash}) {
        EXPECT_GT(all.of(fault), 0U) << name_of(fault) << " met nothing:\n" << all.text();
    }
}

TEST(World, SplitsAndShortReadsLoseNothing) {
    sim::Faults faults;
    faults.set(sim::Fault::split, 300'000)
        .set(sim::Fault::short_send, 300'000)
        .set(sim::Fault::short_receive, 300'000)
        .set(sim::Fault::multishot_end, 300'000)
        .set(sim::Fault::no_buffers, 100'000);
    EXPECT_EQ(run_echo(5, faults, false).whole, 20U);
}

// A program that makes a file durable and then says so; with what it does wrong on purpose.
class Writer {
  public:
    enum class Wrong { nothing, no_directory_sync, no_dsync };

    Writer(sim::Host& host, Wrong wrong, bool& promised)
        : driver_(host.add_driver()), wrong_(wrong), promised_(promised) {
        op_.then = [this](const io::Completion& completion) {
            if (!driver_.dead()) {
                step(completion.result);
            }
        };
        driver_.set_turn([this] { turn(driver_); });
        op_.prepare_open(io::kNoHandle, "/spool", {.directory = true});
        driver_.submit(op_);
    }

  private:
    void step(std::int32_t result) {
        ASSERT_GE(result, 0) << step_;
        switch (step_++) {
            case 0: {
                directory_ = result;
                io::OpenMode mode = kCreate;
                mode.dsync = wrong_ != Wrong::no_dsync;
                op_.prepare_open(directory_, "file", mode);
                break;
            }
            case 1:
                file_ = result;
                op_.prepare_write(file_, base::as_bytes(text_), 0);
                break;
            case 2:
                op_.prepare_sync(wrong_ == Wrong::no_directory_sync ? file_ : directory_);
                break;
            default:
                promised_ = true;
                return;
        }
        driver_.submit(op_);
    }

    sim::SimDriver& driver_;
    Wrong wrong_;
    bool& promised_;
    TestOp op_;
    int step_ = 0;
    io::Handle directory_ = io::kNoHandle;
    io::Handle file_ = io::kNoHandle;
    std::string text_ = std::string(2048, 'p');
};

// Crashes at each event in turn. Gives how many of the crashes broke the promise.
int promises_broken(Writer::Wrong wrong, sim::NameOrder names, int* crashes = nullptr) {
    int broken = 0;
    for (std::uint64_t event = 0;; ++event) {
        bool crashed = false;
        for (std::uint64_t crash_seed = 0; crash_seed < 10; ++crash_seed) {
            sim::Options options;
            options.disk.names = names;
            sim::World world(7, options);
            sim::Host& host = world.add_host("writer");
            host.disk().put_directory("/spool");
            host.set_restart(false);
            bool promised = false;
            std::unique_ptr<Writer> writer;
            host.set_program(
                {.start = [&] { writer = std::make_unique<Writer>(host, wrong, promised); },
                 .end = [&] { writer.reset(); }});
            host.start();
            world.crash_at_event(host, event, crash_seed);
            world.run_until({}, seconds(10));
            crashed = host.crashes() == 1;
            if (!crashed) {
                EXPECT_TRUE(promised);
                host.stop();
                break;
            }
            const bool there = host.disk().content_of("/spool/file") == std::string(2048, 'p');
            broken += promised && !there;
            crashes == nullptr ? 0 : ++*crashes;
        }
        if (!crashed) {
            return broken;
        }
    }
}

TEST(World, ACrashAtAnyEventBreaksNoPromiseThatWasKeptProperly) {
    int crashes = 0;
    EXPECT_EQ(promises_broken(Writer::Wrong::nothing, sim::NameOrder::prefix, &crashes), 0);
    EXPECT_GE(crashes, 100);
    EXPECT_EQ(promises_broken(Writer::Wrong::nothing, sim::NameOrder::independent), 0);
}

TEST(World, CrashesFindAMissingSyncOfTheDirectory) {
    EXPECT_GT(promises_broken(Writer::Wrong::no_directory_sync, sim::NameOrder::prefix), 0);
    EXPECT_GT(promises_broken(Writer::Wrong::no_directory_sync, sim::NameOrder::independent), 0);
}

TEST(World, CrashesFindAMissingSyncOfTheContent) {
    EXPECT_GT(promises_broken(Writer::Wrong::no_dsync, sim::NameOrder::prefix), 0);
}

TEST(World, ACrashedHostStartsAgain) {
    sim::World world(3);
    sim::Host& host = world.add_host("writer");
    host.disk().put_directory("/spool");
    bool promised = false;
    std::unique_ptr<Writer> writer;
    host.set_program({.start =
                          [&] {
                              promised = false;
                              writer =
                                  std::make_unique<Writer>(host, Writer::Wrong::nothing, promised);
                          },
                      .end = [&] { writer.reset(); }});
    host.start();
    world.crash_at_event(host, 3);
    world.crash_at_event(host, 12);
    EXPECT_TRUE(world.run_until([&] { return host.starts() == 3 && promised; }, minutes(1)));
    EXPECT_EQ(host.crashes(), 2U);
    EXPECT_EQ(world.meetings().of(sim::Fault::crash), 2U);
    host.stop();
}

}  // namespace
