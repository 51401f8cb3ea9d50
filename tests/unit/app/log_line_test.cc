#include "app/log_line.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace app {
namespace {

using testing::HasSubstr;
using testing::Not;

const base::WallTime kTime = base::wall_from_unix_ms(1795312091123);  // 2026-11-22T01:48:11.123Z
const mail::QueueId kId(0, 1, 16);

template <typename Event>
std::string line(LogFormat format, const Event& event, std::optional<std::uint32_t> shard = 0) {
    LogRecordBuffer buffer;
    std::string out;
    LogLines(format).append(out, decode_log_record(buffer.encode(kTime, event)), shard);
    return out;
}

mail::ReceptionEvent reception() {
    return {.id = kId,
            .client = "192.0.2.1:4711",
            .helo = "client.example",
            .protocol = "ESMTP",
            .from = "alice@src.test",
            .to = "",
            .recipients = 2,
            .size_bytes = 1234,
            .delay = std::chrono::milliseconds(12),
            .dsn = {2, 0, 0},
            .code = 250,
            .reply = "Ok: queued",
            .tls = ""};
}

mail::AttemptEvent attempt() {
    return {.status = mail::AttemptEvent::Status::deferred,
            .id = kId,
            .from = "alice@src.test",
            .to = "bob@dst.test",
            .relay = "127.0.0.1:2626",
            .delay = std::chrono::milliseconds(1500),
            .size_bytes = 1234,
            .attempts = 2,
            .dsn = {4, 3, 0},
            .code = 451,
            .reply = "try again\nlater",
            .tls = "TLSv1.3",
            .next_attempt = std::chrono::seconds(30)};
}

TEST(LogLine, BareLineEndsAreSaidWhereThereWereAny) {
    mail::ReceptionEvent event = reception();
    EXPECT_EQ(line(LogFormat::text, event).find("bare"), std::string::npos);
    event.bare_line_ends = 3;
    EXPECT_NE(line(LogFormat::text, event).find(" size=1234 bare_line_ends=3 delay="),
              std::string::npos);
}

// A greeting of 554 refuses the connection, which defers the recipient: the reply stays what it
// was.
TEST(LogLine, TheReplyKeepsItsOwnClass) {
    mail::AttemptEvent event = attempt();
    event.dsn = {4, 7, 1};
    event.code = 554;
    event.reply = "not you";
    EXPECT_NE(line(LogFormat::text, event).find(" dsn=4.7.1 status=deferred "), std::string::npos);
    EXPECT_NE(line(LogFormat::text, event).find(" reply=\"554 5.7.1 not you\""), std::string::npos);
}

TEST(LogLine, TextOfEachEvent) {
    EXPECT_EQ(
        line(LogFormat::text, reception()),
        "2026-11-22T01:48:11.123Z info reception shard=0 id=000002000000G client=192.0.2.1:4711 "
        "helo=client.example proto=ESMTP from=<alice@src.test> nrcpt=2 size=1234 delay=0.012 "
        "dsn=2.0.0 "
        "status=accepted tls=none reply=\"250 2.0.0 Ok: queued\"\n");
    EXPECT_EQ(
        line(LogFormat::text, attempt(), 3),
        "2026-11-22T01:48:11.123Z info attempt shard=3 id=000002000000G from=<alice@src.test> "
        "to=<bob@dst.test> relay=127.0.0.1:2626 delay=1.500 dsn=4.3.0 status=deferred size=1234 "
        "tls=TLSv1.3 "
        "attempts=2 next=30.000 reply=\"451 4.3.0 try again later\"\n");
    EXPECT_EQ(
        line(LogFormat::text, mail::RemovalEvent{.id = kId,
                                                 .from = "",
                                                 .size_bytes = 9,
                                                 .delay = std::chrono::seconds(2),
                                                 .delivered = 1,
                                                 .failed = 0}),
        "2026-11-22T01:48:11.123Z info removal shard=0 id=000002000000G from=<> size=9 delay=2.000 "
        "status=removed delivered=1 failed=0\n");
    EXPECT_EQ(line(LogFormat::text,
                   mail::NotificationEvent{.kind = mail::NotificationEvent::Kind::double_bounce,
                                           .id = kId,
                                           .notification = mail::QueueId(kId.value() + 1),
                                           .to = "postmaster@src.test",
                                           .recipients = 2}),
              "2026-11-22T01:48:11.123Z info notification shard=0 id=000002000000G "
              "to=<postmaster@src.test> nrcpt=2 kind=double_bounce notification=000002000000H\n");
    EXPECT_EQ(
        line(LogFormat::text,
             NoticeEvent{.severity = mail::Severity::warning, .text = "the disk is full"}, {}),
        "2026-11-22T01:48:11.123Z warning notice the disk is full\n");
}

TEST(LogLine, JsonOfEachEvent) {
    EXPECT_EQ(
        line(LogFormat::json, reception()),
        R"({"time":"2026-11-22T01:48:11.123Z","level":"info","event":"reception","shard":0,)"
        R"("id":"000002000000G","client":"192.0.2.1:4711","helo":"client.example","proto":"ESMTP",)"
        R"("from":"alice@src.test","nrcpt":2,"size":1234,"delay":0.012,"dsn":"2.0.0","status":"accepted",)"
        R"("tls":"none","reply":"250 2.0.0 Ok: queued"})"
        "\n");
    EXPECT_EQ(
        line(LogFormat::json, NoticeEvent{.severity = mail::Severity::error, .text = "x"}, {}),
        R"({"time":"2026-11-22T01:48:11.123Z","level":"error","event":"notice","text":"x"})"
        "\n");
}

TEST(LogLine, RefusedBeforeAnyIdIsNoqueue) {
    mail::ReceptionEvent event = reception();
    event.status = mail::ReceptionEvent::Status::refused;
    event.id = {};
    event.to = "x@other.test";
    event.code = 550;
    event.dsn = {5, 7, 1};
    EXPECT_THAT(line(LogFormat::text, event), HasSubstr(" id=NOQUEUE "));
    EXPECT_THAT(line(LogFormat::text, event), HasSubstr(" to=<x@other.test> "));
    EXPECT_THAT(line(LogFormat::text, event), HasSubstr(" status=refused "));
}

TEST(LogLine, NoReplyIsTheWordsAlone) {
    mail::AttemptEvent event = attempt();
    event.code = 0;
    event.relay = "";
    event.reply = "connection refused";
    event.possible_duplicate = true;
    EXPECT_THAT(line(LogFormat::text, event), HasSubstr(" relay=none "));
    EXPECT_THAT(line(LogFormat::text, event),
                HasSubstr(" possible_duplicate=yes reply=\"connection refused\"\n"));
    EXPECT_THAT(line(LogFormat::json, event), HasSubstr(R"("possible_duplicate":true)"));
}

// A peer must not be able to forge a field or a line.
TEST(LogLine, PeersTextStaysInItsField) {
    mail::AttemptEvent event = attempt();
    event.from = "\"a> status=sent\"@x";
    event.reply = "no\" status=sent\r\n2026 info removal\x1b[0m \xff";
    event.relay = "evil status=sent";
    const std::string text = line(LogFormat::text, event);
    EXPECT_EQ(std::ranges::count(text, '\n'), 1);
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, HasSubstr("from=<\"a\\x3e\\x20status=sent\"@x>"));
    EXPECT_THAT(text, HasSubstr("relay=evil\\x20status=sent "));
    EXPECT_THAT(
        text,
        HasSubstr("reply=\"451 4.3.0 no\\\" status=sent 2026 info removal\\x1b[0m \\xff\"\n"));
    const std::string json = line(LogFormat::json, event);
    EXPECT_EQ(std::ranges::count(json, '\n'), 1);
    EXPECT_TRUE(std::ranges::all_of(json, [](char c) {
        return c == '\n' || (c >= ' ' && c < 0x7f);
    })) << json;
}

TEST(LogLine, LongTextsAreCut) {
    mail::ReceptionEvent event = reception();
    const std::string huge(100'000, 'x');
    event.client = event.helo = event.protocol = event.from = event.to = event.reply = event.tls =
        huge;
    EXPECT_LT(line(LogFormat::text, event).size(), 4000U);
    mail::AttemptEvent other = attempt();
    other.from = other.to = other.relay = other.reply = other.tls = huge;
    EXPECT_LT(line(LogFormat::text, other).size(), 4000U);
    EXPECT_LT(line(LogFormat::text, NoticeEvent{.text = huge}).size(), 5000U);
}

}  // namespace
}  // namespace app
