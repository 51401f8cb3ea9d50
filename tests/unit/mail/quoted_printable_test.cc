#include "mail/quoted_printable.h"

#include <string>

#include <gtest/gtest.h>

#include "base/prng.h"

namespace mail {
namespace {

using namespace std::literals;

std::string line(std::string_view text) {
    QuotedPrintable encoder;
    std::string out;
    encoder.append(out, text);
    encoder.end_line(out);
    return out;
}

// RFC 2045 §6.7, written down once more, without mercy: "" when the text is not as it says.
std::string decode(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        const std::string_view encoded = text.substr(0, end);
        EXPECT_LE(encoded.size(), 76U);
        EXPECT_FALSE(encoded.ends_with(' ') || encoded.ends_with('\t'));
        bool soft = false;
        for (std::size_t i = 0; i < encoded.size(); ++i) {
            const char c = encoded[i];
            EXPECT_TRUE((c >= 32 && c < 127) || c == '\t');
            if (c != '=') {
                out += c;
            } else if (i + 1 == encoded.size()) {
                soft = true;
            } else {
                out += static_cast<char>(
                    std::stoi(std::string(encoded.substr(i + 1, 2)), nullptr, 16));
                i += 2;
            }
        }
        if (end == std::string_view::npos) {
            EXPECT_FALSE(soft);
            break;
        }
        out += soft ? "" : "\r\n";
        text.remove_prefix(end + 2);
    }
    return out;
}

TEST(QuotedPrintable, Lines) {
    EXPECT_EQ(line(""), "\r\n");
    EXPECT_EQ(line("plain text"), "plain text\r\n");
    EXPECT_EQ(line("caf\xc3\xa9 = 1"), "caf=C3=A9 =3D 1\r\n");
    EXPECT_EQ(line("ends in blanks  "), "ends in blanks =20\r\n");
    EXPECT_EQ(line("\t"), "=09\r\n");
    EXPECT_EQ(line("a\0\r\n\x7f"sv), "a=00=0D=0A=7F\r\n");
    EXPECT_EQ(line("--boundary"), "=2D-boundary\r\n");
}

TEST(QuotedPrintable, SoftBreaks) {
    EXPECT_EQ(line(std::string(75, 'x')), std::string(75, 'x') + "\r\n");
    EXPECT_EQ(line(std::string(76, 'x')), std::string(75, 'x') + "=\r\nx\r\n");
    EXPECT_EQ(line(std::string(73, 'x') + "\xff"), std::string(73, 'x') + "=\r\n=FF\r\n");
    EXPECT_EQ(line(std::string(75, 'x') + "--b"), std::string(75, 'x') + "=\r\n=2D-b\r\n");
    EXPECT_EQ(line(std::string(75, 'x') + " "), std::string(75, 'x') + "=\r\n=20\r\n");
}

TEST(QuotedPrintable, DecodesToWhatItWas) {
    base::Prng random(3);
    for (int round = 0; round < 500; ++round) {
        QuotedPrintable encoder;
        std::string plain;
        std::string encoded;
        const std::uint64_t lines = random.below(5);
        for (std::uint64_t i = 0; i <= lines; ++i) {
            std::string text;
            for (std::uint64_t size = random.below(300); size > 0; --size) {
                const std::uint64_t kind = random.below(4);
                text += kind == 0   ? static_cast<char>(random.below(256))
                        : kind == 1 ? " \t.-="[random.below(5)]
                                    : 'x';
            }
            const std::size_t cut = random.below(text.size() + 1);
            encoder.append(encoded, std::string_view(text).substr(0, cut));
            encoder.append(encoded, std::string_view(text).substr(cut));
            plain += text;
            if (i < lines) {
                encoder.end_line(encoded);
                plain += "\r\n";
            } else {
                encoder.end_text(encoded);
            }
        }
        ASSERT_EQ(decode(encoded), plain);
    }
}

}  // namespace
}  // namespace mail
