#include "smtp/command_parser.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace smtp {
namespace {

using namespace std::literals;
using mail::EnhancedStatus;

const Limits kLimits;

Command good(std::string_view line) {
    const auto parsed = parse_command(line, kLimits);
    EXPECT_TRUE(parsed.has_value()) << line << ": " << (parsed ? "" : parsed.error().reply.text);
    return parsed.value_or(Command{});
}

// "501 5.5.4", "" when it was taken.
std::string refusal(std::string_view line) {
    const auto parsed = parse_command(line, kLimits);
    if (parsed) {
        return "";
    }
    const mail::FixedReply& reply = parsed.error().reply;
    EXPECT_FALSE(reply.text.empty());
    std::string out = std::to_string(reply.code) + " ";
    mail::append_status(out, reply.status);
    return out;
}

std::string reply_text(std::string_view line) {
    const auto parsed = parse_command(line, kLimits);
    return parsed ? std::string() : std::string(parsed.error().reply.text);
}

TEST(CommandParser, ParametersOfNotifications) {
    const Command mail = good("MAIL FROM:<a@b> ret=hdrs ENVID=QQ314159+2B");
    EXPECT_EQ(mail.ret, mail::ReturnContent::headers);
    EXPECT_EQ(mail.envelope_id, "QQ314159+2B");
    EXPECT_EQ(good("MAIL FROM:<a@b> RET=FULL").ret, mail::ReturnContent::full);
    EXPECT_FALSE(good("MAIL FROM:<a@b> SIZE=1").has_dsn());
    const Command rcpt =
        good("RCPT TO:<a@b> NOTIFY=success,Delay ORCPT=rfc822;George+2Bx@Tax-ME.GOV");
    EXPECT_TRUE(rcpt.notify.success());
    EXPECT_TRUE(rcpt.notify.delay());
    EXPECT_FALSE(rcpt.notify.failure());
    EXPECT_EQ(rcpt.original_recipient, "rfc822;George+2Bx@Tax-ME.GOV");
    EXPECT_TRUE(rcpt.has_dsn());
    EXPECT_EQ(good("RCPT TO:<a@b> NOTIFY=NEVER").notify.bits, mail::Notify::kNever);
    EXPECT_EQ(good("RCPT TO:<a@b> ORCPT=utf-8;jos\\x{E9}@b").original_recipient,
              "utf-8;jos\\x{E9}@b");
    for (const auto* line : {"MAIL FROM:<a@b> RET=NONE",
                             "MAIL FROM:<a@b> RET=FULL RET=FULL",
                             "MAIL FROM:<a@b> RET",
                             "MAIL FROM:<a@b> ENVID=a=b",
                             "MAIL FROM:<a@b> ENVID=a+2b",
                             "MAIL FROM:<a@b> ENVID=a+0A",
                             "MAIL FROM:<a@b> ENVID=a ENVID=b",
                             "MAIL FROM:<a@b> ENVID=",
                             "RCPT TO:<a@b> NOTIFY=NEVER,DELAY",
                             "RCPT TO:<a@b> NOTIFY=DELAY,",
                             "RCPT TO:<a@b> NOTIFY=",
                             "RCPT TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY",
                             "RCPT TO:<a@b> NOTIFY=ALWAYS",
                             "RCPT TO:<a@b> ORCPT=a@b",
                             "RCPT TO:<a@b> ORCPT=rfc822;",
                             "RCPT TO:<a@b> ORCPT=;a",
                             "RCPT TO:<a@b> ORCPT=rfc822;a=b",
                             "RCPT TO:<a@b> ORCPT=rfc822;\xc3\xa9",
                             "RCPT TO:<a@b> ORCPT=utf-8;\\x{D800}",
                             "RCPT TO:<a@b> ORCPT=utf-8;\xc3",
                             "RCPT TO:<a@b> ORCPT=rfc822;a ORCPT=rfc822;a"}) {
        EXPECT_EQ(refusal(line), "501 5.5.4") << line;
    }
    for (const auto* line :
         {"MAIL FROM:<a@b> ENVID=a+0Ab", "MAIL FROM:<a@b> ENVID=+7F",
          "RCPT TO:<a@b> ORCPT=rfc822;a+0D", "RCPT TO:<a@b> ORCPT=utf-8;\\x{1B}"}) {
        EXPECT_TRUE(reply_text(line).contains("control characters")) << line;
    }
    for (const auto* line : {"MAIL FROM:<a@b> ENVID=a=b", "RCPT TO:<a@b> ORCPT=rfc822;a=b"}) {
        EXPECT_FALSE(reply_text(line).contains("control characters")) << line;
    }
    const std::string id(100, 'x');
    EXPECT_EQ(good("MAIL FROM:<a@b> ENVID=" + id).envelope_id, id);
    EXPECT_EQ(refusal("MAIL FROM:<a@b> ENVID=x" + id), "501 5.5.4");
    const std::string original = "rfc822;" + std::string(493, 'x');
    EXPECT_EQ(good("RCPT TO:<a@b> ORCPT=" + original).original_recipient, original);
    EXPECT_EQ(refusal("RCPT TO:<a@b> ORCPT=" + original + "x"), "501 5.5.4");
    EXPECT_EQ(refusal("RCPT TO:<a@b>" + std::string(1034, ' ')), "500 5.5.2");
}

TEST(CommandParser, GivenPaths) {
    EXPECT_EQ(given_path("MAIL FROM:<a@src.test>"), "a@src.test");
    EXPECT_EQ(given_path("rcpt  to: <a@@b> X=1"), "a@@b");
    EXPECT_EQ(given_path("RCPT TO:<\"a>b\"@c.test> X"), "\"a>b\"@c.test");
    EXPECT_EQ(given_path("RCPT TO:<a b"), "a b");
    EXPECT_EQ(given_path("RCPT TO:a@b.test X=1"), "a@b.test");
    EXPECT_EQ(given_path("MAIL FROM:<>"), "");
    EXPECT_EQ(given_path("RCPT TO:"), "");
    EXPECT_EQ(given_path("RCPT a@b.test"), "");
    EXPECT_EQ(given_path("RCPT"), "");
    EXPECT_EQ(given_path(""), "");
}

TEST(CommandParser, VerbsWithoutCase) {
    EXPECT_EQ(good("DATA").verb, Verb::data);
    EXPECT_EQ(good("data").verb, Verb::data);
    EXPECT_EQ(good("rSeT").verb, Verb::rset);
    EXPECT_EQ(good("QUIT").verb, Verb::quit);
    EXPECT_EQ(good("NOOP").verb, Verb::noop);
    EXPECT_EQ(good("STARTTLS").verb, Verb::starttls);
    EXPECT_EQ(good("HELP").verb, Verb::help);
    EXPECT_EQ(good("XYZZY").verb, Verb::unknown);
    EXPECT_EQ(good("").verb, Verb::unknown);
    EXPECT_EQ(good(" ").verb, Verb::unknown);
    EXPECT_EQ(good("MAILX FROM:<a@b>").verb, Verb::unknown);
    EXPECT_EQ(good("DATAA").verb, Verb::unknown);
    EXPECT_EQ(good("QUIT  \t").verb,
              Verb::quit);  // RFC 5321 §4.1.1: trailing white space is tolerated
}

TEST(CommandParser, HttpIsKnown) {
    for (const auto* line : {"GET / HTTP/1.1", "POST /x HTTP/1.0", "CONNECT mail:25 HTTP/1.1",
                             "PUT a", "HEAD /", "OPTIONS *", "get /", "DELETE /", "TRACE /"}) {
        EXPECT_EQ(good(line).verb, Verb::http) << line;
    }
    EXPECT_EQ(good("POST " + std::string(4000, 'x')).verb, Verb::http);
    EXPECT_EQ(good("GETX").verb, Verb::unknown);
}

TEST(CommandParser, HeaderFieldsAreKnown) {
    for (const auto* line : {"Host: x", "User-Agent:x", "subject:", "X-A:b:c d"}) {
        EXPECT_EQ(good(line).verb, Verb::header) << line;
    }
    for (const auto* line : {":", ": x", "a b: c", "XYZZY"}) {
        EXPECT_EQ(good(line).verb, Verb::unknown) << line;
    }
    EXPECT_EQ(good("Cookie: " + std::string(4000, 'x')).verb, Verb::header);
}

TEST(CommandParser, LongLinesAreJudgedByTheirBeginning) {
    EXPECT_EQ(parse_long_line("POST /xxxxxxxx")->verb, Verb::http);
    EXPECT_EQ(parse_long_line("Cookie: xxxxxx")->verb, Verb::header);
    for (const auto* head : {"NOOP xxxxxxxxx", "MAIL FROM:<xxx", "xxxxxxxxxxxxxx", ""}) {
        const auto parsed = parse_long_line(head);
        ASSERT_FALSE(parsed.has_value()) << head;
        EXPECT_EQ(parsed.error().reply, kLineTooLong);
        EXPECT_FALSE(parsed.error().loses_sync);
    }
    const auto chunk = parse_long_line("bdat 15 LAST  ");
    ASSERT_FALSE(chunk.has_value());
    EXPECT_EQ(chunk.error().reply, kLineTooLong);
    EXPECT_TRUE(chunk.error().loses_sync);
}

TEST(CommandParser, Arguments) {
    EXPECT_EQ(good("EHLO client.example").argument, "client.example");
    EXPECT_EQ(good("HELO   [192.0.2.1]  ").argument, "[192.0.2.1]");
    EXPECT_EQ(good("EHLO two words").argument, "two words");
    EXPECT_EQ(good("VRFY user").argument, "user");
    EXPECT_EQ(good("NOOP anything goes").argument, "anything goes");
    EXPECT_EQ(good("AUTH PLAIN AGEAYg==").argument, "PLAIN AGEAYg==");
    EXPECT_EQ(refusal("EHLO"), "501 ");  // RFC 2034 §4: no enhanced status
    EXPECT_EQ(refusal("HELO  "), "501 ");
    EXPECT_EQ(refusal("VRFY"), "501 5.5.4");
    EXPECT_EQ(refusal("EXPN"), "501 5.5.4");
    EXPECT_EQ(refusal("AUTH"), "501 5.5.4");
    EXPECT_EQ(refusal("DATA now"), "501 5.5.4");
    EXPECT_EQ(refusal("RSET x"), "501 5.5.4");
    EXPECT_EQ(refusal("QUIT x"), "501 5.5.4");
    EXPECT_EQ(refusal("STARTTLS x"), "501 5.5.4");
}

TEST(CommandParser, MailPaths) {
    EXPECT_EQ(good("MAIL FROM:<user@example.org>").path.text, "user@example.org");
    EXPECT_EQ(good("mail from:<user@example.org>").path.domain, "example.org");
    EXPECT_TRUE(good("MAIL FROM:<>").path.null());
    EXPECT_TRUE(good("MAIL FROM: < >").path.null());
    EXPECT_EQ(good("MAIL FROM: <a@b>").path.text, "a@b");
    EXPECT_EQ(good("MAIL FROM:a@b").path.text, "a@b");
    EXPECT_EQ(good("MAIL FROM:\t a@b SIZE=3").size_bytes, 3U);
    EXPECT_EQ(good("MAIL   FROM:<a@b>   ").path.text, "a@b");
    EXPECT_EQ(good("MAIL FROM:<@relay.one,@two:user@three>").path.text, "user@three");
    EXPECT_EQ(good(R"(MAIL FROM:<"a b\"c>"@d> BODY=8BITMIME)").path.local_part, R"("a b\"c>")");
    EXPECT_EQ(good("MAIL FROM:<a@[192.0.2.1]>").path.domain, "[192.0.2.1]");
    EXPECT_EQ(good("MAIL FROM:<a@[IPv6:2001:db8::1]>").path.domain, "[IPv6:2001:db8::1]");

    EXPECT_EQ(refusal("MAIL"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL <a@b>"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL TO:<a@b>"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM :<a@b>"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:a@b>"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<a@b>SIZE=3"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<user>"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<postmaster>"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<@b>"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<a@>"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<a b@c>"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> <c@d>"), "501 5.5.4");
}

TEST(CommandParser, MailParameters) {
    const Command command = good("MAIL FROM:<a@b> size=1234 BODY=8bitmime SMTPUTF8");
    EXPECT_TRUE(command.has_size);
    EXPECT_EQ(command.size_bytes, 1234U);
    EXPECT_TRUE(command.body_8bitmime);
    EXPECT_TRUE(command.smtputf8);
    EXPECT_FALSE(good("MAIL FROM:<a@b> BODY=7BIT").body_8bitmime);
    EXPECT_FALSE(good("MAIL FROM:<a@b>").has_size);
    EXPECT_TRUE(good("MAIL FROM:<a@b> SIZE=0").has_size);
    EXPECT_EQ(good("MAIL FROM:<a@b> SIZE=99999999999999999999").size_bytes,
              std::numeric_limits<std::uint64_t>::max());

    EXPECT_EQ(refusal("MAIL FROM:<a@b> SIZE=999999999999999999999"), "501 5.5.4");  // 21 digits
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SIZE=-1"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SIZE=+1"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SIZE=1k"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SIZE="), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SIZE"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SIZE=1 SIZE=1"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> BODY=7BIT BODY=7BIT"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SMTPUTF8 SMTPUTF8"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> SMTPUTF8=yes"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> BODY=BINARYMIME"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> BODY"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> =x"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> X=a=b"), "555 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> X_Y=1"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> AUTH=<>"), "555 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> NOTIFY=NEVER"), "555 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b> NOSUCH"), "555 5.5.4");
}

TEST(CommandParser, Recipients) {
    EXPECT_EQ(good("RCPT TO:<user@example.org>").path.text, "user@example.org");
    EXPECT_EQ(good("RCPT TO:<postmaster>").path.text, "postmaster");
    EXPECT_EQ(good("RCPT TO:<PostMaster>").path.domain, "");
    EXPECT_EQ(good("RCPT TO:<@hop:user@dst>").path.text, "user@dst");
    EXPECT_EQ(good("rcpt to: user@dst ").path.text, "user@dst");
    EXPECT_EQ(refusal("RCPT TO:<>"), "501 5.1.3");
    EXPECT_EQ(refusal("RCPT TO:<user>"), "501 5.1.3");
    EXPECT_EQ(refusal("RCPT TO:<a@@b>"), "501 5.1.3");
    EXPECT_EQ(refusal("RCPT TO:"), "501 5.5.4");
    EXPECT_EQ(refusal("RCPT"), "501 5.5.4");
    EXPECT_EQ(refusal("RCPT FROM:<a@b>"), "501 5.5.4");
    EXPECT_EQ(refusal("RCPT TO:<a@b> RET=FULL"), "555 5.5.4");
    EXPECT_EQ(refusal("RCPT TO:<a@b> ="), "501 5.5.4");
}

TEST(CommandParser, Utf8Addresses) {
    const Command command = good("MAIL FROM:<josé@exämple.org> SMTPUTF8");
    EXPECT_TRUE(command.path.non_ascii);
    EXPECT_EQ(refusal("MAIL FROM:<josé@exämple.org>"), "553 5.6.7");
    EXPECT_TRUE(good("RCPT TO:<用户@例え.jp>").path.non_ascii);
    EXPECT_FALSE(good("RCPT TO:<a@b>").path.non_ascii);
    EXPECT_EQ(refusal("RCPT TO:<jos\xe9@example.org>"), "501 5.1.3");        // Latin-1
    EXPECT_EQ(refusal("RCPT TO:<a\xc0\xaf@example.org>"), "501 5.1.3");      // overlong
    EXPECT_EQ(refusal("RCPT TO:<a\xed\xa0\x80@example.org>"), "501 5.1.3");  // surrogate
    EXPECT_EQ(refusal("RCPT TO:<a\xc2\x9b@example.org>"), "501 5.1.3");      // C1 control
    EXPECT_EQ(refusal("MAIL FROM:<a@b\xff> SMTPUTF8"), "501 5.1.7");
}

TEST(CommandParser, Chunks) {
    EXPECT_EQ(good("BDAT 86").chunk_bytes, 86U);
    EXPECT_FALSE(good("BDAT 86").chunk_last);
    EXPECT_TRUE(good("bdat 0 last").chunk_last);
    EXPECT_EQ(good("BDAT 0 LAST").chunk_bytes, 0U);
    for (const auto* line : {"BDAT", "BDAT LAST", "BDAT -1", "BDAT 1 2", "BDAT 1 LAST x",
                             "BDAT 1LAST", "BDAT 18446744073709551616", "BDAT 0x10", "BDAT 1\v"}) {
        const auto parsed = parse_command(line, kLimits);
        ASSERT_FALSE(parsed.has_value()) << line;
        EXPECT_TRUE(parsed.error().loses_sync) << line;
        EXPECT_GE(parsed.error().reply.code, 500);
    }
    EXPECT_FALSE(parse_command("MAIL", kLimits).error().loses_sync);
}

TEST(CommandParser, LineLimits) {
    const auto noop = [](std::size_t line_size) {
        return "NOOP " + std::string(line_size - 2 - 5, 'x');
    };
    EXPECT_EQ(refusal(noop(512)), "");
    EXPECT_EQ(refusal(noop(513)), "500 5.5.2");
    const auto mail = [](std::size_t line_size) {
        const std::string begin = "MAIL FROM:<a@b> ";
        return begin + std::string(line_size - 2 - begin.size() - 8, ' ') + "SMTPUTF8";
    };
    EXPECT_EQ(refusal(mail(512 + 26 + 17 + 10 + 9 + 107)), "");
    EXPECT_EQ(refusal(mail(512 + 26 + 17 + 10 + 9 + 107 + 1)), "500 5.5.2");
}

TEST(CommandParser, PathLimits) {
    const auto rcpt = [](std::size_t local, std::size_t domain) {
        std::string text = "RCPT TO:<" + std::string(local, 'l') + "@";
        for (std::size_t i = 0; i < domain; ++i) {
            text += i % 50 == 49 && i + 1 < domain ? '.' : 'd';
        }
        return text + ">";
    };
    EXPECT_EQ(refusal(rcpt(64, 20)), "");
    EXPECT_EQ(refusal(rcpt(65, 20)), "501 5.1.3");
    EXPECT_EQ(refusal(rcpt(10, 243)), "");  // 10 + 1 + 243 + 2 = 256
    EXPECT_EQ(refusal(rcpt(10, 244)), "501 5.1.3");
    EXPECT_EQ(refusal(rcpt(1, 300)), "501 5.1.3");
    Limits wide;
    wide.path = {.local_part_bytes_max = 200, .domain_bytes_max = 255, .path_bytes_max = 500};
    EXPECT_TRUE(parse_command(rcpt(200, 240), wide).has_value());
}

TEST(CommandParser, ControlCharactersAreRefused) {
    EXPECT_EQ(refusal("NOOP \0"sv), "500 5.5.2");
    EXPECT_EQ(refusal("EHLO a\x1b[31m"), "500 ");
    EXPECT_EQ(refusal("MAIL FROM:<a@b>\rRCPT TO:<c@d>"), "500 5.5.2");
    EXPECT_EQ(refusal("MAIL FROM:<a@b>\nRCPT TO:<c@d>"), "500 5.5.2");
    EXPECT_EQ(refusal("\x16\x03\x01\x02"), "500 5.5.2");  // a TLS ClientHello
    EXPECT_EQ(refusal("RCPT TO:<\"a\x7f\"@b>"), "500 5.5.2");
}

}  // namespace
}  // namespace smtp
