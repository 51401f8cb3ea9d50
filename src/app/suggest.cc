#include "app/suggest.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace app {
namespace {

// Optimal string alignment: Levenshtein with swaps of neighbours.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> above(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
        above[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change =
                above[j - 1] + (base::lower(a[i - 1]) == base::lower(b[j - 1]) ? 0U : 1U);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
        before.swap(above);
        above.swap(row);
    }
    return above[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates) {
    constexpr std::size_t kLongest = 64;
    if (text.empty() || text.size() > kLongest) {
        return {};
    }
    std::string_view best;
    std::size_t best_edits = std::numeric_limits<std::size_t>::max();
    for (const std::string_view candidate : candidates) {
        const std::size_t distance = edits(text, candidate);
        const std::size_t near_enough =
            std::max<std::size_t>(1, std::min(text.size(), candidate.size()) / 3);
        if (distance <= near_enough && distance < best_edits) {
            best = candidate;
            best_edits = distance;
        }
    }
    return best;
}

std::string shown(std::string_view text) {
    constexpr std::size_t kShown = 60;
    std::string result = "\"";
    std::size_t cut = std::min(text.size(), kShown);
    while (cut < text.size() && cut > 0 && (text[cut] & 0xc0) == 0x80) {
        --cut;  // not inside a UTF-8 sequence
    }
    for (const char c : text.substr(0, cut)) {
        result += (c >= 0 && c < ' ') || c == 0x7f ? '?' : c;
    }
    return result.append(cut < text.size() ? "…\"" : "\"");
}

}  // namespace app
