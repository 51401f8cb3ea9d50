#include "sim/network.h"

#include <gtest/gtest.h>

#include "sim/peer.h"
#include "sim/world.h"

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// A server that keeps what it got, and a client.
class NetworkTest : public testing::Test {
  protected:
    void make(const sim::Options& options = {}) {
        client.reset();
        server.reset();
        world = std::make_unique<sim::World>(1, options);
        server = std::make_unique<sim::Peer>(*world);
        client = std::make_unique<sim::Peer>(*world);
        server->on_connect = [this](sim::Connection& c) { accepted = c.id(); };
        server->on_close = [this](sim::Connection&, int error) { server_closed = error; };
        client->on_close = [this](sim::Connection&, int error) { client_closed = error; };
        server->listen("192.0.2.1:25");
    }
    sim::Connection& at_server() { return *server->find(accepted); }

    std::unique_ptr<sim::World> world;
    std::unique_ptr<sim::Peer> server;
    std::unique_ptr<sim::Peer> client;
    sim::EndpointId accepted = 0;
    std::optional<int> server_closed;
    std::optional<int> client_closed;
};

TEST_F(NetworkTest, BytesArriveInOrderWhateverThePieces) {
    sim::Options options;
    options.faults.set(sim::Fault::split, 1'000'000).set(sim::Fault::short_receive, 500'000);
    make(options);
    std::string sent;
    for (int i = 0; i < 20'000; ++i) {
        sent += std::to_string(i);
    }
    int arrivals = 0;
    server->on_bytes = [&](sim::Connection&, std::string_view) { ++arrivals; };
    client->connect("192.0.2.1:25").send(sent);
    world->run_for(minutes(1));
    EXPECT_TRUE(at_server().received() == sent);
    EXPECT_GT(world->meetings().of(sim::Fault::split), 0U);
    EXPECT_GT(arrivals, 5);
}

TEST_F(NetworkTest, FaultsCountAgainstTheLabelOfTheEndThatMeetsThem) {
    sim::Options options;
    options.faults.set(sim::Fault::split, 1'000'000);
    make(options);
    sim::Connection& c = client->connect("192.0.2.1:25");
    world->run_for(seconds(1));
    c.send("bytes before");
    world->network().set_label(c.id(), "labelled");
    c.send("bytes behind");
    at_server().send("an answer");
    EXPECT_EQ(world->meetings().counts().at({sim::Fault::split, "send"}), 2U);
    EXPECT_EQ(world->meetings().counts().at({sim::Fault::split, "labelled"}), 1U);
}

TEST_F(NetworkTest, ClientsOfAnAddressAreCountedUntilTheyClose) {
    make();
    const auto address = *io::SocketAddress::parse("192.0.2.1:25");
    sim::Connection& first = client->connect("192.0.2.1:25");
    client->connect("192.0.2.1:25");
    EXPECT_EQ(world->network().clients_of(address), 2U);
    world->run_for(seconds(1));
    EXPECT_EQ(world->network().clients_of(address), 2U);
    first.close();
    EXPECT_EQ(world->network().clients_of(address), 1U);
}

TEST_F(NetworkTest, ArrivedBytesKnowWhenTheyWereSent) {
    make();
    sim::Connection& c = client->connect("192.0.2.1:25");
    world->run_for(seconds(1));
    const base::MonoTime sent = world->now();
    c.send("x");
    c.finish();  // later than the bytes, and no bytes itself
    world->run_for(seconds(1));
    EXPECT_EQ(world->network().newest_sent(accepted), sent);
}

TEST_F(NetworkTest, AReaderThatPausesStopsTheWriter) {
    make();
    sim::Connection& c = client->connect("192.0.2.1:25");
    world->run_for(seconds(1));
    at_server().pause();
    c.send(std::string(1'000'000, 'x'));
    world->run_for(seconds(10));
    EXPECT_GT(c.unsent(), 1'000'000U - 256 * 1024 - 1);
    EXPECT_TRUE(at_server().received().empty());
    at_server().resume();
    world->run_for(seconds(10));
    EXPECT_EQ(c.unsent(), 0U);
    EXPECT_EQ(at_server().received().size(), 1'000'000U);
}

TEST_F(NetworkTest, AHalfCloseLeavesTheOtherDirectionOpen) {
    make();
    sim::Connection& c = client->connect("192.0.2.1:25");
    c.send("question");
    c.finish();
    world->run_for(seconds(1));
    EXPECT_EQ(server_closed, 0);
    EXPECT_EQ(at_server().received(), "question");
    at_server().send("answer");
    at_server().close();
    world->run_for(seconds(1));
    EXPECT_EQ(c.received(), "answer");
    EXPECT_EQ(client_closed, 0);
}

TEST_F(NetworkTest, AResetIsSeenAsOne) {
    make();
    client->connect("192.0.2.1:25");
    world->run_for(seconds(1));
    at_server().reset();
    world->run_for(seconds(1));
    EXPECT_EQ(client_closed, ECONNRESET);
    EXPECT_EQ(client->connections(), 0U);
    EXPECT_EQ(server->connections(), 0U);
    EXPECT_EQ(world->network().open_endpoints(), 1U) << "the listener";
}

TEST_F(NetworkTest, BytesForAClosedEndResetTheSender) {
    make();
    sim::Connection& c = client->connect("192.0.2.1:25");
    world->run_for(seconds(1));
    at_server().close();
    c.send("too late");
    world->run_for(seconds(1));
    EXPECT_TRUE(client_closed == EPIPE || client_closed == ECONNRESET) << *client_closed;
}

TEST_F(NetworkTest, WhereNobodyListensAConnectFails) {
    make();
    client->connect("192.0.2.1:26");
    world->run_for(seconds(1));
    EXPECT_EQ(client_closed, ECONNREFUSED);
    world->network().set_silence(*io::SocketAddress::parse("192.0.2.2:25"),
                                 sim::Silence::unreachable);
    client->connect("192.0.2.2:25");
    world->run_for(seconds(1));
    EXPECT_EQ(client_closed, EHOSTUNREACH);
    world->network().set_silence(*io::SocketAddress::parse("192.0.2.3:25"),
                                 sim::Silence::no_answer);
    client_closed.reset();
    client->connect("192.0.2.3:25");
    world->run_for(seconds(120));
    EXPECT_FALSE(client_closed.has_value());
    world->run_for(seconds(20));
    EXPECT_EQ(client_closed, ETIMEDOUT);
}

TEST_F(NetworkTest, ListenersOfOneAddressShareItsConnections) {
    make();
    sim::Network& network = world->network();
    const io::SocketAddress address = *io::SocketAddress::parse("[::1]:25");
    const auto first = network.listen(address, 100, true, {});
    const auto second = network.listen(address, 100, true, {});
    ASSERT_TRUE(first.has_value() && second.has_value());
    EXPECT_EQ(network.listen(address, 100, false, {}).error().number(), EADDRINUSE);
    for (int i = 0; i < 40; ++i) {
        client->connect("[::1]:25");
    }
    world->run_for(seconds(1));
    int counts[2] = {0, 0};
    while (network.accept(*first, {}).has_value()) {
        ++counts[0];
    }
    while (network.accept(*second, {}).has_value()) {
        ++counts[1];
    }
    EXPECT_EQ(counts[0] + counts[1], 40);
    EXPECT_GT(counts[0], 5);
    EXPECT_GT(counts[1], 5);
}

TEST_F(NetworkTest, AFullBacklogMakesClientsWaitAndTryAgain) {
    make();
    sim::Network& network = world->network();
    const auto listener = network.listen(*io::SocketAddress::parse("127.0.0.1:99"), 1, false, {});
    sim::Connection& first = client->connect("127.0.0.1:99");
    sim::Connection& second = client->connect("127.0.0.1:99");
    world->run_for(std::chrono::milliseconds(500));
    EXPECT_NE(first.connected(), second.connected());
    ASSERT_TRUE(network.accept(*listener, {}).has_value());
    world->run_for(seconds(10));
    EXPECT_TRUE(first.connected() && second.connected());
}

TEST_F(NetworkTest, AStallDelaysButLosesNothing) {
    sim::Options options;
    options.stall_time = {minutes(5), minutes(5)};
    make(options);
    sim::Connection& c = client->connect("192.0.2.1:25");
    world->run_for(seconds(1));
    world->set_faults(sim::Faults().set(sim::Fault::stall, 1'000'000));
    c.send("slow");
    world->set_faults(sim::Faults::none());
    c.send("er");
    world->run_for(minutes(4));
    EXPECT_EQ(at_server().received(), "");
    world->run_for(minutes(2));
    EXPECT_EQ(at_server().received(), "slower");
}

}  // namespace
