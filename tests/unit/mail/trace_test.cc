#include "mail/trace.h"

#include <string>

#include <gtest/gtest.h>

namespace mail {
namespace {

using namespace std::literals;

Trace example() {
    Trace trace;
    trace.origin = {"192.0.2.1", "client.example", "ESMTP"};
    trace.hostname = "relay.example.test";
    trace.id = QueueId(1, 2, 3);
    trace.recipient = "user@example.org";
    trace.received = base::wall_from_unix_ms(1795338307000);
    return trace;
}

std::string received(const Trace& trace) {
    std::string out;
    append_received(out, trace);
    return out;
}

TEST(Trace, Received) {
    EXPECT_EQ(received(example()),
              "Received: from client.example ([192.0.2.1])\r\n"
              "\tby relay.example.test (ringpost) with ESMTP id "s +
                  std::string(view(QueueId(1, 2, 3).text())) +
                  "\r\n\tfor <user@example.org>; Sun, 22 Nov 2026 09:05:07 +0000\r\n");
}

TEST(Trace, WithoutOneRecipient) {
    Trace trace = example();
    trace.recipient = "";
    EXPECT_EQ(received(trace).find("for <"), std::string::npos);
    trace.recipient = "josé@example.org";
    EXPECT_EQ(received(trace).find("for <"), std::string::npos);
    EXPECT_EQ(received(trace).find('\xc3'), std::string::npos);
}

TEST(Trace, WithoutHelo) {
    Trace trace = example();
    trace.origin.helo = "";
    trace.origin.client_address = "2001:db8::1";
    EXPECT_TRUE(
        received(trace).starts_with("Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"));
}

TEST(Trace, HostileHelo) {
    Trace trace = example();
    trace.origin.helo = "a\r\nBcc: x\xff(\0) by <evil>; "sv;
    const std::string text = received(trace);
    EXPECT_TRUE(text.starts_with("Received: from a??Bcc:?x?????by??evil??? ([192.0.2.1])\r\n"))
        << text;
    const std::string endless(5000, 'h');
    trace.origin.helo = endless;
    EXPECT_LT(received(trace).find("\r\n"), 400U);
}

}  // namespace
}  // namespace mail
