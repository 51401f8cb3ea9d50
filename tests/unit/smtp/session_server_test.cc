// Listeners, limits of sessions, and the graceful stop.
#include <gtest/gtest.h>

#include "session_world.h"

namespace smtp_test {
namespace {

constexpr std::string_view kShutdown = "421 4.3.2 relay.example.test Service shutting down\r\n";

TEST(SessionServer, TooManyConnectionsAreAnswered421) {
    SessionWorld world({.faults = {}, .sessions_max = 2});
    world.start();
    Client one(world);
    Client two(world);
    EXPECT_EQ(one.reply(), kGreeting);
    EXPECT_EQ(two.reply(), kGreeting);
    Client three(world);
    EXPECT_EQ(three.reply(), "421 relay.example.test Too many connections\r\n");
    EXPECT_TRUE(three.ends());
    EXPECT_EQ(three.error(), 0);
    EXPECT_EQ(one.ask("QUIT"), "221 2.0.0 Bye\r\n");
    EXPECT_TRUE(one.ends());
    Client four(world);
    EXPECT_EQ(four.reply(), kGreeting);
}

// A close with input unread would reset the connection, and the reply with it.
TEST(SessionServer, WhoTalksFirstStillHearsThatThereAreTooManyConnections) {
    SessionWorld world({.faults = {}, .sessions_max = 1});
    world.start();
    Client one(world);
    EXPECT_EQ(one.reply(), kGreeting);
    Client eager(world);
    eager.send("EHLO client.test\r\n");
    EXPECT_EQ(eager.reply(), "421 relay.example.test Too many connections\r\n");
    eager.send("MAIL FROM:<a@src.test>\r\n");
    EXPECT_TRUE(eager.ends());
    EXPECT_EQ(eager.error(), 0);
}

TEST(SessionServer, TooManyConnectionsAreInTheLogOnceAMinute) {
    SessionWorld world({.faults = {}, .sessions_max = 1});
    world.start();
    Client one(world);
    EXPECT_EQ(one.reply(), kGreeting);
    for (int i = 0; i < 4; ++i) {
        Client other(world);
        static_cast<void>(other.rest());
        world.world.run_for(i == 2 ? std::chrono::seconds(60) : std::chrono::seconds(1));
    }
    ASSERT_EQ(world.log.notices.size(), 2U);
    EXPECT_TRUE(world.log.notices[0].starts_with("1 connection was refused with 421"))
        << world.log.notices[0];
    EXPECT_TRUE(world.log.notices[1].starts_with("3 connections were refused with 421"))
        << world.log.notices[1];
}

TEST(SessionServer, AFloodBeyondTheLimitIsRefusedAndPasses) {
    SessionWorld world({.faults = {}, .sessions_max = 1});
    world.start();
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 300; ++i) {
        clients.push_back(std::make_unique<Client>(world));
    }
    world.world.run_for(std::chrono::seconds(30));
    std::size_t greeted = 0;
    std::size_t refused = 0;
    for (const auto& client : clients) {
        const std::string got = client->rest();
        greeted += got == kGreeting ? 1 : 0;
        refused += got == "421 relay.example.test Too many connections\r\n" ? 1 : 0;
    }
    EXPECT_EQ(greeted, 1U);
    EXPECT_GE(refused, smtp::Server::kRefusalsMax);
    clients.clear();
    world.world.run_for(std::chrono::seconds(10));
    Client late(world);
    EXPECT_EQ(late.reply(), kGreeting);
}

TEST(SessionServer, OutOfDescriptorsAcceptingPausesAndGoesOn) {
    SessionWorld world({.faults = {}, .handles_max = 3});
    world.start();
    Client one(world);
    Client two(world);
    EXPECT_EQ(one.reply(), kGreeting);
    EXPECT_EQ(two.reply(), kGreeting);
    Client three(world);
    EXPECT_EQ(three.take(1, std::chrono::seconds(10)), "");
    ASSERT_FALSE(world.log.notices.empty());
    EXPECT_TRUE(world.log.notices[0].starts_with("cannot accept connections on 10.0.0.1:25: "))
        << world.log.notices[0];
    EXPECT_LE(world.log.notices.size(), 11U);
    EXPECT_EQ(one.ask("QUIT"), "221 2.0.0 Bye\r\n");
    EXPECT_EQ(three.reply(), kGreeting);
}

TEST(SessionServer, AtAStopIdleSessionsHearOfItAndBusyOnesFinish) {
    SessionWorld world;
    world.start();
    Client fresh(world);
    Client idle(world);
    Client busy(world);
    EXPECT_EQ(fresh.reply(), kGreeting);
    idle.hello();
    busy.hello();
    static_cast<void>(busy.ask("MAIL FROM:<a@src.test>"));
    static_cast<void>(busy.ask("RCPT TO:<b@dst.test>"));

    world.begin_stop(std::chrono::minutes(1));
    EXPECT_EQ(fresh.reply(), kShutdown);
    EXPECT_EQ(idle.reply(), kShutdown);
    EXPECT_TRUE(fresh.ends());
    EXPECT_TRUE(idle.ends());
    Client late(world);
    EXPECT_TRUE(late.ends());
    EXPECT_EQ(late.error(), ECONNREFUSED);

    EXPECT_EQ(busy.ask("DATA"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    busy.send("x\r\n.\r\nMAIL FROM:<a@src.test>\r\n");
    EXPECT_EQ(busy.rest(), "250 2.0.0 Ok: queued as 0200020000001\r\n" + std::string(kShutdown));
    EXPECT_TRUE(busy.ends());
    world.stop();
    EXPECT_EQ(world.sink->messages.size(), 1U);
}

TEST(SessionServer, AStopDoesNotWaitForever) {
    SessionWorld world;
    world.start();
    Client busy(world);
    busy.hello();
    busy.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\nabc");
    static_cast<void>(busy.rest());
    const base::MonoTime before = world.world.now();
    world.stop(std::chrono::seconds(10));
    EXPECT_GE(world.world.now() - before, std::chrono::seconds(10));
    EXPECT_LE(world.world.now() - before, std::chrono::seconds(12));
    EXPECT_TRUE(busy.ends());
    EXPECT_TRUE(world.sink->messages.empty());
}

TEST(SessionServer, AStopWaitsForACommitUnderWay) {
    SessionWorld world;
    world.sink->delay = std::chrono::seconds(20);
    world.start();
    Client busy(world);
    busy.hello();
    busy.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n");
    static_cast<void>(busy.rest());
    busy.send("x\r\n.\r\n");
    world.world.run_for(std::chrono::seconds(1));
    world.stop(std::chrono::seconds(1));
    EXPECT_EQ(world.sink->messages.size(), 1U);
}

TEST(SessionServer, SessionsAreUsedAgainWithNothingLeftOver) {
    SessionWorld world({.faults = {}, .sessions_max = 1});
    world.start();
    for (int i = 0; i < 5; ++i) {
        Client broken(world);
        broken.hello();
        broken.send("MAIL FROM:<a@src.test> SMTPUTF8\r\nRCPT TO:<b@dst.test>\r\nDATA\r\nabc");
        static_cast<void>(broken.rest());
        broken.reset();
        world.world.run_for(std::chrono::seconds(1));

        Client client(world, kStranger);
        EXPECT_EQ(client.reply(), kGreeting);
        EXPECT_EQ(client.ask("RCPT TO:<b@dst.test>"), "503 5.5.1 Need MAIL command\r\n");
        EXPECT_EQ(client.ask("MAIL FROM:<a@src.test>"), "503 5.5.1 Send EHLO or HELO first\r\n");
        client.hello();
        static_cast<void>(client.ask("MAIL FROM:<a@src.test>"));
        EXPECT_EQ(client.ask("RCPT TO:<b@elsewhere.test>"), "550 5.7.1 Relay access denied\r\n");
        EXPECT_EQ(client.ask("QUIT"), "221 2.0.0 Bye\r\n");
        EXPECT_TRUE(client.ends());
    }
}

// Engraved so that growth is a decision. An idle session is a Session and its coroutine's frame.
TEST(SessionServer, AnIdleSessionIsSmall) {
    EXPECT_LE(sizeof(net::Stream), 512U);
    EXPECT_LE(sizeof(smtp::Session), 2304U);
    SessionWorld world;
    world.start();
    Client client(world);
    EXPECT_EQ(client.reply(), kGreeting);
    RecordProperty("stream_bytes", sizeof(net::Stream));
    RecordProperty("session_bytes", sizeof(smtp::Session));
    std::printf("Stream %zu, Session %zu bytes\n", sizeof(net::Stream), sizeof(smtp::Session));
}

}  // namespace
}  // namespace smtp_test
