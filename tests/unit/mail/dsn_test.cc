#include "mail/dsn.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "mail/text.h"

namespace mail {
namespace {

using namespace std::literals;

Dsn example(std::span<const DsnRecipient> recipients) {
    Dsn dsn;
    dsn.hostname = "relay.example.test";
    dsn.id = QueueId(0, 1, 2);
    dsn.now = base::wall_from_unix_ms(1795338307000);
    dsn.original_id = QueueId(0, 1, 1);
    dsn.original_received = base::wall_from_unix_ms(0);
    dsn.sender = "sender@example.org";
    dsn.recipients = recipients;
    dsn.original_header = "Subject: x\r\nTo: y\r\n\r\nthe body is not quoted\r\n";
    return dsn;
}

std::string text(const Dsn& dsn, ContentFacts* facts = nullptr) {
    std::string out = "what stands before stays\n";
    const std::size_t before = out.size();
    const ContentFacts found = append_dsn(out, dsn);
    EXPECT_EQ(found.stored_bytes, out.size() - before);
    if (facts != nullptr) {
        *facts = found;
    }
    return out.substr(before);
}

TEST(Dsn, WholeMessage) {
    const std::array recipients{
        DsnRecipient{
            "a@dst.test", {5, 1, 1}, "550 5.1.1 No such user", "mx.dst.test:192.0.2.1:25", ""},
        DsnRecipient{"b@dst.test", {5, 4, 7}, "", "", "It could not be delivered within 5 days."}};
    EXPECT_EQ(text(example(recipients)),
              "From: Mail Delivery System <MAILER-DAEMON@relay.example.test>\r\n"
              "To: <sender@example.org>\r\n"
              "Subject: Undelivered mail returned to sender\r\n"
              "Date: Sun, 22 Nov 2026 09:05:07 +0000\r\n"
              "Message-ID: <0000020000002@relay.example.test>\r\n"
              "Auto-Submitted: auto-replied\r\n"
              "MIME-Version: 1.0\r\n"
              "Content-Type: multipart/report; report-type=delivery-status;\r\n"
              "\tboundary=\"=_ringpost_0000020000002\"\r\n"
              "\r\n"
              "--=_ringpost_0000020000002\r\n"
              "Content-Type: text/plain; charset=us-ascii\r\n"
              "\r\n"
              "This is the mail system at relay.example.test.\r\n"
              "\r\n"
              "Your message could not be delivered to the recipients named below.\r\n"
              "The reason for each of them follows; after it come the technical details\r\n"
              "and the header of your message.\r\n"
              "\r\n"
              "<a@dst.test>\r\n"
              "    host mx.dst.test:192.0.2.1:25\r\n"
              "    said: 550 5.1.1 No such user\r\n"
              "\r\n"
              "<b@dst.test>\r\n"
              "    It could not be delivered within 5 days.\r\n"
              "\r\n"
              "--=_ringpost_0000020000002\r\n"
              "Content-Type: message/delivery-status\r\n"
              "\r\n"
              "Reporting-MTA: dns; relay.example.test\r\n"
              "X-Ringpost-Queue-ID: 0000020000001\r\n"
              "Arrival-Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
              "\r\n"
              "Final-Recipient: rfc822; a@dst.test\r\n"
              "Action: failed\r\n"
              "Status: 5.1.1\r\n"
              "Remote-MTA: dns; mx.dst.test\r\n"
              "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
              "\r\n"
              "Final-Recipient: rfc822; b@dst.test\r\n"
              "Action: failed\r\n"
              "Status: 5.4.7\r\n"
              "\r\n"
              "--=_ringpost_0000020000002\r\n"
              "Content-Type: text/rfc822-headers; charset=us-ascii\r\n"
              "\r\n"
              "Subject: x\r\n"
              "To: y\r\n"
              "\r\n"
              "--=_ringpost_0000020000002--\r\n");
}

TEST(Dsn, StrangersTextIsMadeHarmless) {
    const std::array recipients{DsnRecipient{
        "a@dst.test", {4, 0, 0}, "550 \r\n\r\n--=_ringpost_0000020000002\r\n\xff"sv, "h\n", ""}};
    Dsn dsn = example(recipients);
    const std::string header =
        "A: \xff\x1b\r\n--=_ringpost_0000020000002: x\r\n--=_ringpost_0000020000002\r\n" +
        ("B: " + std::string(5000, 'b')) + "\r\n\r\nBody\r\n";
    dsn.original_header = header;
    ContentFacts facts;
    const std::string out = text(dsn, &facts);
    EXPECT_TRUE(is_ascii(out));
    EXPECT_FALSE(facts.has_8bit);
    std::size_t delimiters = 0;
    for (std::size_t at = 0; (at = out.find("\r\n--", at)) != std::string::npos; ++at) {
        ++delimiters;
    }
    EXPECT_EQ(delimiters, 4U);
    EXPECT_NE(out.find("Status: 5.0.0\r\n"), std::string::npos);
    EXPECT_EQ(out.find("Body"), std::string::npos);
    for (std::size_t at = 0; at < out.size(); at = out.find("\r\n", at) + 2) {
        EXPECT_LE(out.find("\r\n", at) - at, 998U);
    }
}

// The last error, and that the time is over; local errors, too.
TEST(Dsn, ExpirySaysThatTimeRanOut) {
    std::array recipients{
        DsnRecipient{"a@dst.test", {5, 4, 7}, "", "", "connect to 192.0.2.1:25: refused", true}};
    EXPECT_NE(text(example(recipients))
                  .find("<a@dst.test>\r\n"
                        "    The message could not be delivered in the time set for it.\r\n"
                        "    The last word on it: connect to 192.0.2.1:25: refused\r\n"),
              std::string::npos);
    recipients[0].explanation = "";
    recipients[0].reply = "450 4.2.1 later";
    EXPECT_NE(
        text(example(recipients)).find("in the time set for it.\r\n    said: 450 4.2.1 later"),
        std::string::npos);
}

TEST(Dsn, WhatANextHopSaidIsUtf8ForPeopleAndFolded) {
    const std::string reply =
        "550 5.1.1 Empf\xc3\xa4nger unbekannt: bitte pr\xc3\xbc"
        "fen Sie die Adresse \xe2\x80\xae und "
        "senden Sie erneut; siehe https://example.test/" +
        std::string(80, 'x');
    const std::array recipients{DsnRecipient{"a@dst.test", {5, 1, 1}, reply, "", ""}};
    Dsn dsn = example(recipients);
    const std::string ascii = text(dsn);
    EXPECT_TRUE(is_ascii(ascii));
    EXPECT_NE(ascii.find("Empf=C3=A4nger"), std::string::npos);
    EXPECT_NE(ascii.find("Diagnostic-Code: smtp; 550 5.1.1 Empf??nger"), std::string::npos);
    dsn.sender = "\xc3\xa9@src.test";
    const std::string global = text(dsn);
    EXPECT_NE(global.find("    said: 550 5.1.1 Empf\xc3\xa4nger unbekannt: bitte pr\xc3\xbc"
                          "fen Sie die Adresse \\x{202E}\r\n"
                          "        und senden Sie erneut; siehe\r\n"
                          "        https://example.test/" +
                          std::string(80, 'x') + "\r\n"),
              std::string::npos)
        << global;
}

// RFC 2045 §6.4: a multipart's encoding is no less than that of its parts.
TEST(Dsn, OuterEncodingIsThatOfItsParts) {
    const auto top = [](const std::string& out) { return out.substr(0, out.find("\r\n\r\n") + 2); };
    constexpr std::string_view kEightBit = "\r\nContent-Transfer-Encoding: 8bit\r\n";
    const std::array recipients{DsnRecipient{"a@dst.test", {5, 1, 1}, "550 no", "h", ""}};
    Dsn dsn = example(recipients);
    ContentFacts original;
    std::string out;
    append_dsn_begin(out, dsn, original);
    EXPECT_EQ(out.find(kEightBit), std::string::npos);
    original.has_8bit = true;
    out.clear();
    append_dsn_begin(out, dsn, original);
    EXPECT_NE(top(out).find(kEightBit), std::string::npos);
    dsn.original_header = "Subject: gr\xc3\xbc\xc3\x9f\r\n\r\n";
    EXPECT_EQ(text(dsn).find(kEightBit), std::string::npos);
    dsn.sender = "\xc3\xa9@src.test";
    EXPECT_NE(top(text(dsn)).find(kEightBit), std::string::npos);
    dsn.original_header = "Subject: x\r\n\r\n";
    EXPECT_EQ(text(dsn).find(kEightBit), std::string::npos);
}

TEST(Dsn, AHostWithoutNameIsAnAddressLiteral) {
    const auto remote = [](std::string_view host) {
        const std::array recipients{DsnRecipient{"a@dst.test", {5, 1, 1}, "550 no", host, ""}};
        std::string out = text(example(recipients));
        out.erase(0, out.find("Remote-MTA: "));
        return out.substr(0, out.find("\r\n"));
    };
    EXPECT_EQ(remote("127.0.0.1:4026"), "Remote-MTA: dns; [127.0.0.1]");
    EXPECT_EQ(remote("[2001:db8::1]:25"), "Remote-MTA: dns; [IPv6:2001:db8::1]");
    EXPECT_EQ(remote("mx.example:[2001:db8::1]:25"), "Remote-MTA: dns; mx.example");
    EXPECT_EQ(remote("mx.example"), "Remote-MTA: dns; mx.example");
}

TEST(Dsn, TheHeaderEndsWhereItBreaksOff) {
    const auto quoted = [](std::string_view header, bool dot_stuffed) {
        Dsn dsn = example({});
        dsn.original_header = header;
        dsn.original_dot_stuffed = dot_stuffed;
        std::string out = text(dsn);
        out.erase(0, out.find("rfc822-headers"));
        out.erase(0, out.find("\r\n\r\n") + 4);
        return out.substr(0, out.find("\r\n--=_"));
    };
    EXPECT_EQ(quoted("A: b\r\n\tc\r\nthe body\r\nis: private\r\n", false), "A: b\r\n c\r\n");
    EXPECT_EQ(quoted("Received: x\r\nFrom a@b Sun Nov 22\r\nA: b\r\n", false),
              "Received: x\r\nA: b\r\n");
    EXPECT_EQ(quoted("A: b\r\n..c: d\r\n..\r\nbody: x\r\n", true), "A: b\r\n.c: d\r\n");
    EXPECT_EQ(quoted("A: b\r\n..c: d\r\n", false), "A: b\r\n..c: d\r\n");
    EXPECT_EQ(quoted("A: b\r\n--c: d\r\n folded\r\nE: f\r\n", false), "A: b\r\nE: f\r\n");
}

TEST(Dsn, HeaderIsBounded) {
    std::string header;
    while (header.size() < 100000) {
        header += "X-Filler: " + std::string(60, 'x') + "\r\n";
    }
    Dsn dsn = example({});
    dsn.original_header = header;
    EXPECT_LT(text(dsn).size(), Dsn::kHeaderBytesMax + 2000);
}

TEST(Dsn, AddressesThatAreNotAscii) {
    const std::array recipients{
        DsnRecipient{"jos\xc3\xa9+\xf0\x9f\x98\x80@\xe2\x82\xac.test", {5, 6, 7}, "", "", ""}};
    Dsn dsn = example(recipients);
    EXPECT_NE(
        text(dsn).find("Final-Recipient: utf-8; jos\\x{E9}\\x{2B}\\x{1F600}@\\x{20AC}.test\r\n"),
        std::string::npos);
    dsn.sender = "jos\xc3\xa9@example.org";
    ContentFacts facts;
    EXPECT_NE(text(dsn, &facts).find("To: <jos\xc3\xa9@example.org>\r\n"), std::string::npos);
    EXPECT_TRUE(facts.has_8bit_header);
}

TEST(Dsn, WhatTheSenderSaidComesBack) {
    const std::array recipients{DsnRecipient{.path = "a@dst.test",
                                             .status = {5, 1, 1},
                                             .reply = "550 no",
                                             .remote_host = "mx.test",
                                             .explanation = "",
                                             .original_recipient = "rfc822;o+2Bx@dst.test",
                                             .last_attempt = base::wall_from_unix_ms(1000)}};
    Dsn dsn = example(recipients);
    dsn.envelope_id = "QQ+2B1";
    dsn.original_header = "Message-ID:\r\n <one@src.test> (x)\r\nSubject: x\r\n\r\n";
    const std::string out = text(dsn);
    EXPECT_NE(out.find("In-Reply-To: <one@src.test>\r\nReferences: <one@src.test>\r\n"),
              std::string::npos);
    EXPECT_NE(out.find("\r\n\r\nOriginal-Envelope-Id: QQ+1\r\nReporting-MTA: "), std::string::npos);
    EXPECT_NE(out.find("\r\n\r\nOriginal-Recipient: rfc822; o+x@dst.test\r\nFinal-Recipient: "),
              std::string::npos);
    EXPECT_NE(out.find("\r\nLast-Attempt-Date: Thu, 1 Jan 1970 00:00:01 +0000\r\n"),
              std::string::npos);
}

TEST(Dsn, DelaysAndHandOversHaveTheirOwnWords) {
    const std::array recipients{DsnRecipient{"a@dst.test", {4, 2, 1}, "450 4.2.1 later", "h", ""}};
    Dsn dsn = example(recipients);
    dsn.kind = DsnKind::delayed;
    dsn.retry_until = base::wall_from_unix_ms(0);
    std::string out = text(dsn);
    EXPECT_NE(out.find("\r\nAction: delayed\r\nStatus: 4.2.1\r\n"), std::string::npos);
    EXPECT_NE(out.find("\r\nWill-Retry-Until: Thu, 1 Jan 1970"), std::string::npos);
    EXPECT_NE(out.find("not yet been delivered"), std::string::npos);
    dsn.kind = DsnKind::relayed;
    out = text(dsn);
    EXPECT_NE(out.find("\r\nAction: relayed\r\nStatus: 2.0.0\r\n"), std::string::npos);
    EXPECT_EQ(out.find("Will-Retry-Until"), std::string::npos);
    dsn.kind = DsnKind::failed;
    dsn.to_postmaster = true;
    EXPECT_NE(text(dsn).find("Auto-Submitted: auto-generated\r\n"), std::string::npos);
    EXPECT_NE(text(dsn).find("In the log, that message is 0000020000001.\r\n"), std::string::npos);
}

TEST(Dsn, ToAnAsciiAddressItIsSevenBit) {
    const std::array recipients{DsnRecipient{"jos\xc3\xa9@dst.test", {5, 1, 1}, "550 no", "h", ""}};
    Dsn dsn = example(recipients);
    dsn.original_header = "Subject: gr\xc3\xbc\xc3\x9f\r\n\r\n";
    ContentFacts facts;
    const std::string out = text(dsn, &facts);
    EXPECT_TRUE(is_ascii(out));
    EXPECT_FALSE(facts.has_8bit);
    EXPECT_NE(out.find("charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"),
              std::string::npos);
    EXPECT_NE(out.find("text/rfc822-headers; charset=utf-8\r\n"), std::string::npos);
    EXPECT_NE(out.find("Subject: gr=C3=BC=C3=9F\r\n"), std::string::npos);
    EXPECT_NE(out.find("Final-Recipient: utf-8; jos\\x{E9}@dst.test\r\n"), std::string::npos);
}

TEST(Dsn, ToAnotherAddressItIsUtf8) {
    const std::array recipients{DsnRecipient{.path = "jos\xc3\xa9@dst.test",
                                             .status = {5, 1, 1},
                                             .reply = "",
                                             .remote_host = "",
                                             .explanation = "",
                                             .original_recipient = "utf-8;\\x{E9}@x"}};
    Dsn dsn = example(recipients);
    dsn.sender = "\xc3\xa9@src.test";
    dsn.original_header = "Subject: gr\xc3\xbc\xc3\x9f\r\n\r\n";
    ContentFacts facts;
    const std::string out = text(dsn, &facts);
    EXPECT_TRUE(facts.has_8bit);
    EXPECT_NE(out.find("report-type=global-delivery-status;"), std::string::npos);
    EXPECT_NE(out.find("Content-Type: message/global-delivery-status\r\n"), std::string::npos);
    EXPECT_NE(out.find("Original-Recipient: utf-8; \xc3\xa9@x\r\n"), std::string::npos);
    EXPECT_NE(out.find("Final-Recipient: utf-8; jos\xc3\xa9@dst.test\r\n"), std::string::npos);
    EXPECT_NE(out.find("Content-Type: message/global-headers\r\n"), std::string::npos);
    EXPECT_NE(out.find("Subject: gr\xc3\xbc\xc3\x9f\r\n"), std::string::npos);
}

// An address must not look like another one; what programs read stays exact.
TEST(Dsn, WhatIsHiddenInAnAddressIsShown) {
    const std::array recipients{
        DsnRecipient{"a\xe2\x80\xae"
                     "b@dst.test",
                     {5, 1, 1},
                     "550 5.1.1 No such user",
                     "",
                     ""}};
    Dsn dsn = example(recipients);
    dsn.sender = "\xc3\xa9@src.test";
    const std::string out = text(dsn);
    EXPECT_NE(out.find("\r\n<a\\x{202E}b@dst.test>\r\n"), std::string::npos);
    EXPECT_NE(out.find("Final-Recipient: utf-8; a\xe2\x80\xae"
                       "b@dst.test\r\n"),
              std::string::npos);
}

}  // namespace
}  // namespace mail
