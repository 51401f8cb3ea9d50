// Content by DATA and BDAT: what is kept, what is refused, and that sync is never lost.
#include <gtest/gtest.h>

#include "session_world.h"

namespace smtp_test {
namespace {

constexpr std::string_view kData = "354 End data with <CR><LF>.<CR><LF>\r\n";
constexpr std::string_view kOk = "250 2.0.0 Ok\r\n";
constexpr std::string_view kBare = "550 5.5.2 Bare CR or LF in content, lines end in CRLF\r\n";

class SessionContent : public testing::Test {
  protected:
    Client& client(std::string_view source = kRelayClient) {
        if (!client_) {
            world_.start();
            client_.emplace(world_, source);
            client_->hello();
        }
        return *client_;
    }
    std::string ask(std::string_view line) { return client().ask(line); }
    void transaction() {
        EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "250 2.1.0 Ok\r\n");
        EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "250 2.1.5 Ok\r\n");
    }
    // MAIL, RCPT, DATA, then `content` with its final dot; the reply.
    std::string data(std::string_view content) {
        transaction();
        EXPECT_EQ(ask("DATA"), kData);
        client().send(content);
        return client().reply();
    }
    std::string chunk(std::string_view content, std::string_view last = "") {
        client().send("BDAT " + std::to_string(content.size()) + std::string(last) + "\r\n" +
                      std::string(content));
        return client().reply();
    }
    static std::string queued(unsigned number) {
        return "250 2.0.0 Ok: queued as 020002000000" + std::to_string(number) + "\r\n";
    }
    const KeptMessage& only() {
        EXPECT_EQ(world_.sink->messages.size(), 1U);
        world_.sink->messages.resize(1);
        return world_.sink->messages[0];
    }

    SessionWorld world_;
    std::optional<Client> client_;
};

TEST_F(SessionContent, DotsStayStuffed) {
    EXPECT_EQ(data("..\r\n.x\r\n...\r\n.\r\n"), queued(1));
    EXPECT_EQ(only().content, "..\r\n.x\r\n...\r\n");
    EXPECT_EQ(only().facts.stuffed_dots, 3U);
    EXPECT_EQ(only().facts.content_bytes(), 10U);
}

TEST_F(SessionContent, WhatFollowsTheFinalDotIsTheNextCommand) {
    EXPECT_EQ(data("x\r\n.\r\nNOOP\r\n"), queued(1));
    EXPECT_EQ(client().reply(), kOk);
}

TEST_F(SessionContent, LargerThanAnyBuffer) {
    std::string content;
    for (int i = 0; content.size() < 1'000'000; ++i) {
        content.append("line ").append(std::to_string(i)).append("\r\n");
    }
    EXPECT_EQ(data(content + ".\r\n"), queued(1));
    EXPECT_EQ(only().content, content);
}

// None of these ends the data; all are refused from a stranger, and the connection closes.
TEST_F(SessionContent, BareLineEndsFromAStrangerAreRefusedAndTheConnectionCloses) {
    for (const char* ending : {"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r",
                               "\r\r\n", "\n", "\r\n.\r.\r\n", "\r\n\n.\r\n\r"}) {
        SessionWorld world;
        world.start();
        Client client(world, kStranger);
        client.hello();
        client.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n");
        EXPECT_EQ(client.rest(), std::string("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n").append(kData));
        client.send(std::string("body") + ending +
                    "MAIL FROM:<smuggled@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n"
                    "smuggled\r\n.\r\nNOOP\r\n");
        EXPECT_EQ(client.rest(), kBare) << testing::PrintToString(ending);
        EXPECT_TRUE(client.ends());
        EXPECT_EQ(client.error(), 0);
        EXPECT_TRUE(world.sink->messages.empty());
        EXPECT_EQ(world.log.receptions.size(), 1U);
    }
}

// Wherever the network cuts the octets, the answer is the same, and a stranger's bare line end
// closes the connection whatever else is wrong.
TEST_F(SessionContent, TheVerdictDoesNotDependOnTheCuts) {
    using namespace std::string_view_literals;
    const std::string nul = "550 5.6.0 NUL octet in content\r\n";
    struct Case {
        std::string_view content;
        std::string reply;
        bool closes = true;
        mail::SinkState sink = mail::SinkState::ready;
    };
    const std::string bare(kBare);
    for (const Case& test :
         {Case{"a\0b\nc\r\n"sv, bare}, Case{"a\nb\0c\r\n"sv, bare},
          Case{"0123456789\r\n\0b\r\n"sv, nul, false}, Case{"0123456789\r\na\nb\r\n", bare},
          Case{"0\0\r\n0123456789\r\n"sv, nul, false},
          Case{"a\r\nb\nc\r\n", bare, true, mail::SinkState::failed},
          Case{"a\r\nb\0c\r\n"sv, nul, false, mail::SinkState::failed}}) {
        for (const bool chunked : {false, true}) {
            const std::string size = std::to_string(test.content.size());
            const std::string wire = (chunked ? "BDAT " + size + " LAST\r\n" : "") +
                                     std::string(test.content) + (chunked ? "" : ".\r\n") +
                                     "NOOP\r\n";
            for (std::size_t cut = 0; cut < wire.size(); ++cut) {
                SCOPED_TRACE(testing::PrintToString(wire) + " cut at " + std::to_string(cut));
                SessionWorld world;
                world.config.limits.message_bytes_max = 10;
                world.sink->append_state = test.sink;
                world.start();
                Client client(world, kStranger);
                client.hello();
                client.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\n");
                client.send(chunked ? "" : "DATA\r\n");
                static_cast<void>(client.rest());
                client.send(wire.substr(0, cut));
                world.world.run_for(std::chrono::milliseconds(100));
                client.send(wire.substr(cut));
                EXPECT_EQ(client.rest(), test.reply + (test.closes ? "" : std::string(kOk)));
                EXPECT_TRUE(world.sink->messages.empty());
            }
        }
    }
}

TEST_F(SessionContent, BareLineEndsFromARelayNetworkBecomeCrlf) {
    EXPECT_EQ(data("a\nb\rc\r\r\n\n.\r\nd\n.\ne\r\n.\r\n"), queued(1));
    EXPECT_EQ(only().content, "a\r\nb\r\nc\r\n\r\n\r\n..\r\nd\r\n..\r\ne\r\n");
    EXPECT_TRUE(world_.log.receptions.at(0).ends_with(", bare line ends: 6"))
        << world_.log.receptions[0];
    EXPECT_EQ(data("a\r\n.\r\n"), queued(2));
    EXPECT_EQ(world_.log.receptions.at(1).find("bare"), std::string::npos);
    EXPECT_EQ(ask("NOOP"), kOk);
}

TEST_F(SessionContent, TheListenerCanDecideAboutLineEndings) {
    world_.config.line_endings = smtp::LineEndingPolicy::refuse;
    EXPECT_EQ(data("a\nb\r\n.\r\n"), kBare);
    EXPECT_TRUE(client().ends());

    SessionWorld other;
    other.config.line_endings = smtp::LineEndingPolicy::normalise;
    other.start();
    Client stranger(other, kStranger);
    stranger.hello();
    stranger.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n");
    static_cast<void>(stranger.rest());
    stranger.send("a\nb\r\n.\r\n");
    EXPECT_EQ(stranger.reply(), queued(1));
    EXPECT_EQ(other.sink->messages[0].content, "a\r\nb\r\n");
}

TEST_F(SessionContent, NulIsRefused) {
    EXPECT_EQ(data(std::string_view("a\0b\r\n.\r\n", 8)), "550 5.6.0 NUL octet in content\r\n");
    EXPECT_EQ(ask("NOOP"), kOk);
    EXPECT_EQ(world_.log.receptions,
              std::vector<std::string>{"refused from=<a@src.test> to=<b@dst.test> 1 550 5.6.0 NUL "
                                       "octet in content"});
    EXPECT_EQ(data("fine\r\n.\r\n"), queued(2));
    EXPECT_EQ(only().content, "fine\r\n");
}

TEST_F(SessionContent, SizeIsWatchedWhileItStreams) {
    world_.config.limits.message_bytes_max = 1000;
    const std::string too_big = "552 5.3.4 Message size exceeds limit\r\n";
    EXPECT_EQ(data(std::string(998, 'x') + "\r\n.\r\n"), queued(1));  // 1000 with CRLF
    EXPECT_EQ(data(std::string(999, 'x') + "\r\n.\r\n"), too_big);
    EXPECT_EQ(data(std::string(100'000, 'x') + "\r\n.\r\n"), too_big);
    EXPECT_EQ(data("." + std::string(998, '.') + "\r\n.\r\n"),
              queued(4));  // stuffing is not counted
    EXPECT_EQ(ask("NOOP"), kOk);
    EXPECT_EQ(world_.sink->messages.size(), 2U);
}

TEST_F(SessionContent, LoopsAreBroken) {
    std::string hops;
    for (int i = 0; i < 49; ++i) {
        hops += "Received: from x\r\n\tby y\r\n";
    }
    EXPECT_EQ(data(hops + "\r\n.\r\n"), queued(1));
    EXPECT_EQ(data(hops + "received:z\r\n\r\n.\r\n"),
              "554 5.4.6 Too many hops, this message loops\r\n");
    EXPECT_EQ(data(hops + "\r\nReceived: z\r\n.\r\n"), queued(3));  // in the body: no hop
}

TEST_F(SessionContent, TheSinkFailsInTheMiddle) {
    world_.sink->append_ready_bytes = 5000;
    const std::string content = std::string(50'000, 'x') + "\r\n.\r\n";
    world_.sink->append_state = mail::SinkState::storage_full;
    EXPECT_EQ(data(content), "452 4.3.1 Insufficient system storage\r\n");
    world_.sink->append_state = mail::SinkState::failed;
    EXPECT_EQ(data(content), "451 4.3.0 Local error, try again later\r\n");
    EXPECT_EQ(world_.sink->open, 0U);
    world_.sink->append_waits = true;
    EXPECT_EQ(data(content), "451 4.3.0 Local error, try again later\r\n");
    world_.sink->append_state = mail::SinkState::ready;
    EXPECT_EQ(data(content), queued(4));
    EXPECT_EQ(only().content, content.substr(0, 50'002));
}

TEST_F(SessionContent, TheCommitFails) {
    world_.sink->commit_state = mail::SinkState::storage_full;
    EXPECT_EQ(data("x\r\n.\r\n"), "452 4.3.1 Insufficient system storage\r\n");
    world_.sink->commit_state = mail::SinkState::failed;
    EXPECT_EQ(data("x\r\n.\r\n"), "451 4.3.0 Local error, try again later\r\n");
    EXPECT_EQ(world_.log.receptions[1],
              "refused from=<a@src.test> to=<b@dst.test> 1 451 4.3.0 Local error, try again later");
    world_.sink->commit_state = mail::SinkState::ready;
    EXPECT_EQ(data("x\r\n.\r\n"), queued(3));
}

TEST_F(SessionContent, No250BeforeTheCommitIsDone) {
    world_.sink->delay = std::chrono::seconds(30);
    transaction();
    static_cast<void>(ask("DATA"));
    client().send("x\r\n.\r\n");
    EXPECT_EQ(client().take(1, std::chrono::seconds(29)), "");
    EXPECT_EQ(client().reply(), queued(1));
}

// --- BDAT (RFC 3030) ---

TEST_F(SessionContent, ChunksMakeAMessage) {
    transaction();
    EXPECT_EQ(chunk("Subject: x\r\n\r"), "250 2.0.0 Ok: 13 octets\r\n");
    EXPECT_EQ(chunk("\n.\r\n..\r"), "250 2.0.0 Ok: 7 octets\r\n");
    EXPECT_EQ(chunk(""), "250 2.0.0 Ok: 0 octets\r\n");
    EXPECT_EQ(chunk("\nend", " LAST"), queued(1));
    EXPECT_EQ(only().content, "Subject: x\r\n\r\n.\r\n..\r\nend");
    EXPECT_FALSE(only().facts.dot_stuffed);
    EXPECT_FALSE(only().facts.ends_in_crlf);
}

TEST_F(SessionContent, AnEmptyLastChunk) {
    transaction();
    EXPECT_EQ(chunk("x\r\n"), "250 2.0.0 Ok: 3 octets\r\n");
    EXPECT_EQ(chunk("", " LAST"), queued(1));
    EXPECT_EQ(only().content, "x\r\n");
    transaction();
    EXPECT_EQ(chunk("", " LAST"), queued(2));
    EXPECT_EQ(world_.sink->messages.size(), 2U);
}

TEST_F(SessionContent, OneOctetChunks) {
    transaction();
    const std::string content = "a\r\n.\r\nb\r\n";
    for (const char c : content) {
        EXPECT_EQ(chunk(std::string(1, c)), "250 2.0.0 Ok: 1 octets\r\n");
    }
    EXPECT_EQ(chunk("", " LAST"), queued(1));
    EXPECT_EQ(only().content, content);
}

TEST_F(SessionContent, AWholeTransactionInOnePieceWithChunks) {
    client().send(
        "MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nBDAT 5\r\nabc\r\nBDAT 3 LAST\r\nd\r\n"
        "RSET\r\nQUIT\r\n");
    EXPECT_EQ(client().rest(), "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 Ok: 5 octets\r\n" +
                                   queued(1) + std::string(kOk) + "221 2.0.0 Bye\r\n");
    EXPECT_EQ(only().content, "abc\r\nd\r\n");
}

TEST_F(SessionContent, ChunksOutOfPlaceAreReadAndDropped) {
    // The content would be commands, were it not swallowed.
    const std::string content = "QUIT\r\n";
    EXPECT_EQ(chunk(content), "503 5.5.1 Need MAIL command\r\n");
    EXPECT_EQ(chunk(content, " LAST"), "503 5.5.1 Need MAIL command\r\n");
    static_cast<void>(ask("MAIL FROM:<a@src.test>"));
    EXPECT_EQ(chunk(content), "554 5.5.1 No valid recipients\r\n");
    EXPECT_EQ(chunk(content), "503 5.5.1 Chunk discarded after an earlier error\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "503 5.5.1 Not allowed between BDAT commands\r\n");
    EXPECT_EQ(chunk(content, " LAST"), "503 5.5.1 Chunk discarded after an earlier error\r\n");
    transaction();  // LAST ended the failed one
    EXPECT_EQ(chunk("x\r\n", " LAST"), queued(1));
    EXPECT_EQ(chunk(content, " LAST"), "503 5.5.1 Need MAIL command\r\n");
}

TEST_F(SessionContent, ChunksBeforeHello) {
    world_.start();
    Client client(world_);
    static_cast<void>(client.reply());
    client.send("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    EXPECT_EQ(client.rest(), "503 5.5.1 Send EHLO or HELO first\r\n" + std::string(kOk));
}

TEST_F(SessionContent, OtherCommandsBetweenChunks) {
    transaction();
    EXPECT_EQ(chunk("x\r\n"), "250 2.0.0 Ok: 3 octets\r\n");
    EXPECT_EQ(ask("DATA"), "503 5.5.1 Not allowed between BDAT commands\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "503 5.5.1 Nested MAIL command\r\n");
    EXPECT_EQ(ask("NOOP"), kOk);
    EXPECT_EQ(chunk("y\r\n", " LAST"), queued(1));
    EXPECT_EQ(only().content, "x\r\ny\r\n");
    transaction();
    EXPECT_EQ(chunk("x\r\n"), "250 2.0.0 Ok: 3 octets\r\n");
    EXPECT_EQ(ask("RSET"), kOk);
    EXPECT_EQ(chunk("y\r\n", " LAST"), "503 5.5.1 Need MAIL command\r\n");
    EXPECT_EQ(world_.sink->open, 0U);
}

TEST_F(SessionContent, AChunkThatIsRefusedIsReadToItsEnd) {
    transaction();
    EXPECT_EQ(chunk(std::string_view("a\0b\r\nQUIT\r\n", 11)),
              "550 5.6.0 NUL octet in content\r\n");
    EXPECT_EQ(world_.sink->open, 0U);
    EXPECT_EQ(chunk("QUIT\r\n"), "503 5.5.1 Chunk discarded after an earlier error\r\n");
    EXPECT_EQ(ask("RSET"), kOk);
    transaction();
    EXPECT_EQ(chunk("x\r\n", " LAST"), queued(2));
}

TEST_F(SessionContent, BareLineEndsInChunks) {
    transaction();
    EXPECT_EQ(chunk("a\nb\r"), "250 2.0.0 Ok: 4 octets\r\n");
    EXPECT_EQ(chunk("c", " LAST"), queued(1));
    EXPECT_EQ(only().content, "a\r\nb\r\nc");

    Client stranger(world_, kStranger);
    stranger.hello();
    // The CR at the very end is bare too.
    stranger.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nBDAT 2 LAST\r\na\rNOOP\r\n");
    EXPECT_EQ(stranger.rest(), "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n" + std::string(kBare));
    EXPECT_TRUE(stranger.ends());
    EXPECT_EQ(stranger.error(), 0);
    EXPECT_EQ(world_.sink->messages.size(), 1U);
}

TEST_F(SessionContent, ChunksAboveTheLimit) {
    world_.config.limits.message_bytes_max = 1000;
    const std::string too_big = "552 5.3.4 Message size exceeds limit\r\n";
    transaction();
    EXPECT_EQ(chunk(std::string(600, 'x')), "250 2.0.0 Ok: 600 octets\r\n");
    EXPECT_EQ(chunk(std::string(600, 'x')), too_big);
    EXPECT_EQ(chunk(std::string(600, 'x'), " LAST"),
              "503 5.5.1 Chunk discarded after an earlier error\r\n");
    transaction();
    EXPECT_EQ(chunk(std::string(1001, 'x'), " LAST"), too_big);
    transaction();
    EXPECT_EQ(chunk(std::string(1000, 'x'), " LAST"), queued(3));
}

TEST_F(SessionContent, ChunksTooHugeToSkipCloseTheConnection) {
    transaction();
    EXPECT_EQ(ask("BDAT 18446744073709551614"), "552 5.3.4 Message size exceeds limit\r\n");
    EXPECT_TRUE(client().ends());
}

// What is dropped to keep sync is bounded wherever the refusal came, and in the log once.
TEST_F(SessionContent, ChunksThatFailAreNotSkippedForEver) {
    world_.config.limits.discard_bytes_max = 10'000;
    world_.sink->append_state = mail::SinkState::failed;
    const std::string failed = "451 4.3.0 Local error, try again later\r\n";
    transaction();
    EXPECT_EQ(chunk(std::string(9'000, 'x'), " LAST"), failed);
    EXPECT_EQ(ask("NOOP"), kOk);
    transaction();
    client().send("BDAT 1000000000 LAST\r\n" + std::string(20'000, 'x'));
    EXPECT_EQ(client().reply(), "552 5.3.4 Message size exceeds limit\r\n");
    EXPECT_TRUE(client().ends());
    EXPECT_EQ(world_.log.receptions.size(), 2U);

    SessionWorld world;
    world.config.limits.discard_bytes_max = 10'000;
    world.sink->append_state = mail::SinkState::failed;
    world.start();
    Client other(world);
    other.hello();
    other.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nBDAT 1000000 LAST\r\n" +
               std::string(900'000, 'x'));
    EXPECT_EQ(other.rest(), "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n" + failed);
    EXPECT_TRUE(other.ends());
    EXPECT_EQ(
        world.log.receptions,
        std::vector<std::string>{"refused from=<a@src.test> to=<b@dst.test> 1 451 4.3.0 Local "
                                 "error, try again later"});
}

TEST_F(SessionContent, ASizeThatCannotBeReadClosesTheConnection) {
    for (const char* line : {"BDAT", "BDAT x", "BDAT -1", "BDAT 1 LAST x", "BDAT 1 FIRST",
                             "BDAT 99999999999999999999999", "BDAT 0x10"}) {
        SessionWorld world;
        world.start();
        Client client(world);
        client.hello();
        client.send(std::string("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\n") + line +
                    "\r\nNOOP\r\nNOOP\r\n");
        EXPECT_EQ(client.rest(),
                  "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n501 5.5.4 Syntax: BDAT count [LAST]\r\n")
            << line;
        EXPECT_TRUE(client.ends());
        EXPECT_EQ(client.error(), 0);
    }
}

// Its size may be there to read, but beyond what is kept of a line.
TEST_F(SessionContent, AnOverlongBdatClosesTheConnection) {
    for (const std::size_t blanks : {500U, 600U, 70'000U}) {
        SessionWorld world;
        world.start();
        Client client(world);
        client.hello();
        client.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nBDAT 12 LAST" +
                    std::string(blanks, ' ') + "\r\nNOOP\r\nNOOP\r\n");
        EXPECT_EQ(client.rest(), "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n500 5.5.2 Line too long\r\n")
            << blanks;
        EXPECT_TRUE(client.ends());
        EXPECT_EQ(client.error(), 0);
    }
}

TEST_F(SessionContent, TheSinkFailsInTheMiddleOfAChunk) {
    world_.sink->append_ready_bytes = 5000;
    world_.sink->append_state = mail::SinkState::storage_full;
    world_.sink->append_waits = true;
    transaction();
    EXPECT_EQ(chunk(std::string(20'000, 'x')), "452 4.3.1 Insufficient system storage\r\n");
    EXPECT_EQ(chunk(std::string(20'000, 'x'), " LAST"),
              "503 5.5.1 Chunk discarded after an earlier error\r\n");
    world_.sink->append_state = mail::SinkState::ready;
    transaction();
    world_.sink->takes_more = false;
    EXPECT_EQ(chunk("x", " LAST"), "451 4.3.2 System busy, try again later\r\n");
    world_.sink->takes_more = true;
    transaction();
    EXPECT_EQ(chunk(std::string(20'000, 'x'), " LAST"), queued(2));
}

TEST_F(SessionContent, RepliesThatAChunkedClientMayWaitForAreNotKeptBack) {
    client().send("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nBDAT 5 LAST\r\n");
    EXPECT_EQ(client().rest(), "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
    client().send("abc\r\n");
    EXPECT_EQ(client().reply(), queued(1));
}

}  // namespace
}  // namespace smtp_test
