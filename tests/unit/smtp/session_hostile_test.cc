// Clients that misbehave: everything at once, every split, silence, disappearance at any octet, and
// a world in which the ring and the network misbehave too.
#include <gtest/gtest.h>

#include "session_world.h"

namespace smtp_test {
namespace {

struct Script {
    std::string input;
    std::string replies;
};

// Whole sessions in one piece each; one line of each pair is what comes back.
Script whole_session() {
    Script script;
    script.replies = std::string(kGreeting);
    const auto both = [&script](std::string_view in, std::string_view out) {
        script.input.append(in);
        script.replies.append(out);
    };
    both("HELO client.test\r\n", "250 relay.example.test\r\n");
    both("NOPE\r\n", "500 5.5.1 Command not recognised\r\n");
    both("MAIL FROM:<a@src.test> BODY=8BITMIME\r\n", "250 2.1.0 Ok\r\n");
    both("RCPT TO:<b@dst.test>\r\n", "250 2.1.5 Ok\r\n");
    both("RCPT TO:<b@@>\r\n", "501 5.1.3 Bad recipient address syntax\r\n");
    both("DATA\r\n", "354 End data with <CR><LF>.<CR><LF>\r\n");
    both("S: x\r\n\r\n..\r\n.a\r\n\r.\r\nb\n.\r\n\r\n.\r\n",
         "250 2.0.0 Ok: queued as 0200020000001\r\n");
    both("BDAT 4\r\nQUIT", "503 5.5.1 Need MAIL command\r\n");
    both("MAIL FROM:<>\r\n", "250 2.1.0 Ok\r\n");
    both("RCPT TO:<c@dst.test>\r\n", "250 2.1.5 Ok\r\n");
    both("BDAT 7\r\na\r\n.\r\nb", "250 2.0.0 Ok: 7 octets\r\n");
    both("BDAT 3 LAST\r\n\r\n\xc3", "250 2.0.0 Ok: queued as 0200020000002\r\n");
    both("RSET\r\n", "250 2.0.0 Ok\r\n");
    both("QUIT\r\n", "221 2.0.0 Bye\r\n");
    return script;
}

void expect_both_messages(const SessionWorld& world) {
    ASSERT_EQ(world.sink->messages.size(), 2U);
    EXPECT_EQ(world.sink->messages[0].content, "S: x\r\n\r\n..\r\n.a\r\n\r\n..\r\nb\r\n..\r\n\r\n");
    EXPECT_EQ(world.sink->messages[1].content, "a\r\n.\r\nb\r\n\xc3");
}

TEST(SessionHostile, EverythingAtOnce) {
    SessionWorld world;
    world.start();
    Client client(world);
    const Script script = whole_session();
    client.send(script.input);
    EXPECT_EQ(client.rest(), script.replies);
    EXPECT_TRUE(client.ends());
    EXPECT_EQ(client.error(), 0);
    expect_both_messages(world);
}

TEST(SessionHostile, SplitAtEveryOctet) {
    const Script script = whole_session();
    for (std::size_t at = 0; at <= script.input.size(); ++at) {
        SessionWorld world({.faults = {}, .buffers = 8, .buffer_bytes = 64});
        world.start();
        Client client(world);
        client.send(script.input.substr(0, at));
        world.world.run_for(std::chrono::milliseconds(100));
        client.send(script.input.substr(at));
        EXPECT_EQ(client.rest(), script.replies) << at;
        expect_both_messages(world);
    }
}

TEST(SessionHostile, OctetByOctet) {
    SessionWorld world;
    world.start();
    Client client(world);
    const Script script = whole_session();
    for (const char c : script.input) {
        client.send(std::string(1, c));
        world.world.run_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(client.rest(), script.replies);
    expect_both_messages(world);
}

// Whatever came before the client vanished, no octet of an unfinished message is kept, and nothing
// is left over (SessionWorld looks at that).
TEST(SessionHostile, GoneAtEveryOctet) {
    const Script script = whole_session();
    const std::size_t first_end = script.input.find("BDAT 4");
    const std::size_t second_end = script.input.find("RSET");
    for (const bool hard : {false, true}) {
        for (std::size_t at = 0; at <= script.input.size(); ++at) {
            SessionWorld world;
            world.start();
            Client client(world);
            static_cast<void>(client.take(kGreeting.size()));
            client.send(script.input.substr(0, at));
            world.world.run_for(std::chrono::milliseconds(100));
            hard ? client.reset() : client.finish();
            EXPECT_TRUE(client.ends());
            world.world.run_until([&] { return world.server->sessions() == 0; },
                                  std::chrono::seconds(60));
            EXPECT_EQ(world.server->sessions(), 0U) << at;
            const std::size_t whole = at >= second_end ? 2U : (at >= first_end ? 1U : 0U);
            EXPECT_EQ(world.sink->messages.size(), whole) << at;
        }
    }
}

TEST(SessionHostile, GoneWhileTheCommitIsUnderWay) {
    SessionWorld world;
    world.sink->delay = std::chrono::seconds(10);
    world.start();
    Client client(world);
    client.hello();
    client.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n");
    static_cast<void>(client.rest());
    client.send("x\r\n.\r\n");
    world.world.run_for(std::chrono::seconds(1));
    client.reset();
    world.world.run_for(std::chrono::seconds(20));
    EXPECT_EQ(world.sink->messages.size(), 1U);
    EXPECT_EQ(world.server->sessions(), 0U);
    EXPECT_EQ(world.log.receptions.size(), 1U);
    EXPECT_TRUE(world.log.receptions[0].starts_with("accepted "));
}

TEST(SessionHostile, SilenceIsAnsweredAfterFiveMinutes) {
    SessionWorld world;
    world.start();
    Client client(world);
    EXPECT_EQ(client.reply(), kGreeting);
    EXPECT_FALSE(client.ends(std::chrono::seconds(299)));
    EXPECT_EQ(client.reply(), "421 4.4.2 relay.example.test Timeout exceeded\r\n");
    EXPECT_TRUE(client.ends());
    EXPECT_EQ(client.error(), 0);
}

TEST(SessionHostile, PartsOfACommandDoNotExtendItsTime) {
    SessionWorld world;
    world.start();
    Client client(world);
    static_cast<void>(client.reply());
    for (int minute = 0; minute < 5; ++minute) {
        client.send("N");
        EXPECT_FALSE(client.ends(std::chrono::seconds(59))) << minute;
    }
    EXPECT_EQ(client.reply(), "421 4.4.2 relay.example.test Timeout exceeded\r\n");
}

TEST(SessionHostile, EachCommandHasItsOwnTime) {
    SessionWorld world;
    world.start();
    Client client(world);
    static_cast<void>(client.reply());
    for (int i = 0; i < 5; ++i) {
        EXPECT_FALSE(client.ends(std::chrono::seconds(290)));
        EXPECT_EQ(client.ask("NOOP"), "250 2.0.0 Ok\r\n");
    }
}

TEST(SessionHostile, SilenceInsideContent) {
    for (const bool chunked : {false, true}) {
        SessionWorld world;
        world.start();
        Client client(world);
        client.hello();
        client.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\n");
        client.send(chunked ? "BDAT 100\r\nabc" : "DATA\r\nabc");
        static_cast<void>(client.rest());
        EXPECT_FALSE(client.ends(std::chrono::seconds(290)));
        client.send("def");
        EXPECT_FALSE(client.ends(std::chrono::seconds(290)));
        EXPECT_EQ(client.reply(), "421 4.4.2 relay.example.test Timeout exceeded\r\n");
        EXPECT_TRUE(client.ends());
        EXPECT_TRUE(world.sink->messages.empty());
        EXPECT_EQ(world.log.receptions,
                  std::vector<std::string>{
                      "lost from=<a@src.test> to=<b@dst.test> 1 421 4.4.2 Timeout exceeded"});
    }
}

// A client that does not read its replies holds a session for the reply time-out, no longer, and
// receive buffers not at all.
TEST(SessionHostile, AClientThatDoesNotRead) {
    SessionWorld world({.faults = {}, .buffers = 16, .buffer_bytes = 4096});
    world.config.limits.errors_max = 1'000'000'000;
    world.start();
    Client deaf(world);
    static_cast<void>(deaf.reply());
    deaf.pause();
    std::string noise;
    for (int i = 0; i < 300'000; ++i) {
        noise += "X\r\n";
    }
    deaf.send(noise);
    world.world.run_for(std::chrono::seconds(10));
    EXPECT_EQ(world.server->sessions(), 1U);

    // Others go on meanwhile.
    Client client(world);
    const Script script = whole_session();
    client.send(script.input);
    EXPECT_EQ(client.rest(), script.replies);

    world.world.run_until([&] { return world.server->sessions() == 0; }, std::chrono::minutes(11));
    EXPECT_EQ(world.server->sessions(), 0U);
}

TEST(SessionHostile, ManyAtOnceWithFewBuffers) {
    SessionWorld world({.faults = {}, .buffers = 4, .buffer_bytes = 64});
    world.start();
    const Script script = whole_session();
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 50; ++i) {
        clients.push_back(std::make_unique<Client>(world));
        clients.back()->send(script.input);
    }
    world.world.run_for(std::chrono::seconds(30));
    for (const auto& client : clients) {
        std::string got = client->rest();
        // Queue ids differ.
        for (std::size_t at = 0; (at = got.find("queued as ", at)) != std::string::npos; ++at) {
            got.replace(at + 10, 13, "");
        }
        std::string expected = script.replies;
        for (std::size_t at = 0; (at = expected.find("queued as ", at)) != std::string::npos;
             ++at) {
            expected.replace(at + 10, 13, "");
        }
        EXPECT_EQ(got, expected);
    }
    EXPECT_EQ(world.sink->messages.size(), 100U);
    EXPECT_GT(world.net->counters().starved, 0U);
}

// The ring gives ENOBUFS, ends multishots, loses cancels, sends short and receives short; each
// reply still comes, in order.
TEST(SessionHostile, ARoughRing) {
    const Script script = whole_session();
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        sim::Faults faults;
        for (const sim::Fault fault :
             {sim::Fault::split, sim::Fault::short_send, sim::Fault::short_receive,
              sim::Fault::multishot_end, sim::Fault::no_buffers, sim::Fault::cancel_loses,
              sim::Fault::accept_error}) {
            faults.set(fault, 200'000);
        }
        SessionWorld world({.seed = seed, .faults = faults, .buffers = 8, .buffer_bytes = 64});
        world.start();
        Client client(world);
        client.send(script.input);
        EXPECT_EQ(client.take(script.replies.size()), script.replies) << "seed " << seed;
        EXPECT_TRUE(client.ends());
        expect_both_messages(world);
    }
}

// With resets and stalls as well: whatever comes back is a beginning of the right replies, and
// nothing is left over.
TEST(SessionHostile, ARoughNetwork) {
    const Script script = whole_session();
    int whole = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        base::Prng prng(seed);
        SessionWorld world({.seed = seed, .faults = sim::Faults::swarm(prng)});
        world.start();
        Client client(world);
        client.send(script.input);
        const std::string got = client.take(script.replies.size(), std::chrono::minutes(30));
        const std::size_t late = got.find("421 4.4.2 ");
        EXPECT_EQ(got.substr(0, late), script.replies.substr(0, std::min(got.size(), late)))
            << "seed " << seed;
        whole += got == script.replies ? 1 : 0;
        world.world.set_faults({});
    }
    EXPECT_GT(whole, 20) << "sessions that came through";
}

}  // namespace
}  // namespace smtp_test
