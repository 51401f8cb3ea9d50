// The queue through crashes: power cuts at chosen events, and a rough world from many seeds.
// Whatever happens, each durable message reaches the server, or its sender a notification.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/queue/relay_fixture.h"

namespace queue::test {
namespace {

using smtp::test::ScriptedServer;
using smtp::test::TakenMessage;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Options rough_options() {
    Options options = options_for({"10.0.0.1:25", "10.0.0.2:25"},
                                  RetryPolicy({seconds(5), seconds(30)}, hours(100)));
    options.routes[0].connections_max = 2;
    options.recipients_per_transaction = 2;
    return options;
}

// How often the server took a message for that recipient.
std::size_t taken_for(const ScriptedServer& server, const std::string& recipient) {
    return static_cast<std::size_t>(
        std::ranges::count_if(server.taken, [&](const TakenMessage& message) {
            return std::ranges::count(message.recipients, "<" + recipient + ">") > 0;
        }));
}

// How many notifications name that recipient; one that came twice counts once.
std::size_t notified_of(const ScriptedServer& server, const std::string& recipient) {
    std::set<std::string> notifications;
    for (const TakenMessage& message : server.taken) {
        if (message.mail_line.starts_with("MAIL FROM:<>") &&
            message.content.find("<" + recipient + ">") != std::string::npos) {
            notifications.insert(message.content);
        }
    }
    return notifications.size();
}

void refuse_some(ScriptedServer& server) {
    server.reply = [later = 0](const std::string& line) mutable -> std::string {
        if (line == "RCPT TO:<no@dst.test>") {
            return "550 5.1.1 no such user\r\n";
        }
        return line == "RCPT TO:<later@dst.test>" && later++ == 0 ? "450 4.2.0 later\r\n" : "";
    };
}

struct Events {
    std::uint64_t first = 0;  // when the program had come up
    std::uint64_t last = 0;   // when the queue was empty
};

// One run with the power cut before event `event` (0: none).
Events run_with_crash(std::uint64_t event) {
    sim::World world(42);
    const Options options = rough_options();
    ScriptedServer server(world);
    server.listen("10.0.0.1:25");
    refuse_some(server);
    Relay relay(world, options);
    if (event > 0) {
        world.crash_at_event(relay.host(), event);
    }
    relay.host().start();
    EXPECT_TRUE(world.run_until([&] { return relay.up(); }, minutes(1)));
    const std::uint64_t first = world.events();
    relay.submit({.to = {"yes@dst.test", "no@dst.test", "later@dst.test"}});
    EXPECT_TRUE(world.run_until(
        [&] { return relay.durable() > 0 || (relay.host().starts() > 1 && relay.up()); },
        minutes(1)));
    const bool acknowledged = relay.durable() > 0;
    EXPECT_TRUE(relay.drain(minutes(10))) << "crash at event " << event;
    const std::uint64_t last = world.events();
    // What was answered as durable is there, whatever came behind.
    if (acknowledged) {
        for (const char* recipient : {"yes@dst.test", "later@dst.test"}) {
            EXPECT_GE(taken_for(server, recipient), 1U) << recipient << ", event " << event;
            EXPECT_LE(taken_for(server, recipient), 2U) << recipient << ", event " << event;
        }
        EXPECT_EQ(taken_for(server, "no@dst.test"), 0U);
        EXPECT_GE(notified_of(server, "no@dst.test"), 1U) << "event " << event;
        EXPECT_LE(notified_of(server, "no@dst.test"), 2U) << "event " << event;
    }
    if (event == 0) {
        EXPECT_EQ(taken_for(server, "yes@dst.test"), 1U);
        EXPECT_EQ(notified_of(server, "no@dst.test"), 1U);
    }
    EXPECT_TRUE(relay.log().errors.empty()) << relay.log().errors.front();
    return {first, last};
}

TEST(QueueCrash, PowerCutBeforeAnyEvent) {
    const Events events = run_with_crash(0);
    ASSERT_GT(events.last, events.first + 100);
    for (std::uint64_t event = events.first; event < events.last; ++event) {
        run_with_crash(event);
        ASSERT_FALSE(testing::Test::HasFailure());
    }
}

class QueueSwarm : public testing::TestWithParam<std::uint64_t> {};

// Messages of several kinds, faults of the network, crashes and kills; then calm, until the queue
// is empty.
TEST_P(QueueSwarm, NothingIsLost) {
    const std::uint64_t seed = GetParam();
    sim::World world(seed);
    const Options options = rough_options();
    ScriptedServer first(world);
    ScriptedServer second(world);
    first.listen("10.0.0.1:25");
    second.listen("10.0.0.2:25");
    second.extensions = {"PIPELINING", "CHUNKING", "SIZE 100000"};
    refuse_some(first);
    refuse_some(second);
    Relay relay(world, options);
    relay.start();
    sim::Faults faults;
    base::Prng prng(seed);
    for (const sim::Fault fault :
         {sim::Fault::split, sim::Fault::short_send, sim::Fault::short_receive, sim::Fault::reset,
          sim::Fault::stall, sim::Fault::connect_refused, sim::Fault::connect_silent,
          sim::Fault::no_buffers, sim::Fault::multishot_end, sim::Fault::cancel_loses,
          sim::Fault::slow_disk}) {
        if (prng.chance(1, 2)) {
            faults.set(fault, static_cast<std::uint32_t>(prng.below(50'000)));
        }
    }
    world.set_faults(faults);
    std::vector<std::string> promised;
    for (int round = 0; round < 40; ++round) {
        if (!relay.up()) {
            ASSERT_TRUE(world.run_until([&] { return relay.up(); }, minutes(5)));
        }
        const std::string name = "r" + std::to_string(round) + "@dst.test";
        Submission submission{.to = {name}};
        submission.content += std::string(prng.below(20'000), 'x') + "\r\n";
        if (prng.chance(1, 4)) {
            submission.to.emplace_back("no@dst.test");
            submission.to.emplace_back("later@dst.test");
        }
        const std::uint64_t before = relay.durable();
        relay.submit(submission);
        world.run_for(milliseconds(prng.below(3000)));
        if (relay.durable() > before) {
            promised.push_back(name);
        }
        if (prng.chance(1, 8)) {
            if (prng.chance(1, 2)) {
                relay.host().crash();
            } else {
                relay.host().kill();
            }
        }
    }
    world.set_faults(sim::Faults::none());
    ASSERT_TRUE(relay.drain(hours(3)));
    for (const std::string& name : promised) {
        EXPECT_GE(taken_for(first, name) + taken_for(second, name), 1U) << name;
    }
    world.run_for(minutes(1));
    EXPECT_EQ(relay.scheduler().deliveries().size(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueueSwarm, testing::Range<std::uint64_t>(1, 21));

}  // namespace
}  // namespace queue::test
