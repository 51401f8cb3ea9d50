#include "mail/eight_bit.h"

#include <string>

#include <gtest/gtest.h>

#include "mail/text.h"

namespace mail {
namespace {

using Verdict = EightBitDowngrade::Verdict;

// A message in spans of a fixed size; every third call has to wait.
class PiecewiseSource final : public MessageSource {
  public:
    PiecewiseSource(std::string content, std::size_t span_bytes, bool dot_stuffed)
        : content_(std::move(content)), span_bytes_(span_bytes) {
        facts_.dot_stuffed = dot_stuffed;
        facts_.stored_bytes = content_.size();
        facts_.has_8bit = true;
    }
    const ContentFacts& facts() const override { return facts_; }
    std::string_view added_headers() const override { return "Received: x\r\n"; }
    SourceState next(std::string_view& span, base::Waiter&) override {
        if (++calls_ % 3 == 0) {
            return SourceState::wait;
        }
        if (calls_ == fail_at_) {
            return SourceState::failed;
        }
        if (at_ == content_.size()) {
            return SourceState::end;
        }
        copy_ = content_.substr(at_, span_bytes_);  // the last span dies
        at_ += copy_.size();
        span = copy_;
        return SourceState::ready;
    }
    void rewind() override { at_ = 0; }

    std::size_t fail_at_ = 0;

  private:
    std::string content_;
    std::string copy_;
    std::size_t span_bytes_;
    std::size_t at_ = 0;
    std::size_t calls_ = 0;
    ContentFacts facts_;
};

base::Waiter waiter([](base::Waiter&) {});

std::string read(EightBitDowngrade& source) {
    std::string out;
    std::string_view span;
    for (;;) {
        const SourceState state = source.next(span, waiter);
        if (state == SourceState::end) {
            return out;
        }
        if (state == SourceState::ready) {
            EXPECT_FALSE(span.empty());
            out += span;
        }
    }
}

Verdict plan(EightBitDowngrade& source) {
    SourceState state = SourceState::wait;
    while (state == SourceState::wait) {
        state = source.plan(waiter);
    }
    EXPECT_EQ(state, SourceState::end);
    return source.verdict();
}

// The converted message, the same for every span size; REQUIRES that it can be converted.
std::string convert(const std::string& content, bool dot_stuffed = false) {
    PiecewiseSource whole(content, content.size() + 1, dot_stuffed);
    EightBitDowngrade downgrade(whole);
    EXPECT_EQ(plan(downgrade), Verdict::possible);
    const std::string out = read(downgrade);
    downgrade.rewind();
    EXPECT_EQ(read(downgrade), out) << "a second reading";
    // Behind another message, which leaves nothing behind.
    const std::string other_text = "Subject: \xe9\r\n\r\n" + content.substr(0, content.size() / 2);
    PiecewiseSource header(other_text, 50, false);
    downgrade.start(header);
    EXPECT_EQ(plan(downgrade), Verdict::header);
    PiecewiseSource again(content, 30, dot_stuffed);
    downgrade.start(again);
    EXPECT_EQ(plan(downgrade), Verdict::possible);
    EXPECT_EQ(read(downgrade), out) << "behind another message";
    for (std::size_t span_bytes = 1; span_bytes < 100; span_bytes = span_bytes * 5 / 3 + 1) {
        PiecewiseSource pieces(content, span_bytes, dot_stuffed);
        EightBitDowngrade other(pieces);
        EXPECT_EQ(plan(other), Verdict::possible);
        EXPECT_EQ(read(other), out) << "in spans of " << span_bytes;
    }
    EXPECT_TRUE(is_ascii(out));
    EXPECT_FALSE(downgrade.facts().has_8bit);
    EXPECT_FALSE(downgrade.facts().dot_stuffed);
    return out;
}

Verdict verdict(const std::string& content) {
    PiecewiseSource source(content, 7, false);
    EightBitDowngrade downgrade(source);
    return plan(downgrade);
}

TEST(EightBit, LabelledText) {
    EXPECT_EQ(convert("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                      "Content-Transfer-Encoding:\r\n 8bit\r\nSubject: x\r\n\r\n"
                      "caf\xc3\xa9=\r\n.dot \r\n"),
              "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
              "caf=C3=A9=3D\r\n.dot=20\r\n");
}

TEST(EightBit, WithoutMimeFields) {
    EXPECT_EQ(
        convert("Subject: x\r\n\r\ncaf\xe9\r\n"),
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n");
}

TEST(EightBit, WithoutHeaderOrWithoutItsEnd) {
    const std::string fields =
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    EXPECT_EQ(convert("caf\xe9\r\n"), fields + "caf=E9\r\n");
    EXPECT_EQ(convert("\r\ncaf\xe9\r\n"), fields + "caf=E9\r\n");
    EXPECT_EQ(convert("Subject: x\r\ncaf\xe9 au lait\r\n"),
              "Subject: x\r\n" + fields + "caf=E9 au lait\r\n");
}

TEST(EightBit, AnMboxLineStaysBeforeTheHeader) {
    const std::string rest =
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n";
    for (const std::string line : {"From a@b Sun Nov 22 09:05:07 2026\r\n", ">From a@b: c\r\n"}) {
        EXPECT_EQ(convert(line + "Subject: x\r\n\r\ncaf\xe9\r\n"), line + rest);
        EXPECT_TRUE(convert("Subject: x\r\n" + line + "caf\xe9\r\n")
                        .ends_with("\r\n\r\n" + line + "caf=E9\r\n"))
            << "in its middle it ends the header";
    }
}

TEST(EightBit, DotStuffedContentIsUnstuffed) {
    EXPECT_TRUE(convert("Subject: x\r\n\r\n..\r\n..caf\xe9\r\n", true)
                    .ends_with("\r\n\r\n.\r\n.caf=E9\r\n"));
}

TEST(EightBit, LastLineWithoutItsEnd) {
    EXPECT_TRUE(convert("A: b\r\n\r\ncaf\xe9 ").ends_with("caf=E9=20"));
}

TEST(EightBit, OnlyTheLeavesThatNeedIt) {
    const std::string before =
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n"
        "--=_b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain = "
        "text\r\n"
        "--=_b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "<p>\xc3\xa9</p>\r\n--=_c\r\n"
        "--=_b  \r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
        "--=_b--\r\nepilogue\r\n";
    const std::string after =
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n"
        "--=_b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain = "
        "text\r\n"
        "--=_b\r\nContent-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "<p>=C3=A9</p>\r\n=2D-=3D_c\r\n"
        "--=_b  \r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
        "--=_b--\r\nepilogue\r\n";
    EXPECT_EQ(convert(before), after);
}

TEST(EightBit, NestedMultipartsAndMessages) {
    const std::string out = convert(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n"
        "--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
        "--inner\r\n\r\n\xc3\xa9 inner\r\n--inner--\r\n"
        "--outer\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "Subject: forwarded\r\nContent-Type: text/plain\r\n\r\n\xc3\xa9 forwarded\r\n"
        "--outer\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n"
        "--d\r\n\r\nSubject: in a digest\r\n\r\n\xc3\xa9 digest\r\n--d--\r\n"
        "--outer--\r\n");
    EXPECT_EQ(out,
              "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n"
              "--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
              "--inner\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9 inner\r\n--inner--\r\n"
              "--outer\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
              "Subject: forwarded\r\nContent-Type: text/plain\r\nMIME-Version: 1.0\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9 forwarded\r\n"
              "--outer\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n"
              "--d\r\n\r\nSubject: in a digest\r\nMIME-Version: 1.0\r\n"
              "Content-Type: text/plain; charset=unknown-8bit\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9 digest\r\n--d--\r\n"
              "--outer--\r\n");
}

// Each message says for itself that it is one by MIME (RFC 2045 §4).
TEST(EightBit, MessagesInsideGetTheirOwnMimeVersion) {
    const auto forwarded = [](const std::string& inner) {
        return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
               "Content-Type: message/rfc822\r\n\r\n" +
               inner + "--o\r\n\r\nplain\r\n--o--\r\n";
    };
    EXPECT_EQ(convert(forwarded("Subject: x\r\n\r\ncaf\xe9\r\n")),
              forwarded("Subject: x\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=unknown-8bit\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n"));
    // It has one, and a part may have one too, though that says nothing.
    EXPECT_EQ(convert(forwarded("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
                                "caf\xe9\r\n")),
              forwarded("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n"));
    // What is changed is a part of it, behind another message in it.
    const std::string inner_head = "Content-Type: multipart/mixed; boundary=i\r\n";
    const std::string innermost =
        "--i\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nplain\r\n";
    EXPECT_EQ(convert(forwarded(inner_head + "\r\n" + innermost +
                                "--i\r\nMIME-Version: 1.0\r\n\r\ncaf\xe9\r\n--i--\r\n")),
              forwarded(inner_head + "MIME-Version: 1.0\r\n\r\n" + innermost +
                        "--i\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=unknown-8bit\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n--i--\r\n"));
    // Only what lies behind it is changed.
    const std::string message = forwarded("Subject: x\r\n\r\nplain\r\n");
    const std::string before = message.substr(0, message.find("plain\r\n--o--"));
    EXPECT_TRUE(
        convert(before + "caf\xe9\r\n--o--\r\n").starts_with(before.substr(0, before.size() - 2)));
}

TEST(EightBit, OuterDelimiterEndsOpenInnerParts) {
    const std::string out = convert(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
        "--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\n\xe9\r\n"
        "--o\r\nContent-Type: text/plain\r\n\r\na=b\r\n--o--");
    EXPECT_TRUE(out.ends_with("\r\n\r\n=E9\r\n--o\r\nContent-Type: text/plain\r\n\r\na=b\r\n--o--"))
        << out;
}

// What the encoder writes is never read as a delimiter, though the boundary has the form of encoded
// text.
TEST(EightBit, BoundaryThatLooksEncoded) {
    const std::string out = convert(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b=3D\"\r\n\r\n"
        "--b=3D\r\n\r\n\xe9\r\n--b=\r\nMAIL\r\n" +
        std::string(75, 'x') + "--b=\r\n--b=3D--\r\n");
    EXPECT_EQ(out.find("--b=3D\r\n"), out.rfind("--b=3D\r\n")) << out;
}

TEST(EightBit, LongLines) {
    const std::string line = std::string(5000, 'x') + "\xe9";
    const std::string out =
        convert("A: b\r\nContent-Type: text/plain\r\n\r\n" + line + "\r\nend\r\n");
    std::string body = out.substr(out.find("\r\n\r\n") + 4);
    for (std::size_t at = 0; (at = body.find("=\r\n")) != std::string::npos;) {
        body.erase(at, 3);
    }
    EXPECT_EQ(body, std::string(5000, 'x') + "=E9\r\nend\r\n");
    EXPECT_EQ(convert("A: " + std::string(5000, 'y') + "\r\n\r\n\xe9\r\n").substr(0, 5005),
              "A: " + std::string(5000, 'y') + "\r\n");
}

TEST(EightBit, Unneeded) {
    EXPECT_EQ(verdict("A: b\r\n\r\nplain\r\n"), Verdict::unneeded);
    EXPECT_EQ(verdict(""), Verdict::unneeded);
    EXPECT_EQ(verdict("Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"), Verdict::unneeded);
}

TEST(EightBit, HeadersCannotBeConverted) {
    EXPECT_EQ(verdict("Subject: \xc3\xa9\r\n\r\nx\r\n"), Verdict::header);
    EXPECT_EQ(verdict("Subject: x\r\n \xc3\xa9\r\n\r\n\xc3\xa9\r\n"), Verdict::header);
    EXPECT_EQ(verdict("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                      "Content-Disposition: attachment; filename=\xc3\xa9\r\n\r\nx\r\n--b--\r\n"),
              Verdict::header);
}

TEST(EightBit, WhatMayNotBeEncoded) {
    const auto part = [](const std::string& type, const std::string& more = "") {
        return verdict("MIME-Version: 1.0\r\nContent-Type: " + type + "\r\n" + more +
                       "\r\n\xc3\xa9\r\n");
    };
    EXPECT_EQ(part("text/plain"), Verdict::possible);
    EXPECT_EQ(part("text/plain", "Content-Transfer-Encoding: binary\r\n"), Verdict::possible);
    EXPECT_EQ(part("text/plain", "Content-Transfer-Encoding: base64\r\n"), Verdict::impossible);
    EXPECT_EQ(part("text/plain", "Content-Transfer-Encoding: quoted-printable\r\n"),
              Verdict::impossible);
    EXPECT_EQ(part("text/plain", "Content-Transfer-Encoding: x-own\r\n"), Verdict::impossible);
    EXPECT_EQ(part("text/plain", "Content-Type: text/html\r\n"), Verdict::impossible);
    EXPECT_EQ(part("text/plain",
                   "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\r\n"),
              Verdict::impossible);
    EXPECT_EQ(part("message/partial; id=x"), Verdict::impossible);
    EXPECT_EQ(part("message/global"), Verdict::impossible);
    EXPECT_EQ(part("message/rfc822", "Content-Transfer-Encoding: base64\r\n"), Verdict::impossible);
    EXPECT_EQ(part("multipart/mixed"), Verdict::impossible);
    EXPECT_EQ(part("multipart/mixed; boundary=" + std::string(200, 'b')), Verdict::impossible);
    EXPECT_EQ(part("multipart"), Verdict::impossible);
    EXPECT_EQ(part("text/plain; x=" + std::string(3000, 'x')), Verdict::impossible);
}

TEST(EightBit, SignedPartsAreNotTouched) {
    const auto message = [](const std::string& inside, const std::string& outside) {
        return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
               "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
               "Content-Type: multipart/mixed; boundary=i\r\nContent-Transfer-Encoding: "
               "8bit\r\n\r\n"
               "--i\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
               inside +
               "\r\n--i--\r\n--s\r\n"
               "Content-Type: application/pgp-signature\r\n\r\nsignature\r\n--s--\r\n--o\r\n\r\n" +
               outside + "\r\n--o--\r\n";
    };
    EXPECT_EQ(verdict(message("\xe9", "x")), Verdict::impossible);
    const std::string out = convert(message("plain", "\xe9"));
    EXPECT_NE(out.find("--s\r\nContent-Type: multipart/mixed; boundary=i\r\n"
                       "Content-Transfer-Encoding: 8bit\r\n\r\n--i\r\n"
                       "Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n--i--\r\n--s\r\n"),
              std::string::npos);
}

// Found by fuzzing: the empty line that was added made a delimiter of what had been none.
TEST(EightBit, CompositeWhoseHeaderBreaksOff) {
    EXPECT_EQ(verdict("Content-Type: multipart/mixed; boundary=b\r\n--b\r\n--b\r\n\xe9"),
              Verdict::impossible);
    const std::string part =
        "Content-Type: multipart/mixed; boundary=i\r\n"
        "Content-Transfer-Encoding: 8bit\r\n--i\r\n\r\nx\r\n";
    const std::string out = convert(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
        "--o\r\n" +
        part + "--o\r\n\r\n\xe9\r\n--o--\r\n");
    EXPECT_NE(out.find("--o\r\n" + part + "--o\r\n"), std::string::npos) << out;
}

// Nobody is shown them, so they are no reason to refuse a message.
TEST(EightBit, PreamblesAndEpilogues) {
    const auto message = [](const std::string& e) {
        return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
               "pr" +
               e + "ambule\r\n--b\r\n\r\nx\r\n--b--\r\n" + e + e + "pilogue";
    };
    EXPECT_EQ(convert(message("\xe9")), message("?"));
    const std::string inside =
        "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
        "Content-Type: multipart/mixed; boundary=i\r\n\r\n\xe9\r\n--i\r\n\r\n"
        "x\r\n--i--\r\n--s--\r\n";
    EXPECT_EQ(verdict("MIME-Version: 1.0\r\n" + inside), Verdict::impossible);
}

TEST(EightBit, DeepAndManyParts) {
    std::string deep = "MIME-Version: 1.0\r\n";
    for (int i = 0; i < 60; ++i) {
        const std::string boundary = "b" + std::to_string(i);
        deep += "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary +
                "\r\n";
    }
    EXPECT_EQ(verdict(deep + "\r\n\xe9\r\n"), Verdict::impossible);

    std::string many = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (std::uint32_t i = 0; i < EightBitDowngrade::kEntitiesMax + 10; ++i) {
        many += "--b\r\n\r\nx\r\n";
    }
    EXPECT_EQ(verdict(many), Verdict::unneeded);
    EXPECT_EQ(verdict(many + "--b\r\n\r\n\xe9\r\n"), Verdict::impossible);
}

TEST(EightBit, FailureIsHandedOn) {
    PiecewiseSource source("A: b\r\n\r\n\xe9\r\n", 4, false);
    source.fail_at_ = 2;
    EightBitDowngrade downgrade(source);
    EXPECT_EQ(downgrade.plan(waiter), SourceState::failed);
}

}  // namespace
}  // namespace mail
