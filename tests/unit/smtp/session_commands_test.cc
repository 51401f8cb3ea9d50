// What the server says to each command, in and out of order. Every reply is compared whole.
#include <gtest/gtest.h>

#include "session_world.h"

namespace smtp_test {
namespace {

constexpr std::string_view kEhloReply =
    "250-relay.example.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n"
    "250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n";

class SessionCommands : public testing::Test {
  protected:
    Client& client(std::string_view source = kRelayClient) {
        if (!client_) {
            world_.start();
            client_.emplace(world_, source);
            EXPECT_EQ(client_->reply(), kGreeting);
        }
        return *client_;
    }
    std::string ask(std::string_view line) { return client().ask(line); }

    SessionWorld world_;
    std::optional<Client> client_;
};

TEST_F(SessionCommands, OneMessage) {
    EXPECT_EQ(ask("EHLO client.test"), kEhloReply);
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "250 2.1.5 Ok\r\n");
    EXPECT_EQ(ask("DATA"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT_EQ(ask("Subject: x\r\n\r\nhello\r\n."), "250 2.0.0 Ok: queued as 0200020000001\r\n");
    EXPECT_EQ(ask("QUIT"), "221 2.0.0 Bye\r\n");
    EXPECT_TRUE(client().ends());

    ASSERT_EQ(world_.sink->messages.size(), 1U);
    const KeptMessage& kept = world_.sink->messages[0];
    EXPECT_EQ(kept.reverse_path, "a@src.test");
    EXPECT_EQ(kept.recipients, std::vector<std::string>{"b@dst.test"});
    EXPECT_EQ(kept.content, "Subject: x\r\n\r\nhello\r\n");
    EXPECT_EQ(kept.added_headers,
              "Received: from client.test ([10.1.2.3])\r\n"
              "\tby relay.example.test (ringpost) with ESMTP id 0200020000001\r\n"
              "\tfor <b@dst.test>; Thu, 1 Jan 2026 00:00:00 +0000\r\n");
    EXPECT_TRUE(kept.facts.dot_stuffed);
    EXPECT_EQ(world_.sink->last_origin, "10.1.2.3 client.test ESMTP");
    EXPECT_EQ(world_.log.receptions,
              std::vector<std::string>{"accepted from=<a@src.test> to=<b@dst.test> 1 250 2.0.0 "
                                       "Ok: queued as 0200020000001"});
}

TEST_F(SessionCommands, HeloIsPlainSmtp) {
    EXPECT_EQ(ask("HELO client.test"), "250 relay.example.test\r\n");
    static_cast<void>(ask("MAIL FROM:<>"));
    static_cast<void>(ask("RCPT TO:<b@dst.test>"));
    static_cast<void>(ask("DATA"));
    static_cast<void>(ask("."));
    ASSERT_EQ(world_.sink->messages.size(), 1U);
    EXPECT_EQ(world_.sink->last_origin, "10.1.2.3 client.test SMTP");
    EXPECT_EQ(world_.sink->messages[0].reverse_path, "");
    EXPECT_EQ(world_.sink->messages[0].content, "");
}

TEST_F(SessionCommands, TheOthers) {
    EXPECT_EQ(ask("NOOP"), "250 2.0.0 Ok\r\n");
    EXPECT_EQ(ask("noop with words"), "250 2.0.0 Ok\r\n");
    EXPECT_EQ(ask("RSET"), "250 2.0.0 Ok\r\n");
    EXPECT_EQ(ask("VRFY someone"),
              "252 2.0.0 Cannot VRFY user, but will accept message and attempt delivery\r\n");
    EXPECT_EQ(ask("VRFY"), "501 5.5.4 Syntax: VRFY address\r\n");
    EXPECT_EQ(ask("EXPN list"), "502 5.5.1 Command not implemented\r\n");
    EXPECT_EQ(ask("HELP"),
              "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\r\n");
    EXPECT_EQ(ask("STARTTLS"), "502 5.5.1 Command not implemented\r\n");
    EXPECT_EQ(ask("AUTH PLAIN AGEAYg=="), "503 5.5.1 Authentication not enabled\r\n");
    EXPECT_EQ(ask("XYZZY"), "500 5.5.1 Command not recognised\r\n");
    EXPECT_EQ(ask(""), "500 5.5.1 Command not recognised\r\n");
    EXPECT_EQ(ask("QUIT now"), "501 5.5.4 This command takes no argument\r\n");
    EXPECT_EQ(ask("quit"), "221 2.0.0 Bye\r\n");
}

TEST_F(SessionCommands, OutOfOrder) {
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "503 5.5.1 Send EHLO or HELO first\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "503 5.5.1 Need MAIL command\r\n");
    EXPECT_EQ(ask("DATA"), "503 5.5.1 Need MAIL command\r\n");
    EXPECT_EQ(ask("EHLO client.test"), kEhloReply);
    EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "503 5.5.1 Need MAIL command\r\n");
    EXPECT_EQ(ask("DATA"), "503 5.5.1 Need MAIL command\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "503 5.5.1 Nested MAIL command\r\n");
    EXPECT_EQ(ask("DATA"), "554 5.5.1 No valid recipients\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "250 2.1.5 Ok\r\n");
    EXPECT_EQ(ask("EHLO client.test"), kEhloReply);  // as RSET
    EXPECT_EQ(ask("DATA"), "503 5.5.1 Need MAIL command\r\n");
}

TEST_F(SessionCommands, AfterResetNothingOfTheTransactionIsLeft) {
    client().hello();
    static_cast<void>(ask("MAIL FROM:<a@src.test> SIZE=1000 BODY=8BITMIME SMTPUTF8"));
    static_cast<void>(ask("RCPT TO:<b@dst.test>"));
    EXPECT_EQ(ask("RSET"), "250 2.0.0 Ok\r\n");
    EXPECT_EQ(ask("MAIL FROM:<c@src.test>"), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<d@dst.test>"), "250 2.1.5 Ok\r\n");
    static_cast<void>(ask("DATA"));
    static_cast<void>(ask("x\r\n."));
    ASSERT_EQ(world_.sink->messages.size(), 1U);
    EXPECT_EQ(world_.sink->messages[0].recipients, std::vector<std::string>{"d@dst.test"});
    EXPECT_EQ(world_.sink->messages[0].reverse_path, "c@src.test");
    EXPECT_EQ(world_.sink->messages[0].parameters.size_bytes, 0U);
    EXPECT_FALSE(world_.sink->messages[0].parameters.body_8bitmime);
    EXPECT_FALSE(world_.sink->messages[0].parameters.smtputf8);
}

TEST_F(SessionCommands, MailParameters) {
    client().hello();
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> SIZE=104857601"),
              "552 5.3.4 Message size exceeds limit\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> SIZE=99999999999999999999"),
              "552 5.3.4 Message size exceeds limit\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> AUTH=<>"), "555 5.5.4 Unsupported MAIL parameter\r\n");
    EXPECT_EQ(ask("MAIL FROM:<\xc3\xa4@src.test>"),
              "553 5.6.7 Address with non-ASCII characters needs SMTPUTF8\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> SIZE=104857600 BODY=8BITMIME"), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<\xc3\xa4@dst.test>"),
              "553 5.6.7 Address with non-ASCII characters needs SMTPUTF8\r\n");
    EXPECT_EQ(ask("RSET"), "250 2.0.0 Ok\r\n");
    EXPECT_EQ(ask("MAIL FROM:<\xc3\xa4@src.test> SMTPUTF8"), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<\xc3\xa4@dst.test>"), "250 2.1.5 Ok\r\n");
    static_cast<void>(ask("DATA"));
    static_cast<void>(ask("x\r\n."));
    EXPECT_EQ(world_.sink->last_origin, "10.1.2.3 client.test UTF8SMTP");
    ASSERT_EQ(world_.sink->messages.size(), 1U);
    EXPECT_TRUE(world_.sink->messages[0].parameters.smtputf8);
}

TEST_F(SessionCommands, ParametersOfNotificationsAreTaken) {
    client().hello();
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> RET=HDRS ENVID=QQ"), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test> NOTIFY=NEVER,DELAY"),
              "501 5.5.4 NOTIFY must be NEVER, or a list of SUCCESS, FAILURE and DELAY\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test> ORCPT=utf-8;\xc3\xa4@x"),
              "553 5.6.7 Address with non-ASCII characters needs SMTPUTF8\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test> NOTIFY=NEVER ORCPT=rfc822;" + std::string(490, 'x')),
              "250 2.1.5 Ok\r\n");
    static_cast<void>(ask("DATA"));
    static_cast<void>(ask("x\r\n."));
    ASSERT_EQ(world_.sink->messages.size(), 1U);
    EXPECT_EQ(world_.sink->messages[0].parameters.ret, mail::ReturnContent::headers);
}

TEST_F(SessionCommands, ExtensionsThatAreOffAreNotOfferedAndNotTaken) {
    smtp::SessionConfig& config = world_.config;
    config.offers_pipelining = config.offers_size = config.offers_8bitmime = false;
    config.offers_smtputf8 = config.offers_chunking = config.offers_enhanced_status = false;
    config.offers_dsn = false;
    EXPECT_EQ(ask("EHLO client.test"), "250 relay.example.test\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> SIZE=1"), "555 Unsupported MAIL parameter\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> BODY=8BITMIME"), "555 Unsupported MAIL parameter\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> SMTPUTF8"), "555 Unsupported MAIL parameter\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test> RET=FULL"), "555 Unsupported MAIL parameter\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "250 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test> NOTIFY=NEVER"), "555 Unsupported RCPT parameter\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "250 Ok\r\n");
    client().send("BDAT 4\r\nNOOP");
    EXPECT_EQ(client().reply(), "502 Command not implemented\r\n");
    EXPECT_EQ(ask("DATA"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT_EQ(ask("x\r\n."), "250 Ok: queued as 0200020000001\r\n");
}

TEST_F(SessionCommands, StrangersAndWhomTheyMayWriteTo) {
    static_cast<void>(client(kStranger));
    static_cast<void>(ask("EHLO client.test"));
    static_cast<void>(ask("MAIL FROM:<a@src.test>"));
    EXPECT_EQ(ask("RCPT TO:<b@elsewhere.test>"), "550 5.7.1 Relay access denied\r\n");
    EXPECT_EQ(ask("DATA"), "554 5.5.1 No valid recipients\r\n");
    EXPECT_EQ(ask("RCPT TO:<b@DST.test>"), "250 2.1.5 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<b%elsewhere.test@dst.test>"),
              "550 5.7.1 Sender-specified routing denied\r\n");
    EXPECT_EQ(ask("RCPT TO:<Postmaster>"), "250 2.1.5 Ok\r\n");
    static_cast<void>(ask("DATA"));
    static_cast<void>(ask("x\r\n."));
    ASSERT_EQ(world_.sink->messages.size(), 1U);
    EXPECT_EQ(world_.sink->messages[0].recipients,
              (std::vector<std::string>{"b@DST.test", "Postmaster@relay.example.test"}));
    ASSERT_EQ(world_.log.receptions.size(), 3U);
    EXPECT_EQ(world_.log.receptions[0],
              "refused from=<a@src.test> to=<b@elsewhere.test> 0 550 5.7.1 Relay access denied");
}

// Whatever is wrong with a path, or behind it: the log's line names it as it was given.
TEST_F(SessionCommands, TheLogNamesWhatWasRefused) {
    client().hello();
    static_cast<void>(ask("MAIL FROM:<a@src..test>"));
    static_cast<void>(ask("MAIL FROM:<a@src.test> NOSUCH"));
    static_cast<void>(ask("MAIL FROM:<a@src.test>"));
    static_cast<void>(ask("RCPT TO:<b@@dst.test>"));
    static_cast<void>(ask("RCPT TO:<b@dst.test> RET=FULL"));
    static_cast<void>(ask("RCPT TO:<" + std::string(300, 'b') + "@dst.test>"));
    static_cast<void>(ask("RCPT TO:<b\x01@dst.test>"));
    static_cast<void>(ask("RCPT b@dst.test"));
    EXPECT_EQ(
        world_.log.receptions,
        (std::vector<std::string>{
            "refused from=<a@src..test> to=<> 0 501 5.1.7 Bad sender address syntax",
            "refused from=<a@src.test> to=<> 0 555 5.5.4 Unsupported MAIL parameter",
            "refused from=<a@src.test> to=<b@@dst.test> 0 501 5.1.3 Bad recipient address "
            "syntax",
            "refused from=<a@src.test> to=<b@dst.test> 0 555 5.5.4 Unsupported RCPT parameter",
            "refused from=<a@src.test> to=<" + std::string(300, 'b') +
                "@dst.test> 0 501 5.1.3 Recipient address too long",
            "refused from=<a@src.test> to=<b\x01@dst.test> 0 500 5.5.2 Control character in "
            "command",
            "refused from=<a@src.test> to=<> 0 501 5.5.4 Syntax: RCPT TO:<address>"}));
}

// Of a message as a whole, the recipient is named when it is the only one.
TEST_F(SessionCommands, TheLogNamesTheOnlyRecipientOfARefusedMessage) {
    world_.sink->takes_more = false;
    client().hello();
    static_cast<void>(ask("MAIL FROM:<a@src.test>"));
    static_cast<void>(ask("RCPT TO:<b@dst.test>"));
    EXPECT_EQ(ask("DATA"), "451 4.3.2 System busy, try again later\r\n");
    static_cast<void>(ask("RCPT TO:<c@dst.test>"));
    EXPECT_EQ(ask("DATA"), "451 4.3.2 System busy, try again later\r\n");
    EXPECT_EQ(world_.log.receptions,
              (std::vector<std::string>{
                  "refused from=<a@src.test> to=<b@dst.test> 1 451 4.3.2 System busy, try again "
                  "later",
                  "refused from=<a@src.test> to=<> 2 451 4.3.2 System busy, try again later"}));
}

TEST_F(SessionCommands, ARecipientGivenTwiceIsAcceptedTwiceAndKeptOnce) {
    world_.config.limits.recipients_max = 2;
    client().hello();
    static_cast<void>(ask("MAIL FROM:<a@src.test>"));
    EXPECT_EQ(ask("RCPT TO:<b@dst.test>"), "250 2.1.5 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<B@Dst.Test>"), "250 2.1.5 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<c@dst.test>"), "250 2.1.5 Ok\r\n");
    EXPECT_EQ(ask("RCPT TO:<d@dst.test>"), "452 4.5.3 Too many recipients\r\n");
    EXPECT_EQ(ask("RCPT TO:<c@dst.test>"), "250 2.1.5 Ok\r\n");
    static_cast<void>(ask("DATA"));
    static_cast<void>(ask("x\r\n."));
    ASSERT_EQ(world_.sink->messages.size(), 1U);
    EXPECT_EQ(world_.sink->messages[0].recipients,
              (std::vector<std::string>{"b@dst.test", "c@dst.test"}));
    // More than one recipient: none is named in the trace header.
    EXPECT_EQ(world_.sink->messages[0].added_headers.find("for <"), std::string::npos);
}

TEST_F(SessionCommands, ManyRecipients) {
    client().hello();
    static_cast<void>(ask("MAIL FROM:<a@src.test>"));
    std::string commands;
    std::string replies;
    for (int i = 0; i < 1001; ++i) {
        commands.append("RCPT TO:<r").append(std::to_string(i)).append("@dst.test>\r\n");
        replies += i < 1000 ? "250 2.1.5 Ok\r\n" : "452 4.5.3 Too many recipients\r\n";
    }
    client().send(commands);
    EXPECT_EQ(client().take(replies.size()), replies);
    static_cast<void>(ask("DATA"));
    static_cast<void>(ask("x\r\n."));
    ASSERT_EQ(world_.sink->messages.size(), 1U);
    EXPECT_EQ(world_.sink->messages[0].recipients.size(), 1000U);
    EXPECT_EQ(world_.sink->messages[0].recipients[999], "r999@dst.test");
}

TEST_F(SessionCommands, WhatTheSinkSaysAtMail) {
    client().hello();
    world_.sink->admits_state = mail::SinkState::storage_full;
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "452 4.3.1 Insufficient system storage\r\n");
    world_.sink->admits_state = mail::SinkState::failed;
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "451 4.3.0 Local error, try again later\r\n");
    world_.sink->admits_state = mail::SinkState::ready;
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "250 2.1.0 Ok\r\n");
    world_.sink->takes_more = false;
    static_cast<void>(ask("RCPT TO:<b@dst.test>"));
    EXPECT_EQ(ask("DATA"), "451 4.3.2 System busy, try again later\r\n");
    world_.sink->takes_more = true;
    EXPECT_EQ(ask("DATA"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT_EQ(ask("x\r\n.").substr(0, 10), "250 2.0.0 ");
}

TEST_F(SessionCommands, OverlongLinesKeepSync) {
    client().hello();
    const std::string too_long = "500 5.5.2 Line too long\r\n";
    EXPECT_EQ(ask("NOOP " + std::string(505, 'x')), "250 2.0.0 Ok\r\n");  // 512 with CRLF
    EXPECT_EQ(ask("NOOP " + std::string(506, 'x')), too_long);
    EXPECT_EQ(ask("NOOP " + std::string(100000, 'x')), too_long);
    EXPECT_EQ(ask("NOOP"), "250 2.0.0 Ok\r\n");
    client().send(std::string(3000, 'x') + "\r\nNOOP\r\n" + std::string(9000, 'y') +
                  "\r\nRSET\r\n");
    EXPECT_EQ(client().rest(), too_long + "250 2.0.0 Ok\r\n" + too_long + "250 2.0.0 Ok\r\n");
}

TEST_F(SessionCommands, ControlCharactersInCommands) {
    using namespace std::string_view_literals;
    EXPECT_EQ(ask("NOOP a\0b"sv), "500 5.5.2 Control character in command\r\n");
    EXPECT_EQ(ask("NOOP a\rb"), "500 5.5.2 Control character in command\r\n");
    client().send("NOOP\n");  // a bare LF ends a command, as people's telnets have it
    EXPECT_EQ(client().reply(), "250 2.0.0 Ok\r\n");
}

TEST_F(SessionCommands, TooManyErrors) {
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(ask("XYZZY"), "500 5.5.1 Command not recognised\r\n") << i;
    }
    EXPECT_EQ(ask("XYZZY"), "421 4.7.0 relay.example.test Too many errors\r\n");
    EXPECT_EQ(client().rest(), "");
    EXPECT_TRUE(client().ends());
}

TEST_F(SessionCommands, RefusalsForNowAreErrorsToo) {
    client().hello();
    world_.sink->admits_state = mail::SinkState::storage_full;
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "452 4.3.1 Insufficient system storage\r\n") << i;
    }
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "421 4.7.0 relay.example.test Too many errors\r\n");
    EXPECT_TRUE(client().ends());
}

// RFC 5321 §4.5.3.1.10 lets a client go on behind 452; not without end.
TEST_F(SessionCommands, RecipientsBeyondTheLimitAreFreeUpToANumber) {
    world_.config.limits.recipients_max = 1;
    client().hello();
    std::string commands = "MAIL FROM:<a@src.test>\r\n";
    std::string replies = "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n";
    for (std::uint32_t i = 0; i < 2 + smtp::Session::kRecipientOvershootMax + 20; ++i) {
        commands.append("RCPT TO:<r").append(std::to_string(i)).append("@dst.test>\r\n");
        replies += i > 1 ? "452 4.5.3 Too many recipients\r\n" : "";
    }
    client().send(commands);
    EXPECT_EQ(client().rest(), replies + "421 4.7.0 relay.example.test Too many errors\r\n");
    EXPECT_TRUE(client().ends());
}

TEST_F(SessionCommands, AGreetingRepeatedIsFreeUpToANumber) {
    for (int i = 0; i < 121; ++i) {
        EXPECT_EQ(ask("HELO client.test"), "250 relay.example.test\r\n") << i;
    }
    EXPECT_EQ(ask("EHLO client.test"), "421 relay.example.test Too many errors\r\n");
    EXPECT_TRUE(client().ends());
}

// RFC 2034 §4: none in replies to EHLO and HELO.
TEST_F(SessionCommands, RepliesToGreetingsHaveNoEnhancedStatus) {
    EXPECT_EQ(ask("EHLO"), "501 Syntax: EHLO hostname\r\n");
    EXPECT_EQ(ask("HELO "), "501 Syntax: HELO hostname\r\n");
    EXPECT_EQ(ask("EHLO a\x01"), "500 Control character in command\r\n");
    EXPECT_EQ(ask("HELO " + std::string(600, 'x')), "500 Line too long\r\n");
    EXPECT_EQ(ask("EHLO a").substr(0, 4), "250-");
}

// What a session was closed for can be found later.
TEST_F(SessionCommands, WhoIsSentAwayIsInTheLog) {
    const auto notice = [](const std::string& input) {
        SessionWorld world;
        world.start();
        Client one(world, kStranger);
        static_cast<void>(one.reply());
        one.send(input);
        EXPECT_TRUE(one.ends());
        EXPECT_EQ(world.log.notices.size(), 1U) << input;
        return world.log.notices.empty() ? std::string() : world.log.notices[0];
    };
    EXPECT_TRUE(notice("GET / HTTP/1.1\r\n").starts_with("client 192.0.2.9:"));
    EXPECT_NE(notice("GET / HTTP/1.1\r\n").find("This is SMTP, not HTTP"), std::string::npos);
    EXPECT_NE(notice("Host: x\r\n").find("Not an SMTP command"), std::string::npos);
    std::string junk;
    for (int i = 0; i < 30; ++i) {
        junk += "XYZZY\r\n";
    }
    EXPECT_NE(notice(junk).find("Too many errors"), std::string::npos);
}

TEST_F(SessionCommands, AnAcceptedMessageForgivesErrors) {
    client().hello();
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 15; ++i) {
            EXPECT_EQ(ask("XYZZY"), "500 5.5.1 Command not recognised\r\n");
        }
        static_cast<void>(ask("MAIL FROM:<a@src.test>"));
        static_cast<void>(ask("RCPT TO:<b@dst.test>"));
        static_cast<void>(ask("DATA"));
        EXPECT_EQ(ask("x\r\n.").substr(0, 4), "250 ");
    }
}

TEST_F(SessionCommands, CommandsThatBringNothingForwardAreFreeUpToANumber) {
    for (int i = 0; i < 120; ++i) {
        EXPECT_EQ(ask("NOOP"), "250 2.0.0 Ok\r\n") << i;
    }
    EXPECT_EQ(ask("NOOP"), "421 4.7.0 relay.example.test Too many errors\r\n");
    EXPECT_TRUE(client().ends());
}

TEST_F(SessionCommands, TooManyMessagesInASession) {
    world_.config.limits.transactions_max = 1;
    client().hello();
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(ask("RSET"), "250 2.0.0 Ok\r\n");
    EXPECT_EQ(ask("MAIL FROM:<a@src.test>"),
              "421 4.7.0 relay.example.test Too many messages in this session\r\n");
    EXPECT_TRUE(client().ends());
}

TEST_F(SessionCommands, HttpEndsTheConnectionAtOnce) {
    client().send("POST / HTTP/1.1\r\nHost: x\r\nEHLO a\r\nMAIL FROM:<a@src.test>\r\n");
    EXPECT_EQ(client().rest(), "421 4.7.0 relay.example.test This is SMTP, not HTTP\r\n");
    EXPECT_TRUE(client().ends());
    EXPECT_EQ(client().error(), 0);
}

// A form in a browser can make the request line as long as it likes, and its body out of commands.
TEST_F(SessionCommands, HttpEndsTheConnectionHoweverLongItsLine) {
    for (const std::size_t size : {400U, 500U, 600U, 5000U, 70'000U}) {
        SessionWorld world;
        world.start();
        Client client(world);
        static_cast<void>(client.reply());
        client.send("POST /" + std::string(size, 'x') + " HTTP/1.1\r\n\r\nEHLO a\r\nNOOP\r\n");
        EXPECT_EQ(client.rest(), "421 4.7.0 relay.example.test This is SMTP, not HTTP\r\n") << size;
        EXPECT_TRUE(client.ends());
        EXPECT_EQ(client.error(), 0);
    }
}

// Header fields, of HTTP or of mail, come from who does not read our replies.
TEST_F(SessionCommands, AHeaderFieldEndsTheConnection) {
    for (const std::string& line :
         {std::string("Host: relay"), std::string("User-Agent:x"), std::string("subject: hello"),
          "Cookie: " + std::string(3000, 'x')}) {
        SessionWorld world;
        world.start();
        Client client(world);
        static_cast<void>(client.reply());
        client.send(line + "\r\nEHLO a\r\nNOOP\r\n");
        EXPECT_EQ(client.rest(), "421 4.7.0 relay.example.test Not an SMTP command\r\n") << line;
        EXPECT_TRUE(client.ends());
        EXPECT_EQ(client.error(), 0);
    }
}

TEST_F(SessionCommands, PipelinedRepliesLeaveInOneSend) {
    client().hello();
    std::uint64_t sends = 0;
    world_.host.on_start = [&sends](const io::Op& op) {
        sends += op.code() == io::OpCode::send || op.code() == io::OpCode::send_vector ? 1 : 0;
    };
    client().send(
        "MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nRCPT TO:<bad\r\n"
        "RCPT TO:<c@dst.test>\r\nDATA\r\n");
    EXPECT_EQ(client().rest(),
              "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n501 5.1.3 Bad recipient address syntax\r\n"
              "250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n");
    EXPECT_EQ(sends, 1U);
    client().send("x\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n");
    EXPECT_EQ(client().rest(),
              "250 2.0.0 Ok: queued as 0200020000001\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n"
              "221 2.0.0 Bye\r\n");
    EXPECT_EQ(sends, 2U);
    world_.host.on_start = {};
}

TEST_F(SessionCommands, EndlessPipeliningIsAnsweredInBoundedPieces) {
    client().hello();
    std::string commands;
    std::string replies;
    for (int i = 0; i < 3000; ++i) {
        commands += "MAIL FROM:<a@src.test>\r\nRSET\r\n";
        replies += "250 2.1.0 Ok\r\n250 2.0.0 Ok\r\n";
    }
    client().send(commands);
    // RSETs are junk beyond a hundred; then each is an error.
    const std::string got = client().rest();
    const std::string last = "421 4.7.0 relay.example.test Too many errors\r\n";
    ASSERT_EQ(got.size(), 121 * 28 - 14 + last.size());
    EXPECT_EQ(got.substr(0, 120 * 28), replies.substr(0, 120 * 28));
    EXPECT_TRUE(got.ends_with(last));
    EXPECT_TRUE(client().ends());
}

}  // namespace
}  // namespace smtp_test
