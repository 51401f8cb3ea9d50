// The scanner looks at 64 octets at a time where it can; it must say what it says octet by octet.
// What it is to say at all is tested with its users (unit/smtp/dot_reader_test.cc and others).
#include "mail/wire_scanner.h"

#include <gtest/gtest.h>

#include <string>

#include "base/prng.h"

namespace mail {
namespace {

struct Seen {
    std::string text;
    std::string left;
    bool ended = false;
    std::uint64_t bare_line_ends = 0;
    std::uint64_t nuls = 0;
    std::uint64_t stuffed_dots = 0;
    std::uint64_t repairs = 0;
    bool has_8bit = false;
    bool at_line_start = false;

    bool operator==(const Seen&) const = default;
};

Seen scan(std::string_view text, std::size_t piece_bytes, WireScanner::Dots dots,
          WireScanner::Nul nul) {
    WireScanner scanner(dots, nul);
    Seen seen;
    std::string_view run;
    while (!text.empty() && !seen.ended) {
        std::string_view input = text.substr(0, piece_bytes);
        text.remove_prefix(input.size());
        WireScanner::Event event = scanner.next(input, run);
        for (; event == WireScanner::Event::run; event = scanner.next(input, run)) {
            seen.text += run;
        }
        seen.ended = event == WireScanner::Event::end;
        if (seen.ended) {
            seen.left = std::string(input) + std::string(text);
        }
    }
    while (dots != WireScanner::Dots::until_final && scanner.finish(run)) {
        seen.text += run;
    }
    seen.bare_line_ends = scanner.bare_line_ends();
    seen.nuls = scanner.nuls();
    seen.stuffed_dots = scanner.stuffed_dots();
    seen.repairs = scanner.repairs();
    seen.has_8bit = scanner.has_8bit();
    seen.at_line_start = scanner.at_line_start();
    return seen;
}

// Lines of lengths about that of a block, with an accident now and then.
std::string lines(base::Prng& random, std::uint64_t accidents_in_1000) {
    static constexpr std::string_view kAccidents[] = {
        "\r",     "\n",      ".",         std::string_view("\0", 1),
        "\r\n.",  "\r\n..",  "\n.",       "\r",
        "\r\r\n", "\n\r\n",  "\r\n.\r\n", "\r\n.\r",
        "\xc3",   "\r\n.\n", ".",         "\r\n\r\n"};
    std::string text;
    while (text.size() < 700) {
        const std::uint64_t length = random.below(4) == 0 ? 60 + random.below(8) : random.below(90);
        for (std::uint64_t i = 0; i < length; ++i) {
            if (random.below(1000) < accidents_in_1000) {
                text += kAccidents[random.below(std::size(kAccidents))];
            } else {
                text += static_cast<char>('a' + random.below(26));
            }
        }
        text += "\r\n";
    }
    return text;
}

TEST(WireScanner, BlocksSayWhatOctetsSay) {
    using Dots = WireScanner::Dots;
    base::Prng random(1);
    for (int round = 0; round < 3000; ++round) {
        const std::string text = lines(random, round % 3 == 0 ? 0 : random.below(40));
        for (const Dots dots :
             {Dots::until_final, Dots::keep, Dots::add, Dots::remove, Dots::ignore}) {
            const auto nul =
                random.below(2) == 0 ? WireScanner::Nul::report : WireScanner::Nul::replace;
            const Seen by_octet = scan(text, 1, dots, nul);
            ASSERT_EQ(scan(text, text.size(), dots, nul), by_octet)
                << "round " << round << ", dots " << static_cast<int>(dots) << "\n"
                << testing::PrintToString(text);
            ASSERT_EQ(scan(text, 1 + random.below(200), dots, nul), by_octet)
                << "round " << round << ", dots " << static_cast<int>(dots) << "\n"
                << testing::PrintToString(text);
        }
    }
}

}  // namespace
}  // namespace mail
