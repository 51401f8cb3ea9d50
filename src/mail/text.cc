#include "mail/text.h"

#include <algorithm>
#include <cstdint>

namespace mail {
namespace {

constexpr bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

constexpr bool is_printable(unsigned char c) {
    return c >= 0x20 && c < 0x7f;
}

// C1 controls (U+0080 to U+009F) reach terminals as escape sequences do.
constexpr bool is_c1_control(std::string_view sequence) {
    return sequence.size() == 2 && sequence[0] == '\xc2' &&
           static_cast<unsigned char>(sequence[1]) < 0xa0;
}

}  // namespace

std::size_t utf8_sequence(std::string_view text) {
    if (text.empty()) {
        return 0;
    }
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x80) {
        return 1;
    }
    const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < size ||
        !std::ranges::all_of(text.substr(1, size - 1), is_continuation)) {
        return 0;
    }
    const auto second = static_cast<unsigned char>(text[1]);
    if ((lead == 0xe0 && second < 0xa0) ||  // overlong
        (lead == 0xed && second > 0x9f) ||  // surrogates
        (lead == 0xf0 && second < 0x90) ||  // overlong
        (lead == 0xf4 && second > 0x8f)) {  // above U+10FFFF
        return 0;
    }
    return size;
}

bool is_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void append_printable(std::string& out, std::string_view text, std::size_t bytes_max) {
    while (!text.empty() && bytes_max > 0) {
        const std::size_t size = std::max<std::size_t>(utf8_sequence(text), 1);
        const std::string_view character = text.substr(0, size);
        text.remove_prefix(size);
        if (size > 1 && !is_c1_control(character)) {
            if (size > bytes_max) {
                return;
            }
            out.append(character);
            bytes_max -= size;
            continue;
        }
        const bool printable = size == 1 && is_printable(static_cast<unsigned char>(character[0]));
        out.push_back(character[0] == '\t' ? ' ' : printable ? character[0] : '?');
        --bytes_max;
    }
}

void append_printable_ascii(std::string& out, std::string_view text, std::size_t bytes_max) {
    for (const char c : text.substr(0, bytes_max)) {
        out.push_back(c == '\t' ? ' ' : is_printable(static_cast<unsigned char>(c)) ? c : '?');
    }
}

}  // namespace mail
