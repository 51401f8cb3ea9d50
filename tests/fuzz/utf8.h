// UTF-8 as RFC 3629 defines it, decoded by arithmetic and encoded back: slow, and nothing of
// mail/text.h in it, against which it is held.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

struct Character {
    std::size_t size = 0;  // 0: no well-formed character is at the front
    char32_t code = 0;
};

inline std::string encode_utf8(char32_t code) {
    const auto last = [code](unsigned shift) {
        return static_cast<char>(0x80U | (code >> shift & 0x3fU));
    };
    if (code < 0x80) {
        return {static_cast<char>(code)};
    }
    if (code < 0x800) {
        return {static_cast<char>(0xc0U | code >> 6U), last(0)};
    }
    if (code < 0x10000) {
        return {static_cast<char>(0xe0U | code >> 12U), last(6), last(0)};
    }
    return {static_cast<char>(0xf0U | code >> 18U), last(12), last(6), last(0)};
}

inline Character first_character(std::string_view text) {
    for (std::size_t size = 1; size <= 4 && size <= text.size(); ++size) {
        constexpr unsigned kLeadBits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
        char32_t code = static_cast<unsigned char>(text[0]) & kLeadBits[size];
        for (const char c : text.substr(1, size - 1)) {
            code = code << 6U | (static_cast<unsigned char>(c) & 0x3fU);
        }
        const bool surrogate = code >= 0xd800 && code <= 0xdfff;
        if (code <= 0x10ffff && !surrogate && encode_utf8(code) == text.substr(0, size)) {
            return {size, code};
        }
    }
    return {};
}

inline bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = first_character(text).size;
        if (size == 0) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}
