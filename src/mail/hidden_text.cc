#include "mail/hidden_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "mail/text.h"

namespace mail {
namespace {

// REQUIRES: one well-formed sequence of more than one octet.
constexpr char32_t code_point(std::string_view sequence) {
    char32_t code = static_cast<unsigned char>(sequence[0]) & (0x7fU >> sequence.size());
    for (const char c : sequence.substr(1)) {
        code = code << 6U | (static_cast<unsigned char>(c) & 0x3fU);
    }
    return code;
}

}  // namespace

bool is_hidden(char32_t code) {
    return code == 0xad || code == 0x61c || code == 0x180e || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
           code == 0xfeff || (code >= 0xe0000 && code <= 0xe007f);
}

void append_visible(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = std::max<std::size_t>(utf8_sequence(text), 1);
        const std::string_view character = text.substr(0, size);
        text.remove_prefix(size);
        if (size > 1 && is_hidden(code_point(character))) {
            std::array<char, 8> digits{};
            char* const end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                            static_cast<std::uint32_t>(code_point(character)), 16)
                                  .ptr;
            out.append("\\x{");
            for (const char digit : std::string_view(digits.data(), end)) {
                out.push_back(digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit);
            }
            out.push_back('}');
        } else {
            append_printable(out, character, size);
        }
    }
}

}  // namespace mail
