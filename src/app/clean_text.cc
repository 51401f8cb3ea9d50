#include "app/clean_text.h"

#include <array>
#include <cstdint>

#include "mail/hidden_text.h"

namespace app {
namespace {

bool continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

struct Decoded {
    char32_t code = 0;
    std::size_t size = 0;  // 0: not UTF-8
};

// One code point at the front of `text` (RFC 3629: no surrogates, nothing overlong). REQUIRES: not
// empty.
Decoded decode(std::string_view text) {
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x80) {
        return {first, 1};
    }
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) {
        return {};
    }
    char32_t code = first & (0x7fU >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if (!continuation(text[i])) {
            return {};
        }
        code = code << 6U | (static_cast<unsigned char>(text[i]) & 0x3fU);
    }
    const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return {};
    }
    return {code, size};
}

// Controls, and what is not seen or changes the order of what is.
bool dangerous(char32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || mail::is_hidden(code);
}

void append_hex(std::string& out, std::string_view bytes) {
    constexpr std::string_view kHex = "0123456789abcdef";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out.append("\\x").append(1, kHex[byte >> 4U]).append(1, kHex[byte & 15U]);
    }
}

constexpr bool must_escape(char c, CleanStyle style) {
    switch (style) {
        case CleanStyle::token:
            return c == ' ';
        case CleanStyle::bracket:
            return c == ' ' || c == '<' || c == '>';
        case CleanStyle::quote:
        case CleanStyle::plain:
            return false;
    }
    return false;
}

// Which ASCII stands as it is, by style: nearly everything that is ever logged.
using Plain = std::array<bool, 256>;
constexpr Plain plain_octets(CleanStyle style) {
    Plain plain{};
    for (unsigned char c = ' '; c < 0x7f; ++c) {
        const char octet = static_cast<char>(c);
        plain[c] = octet != '\\' && !(octet == '"' && style == CleanStyle::quote) &&
                   !must_escape(octet, style);
    }
    return plain;
}
constexpr std::array kPlain = {plain_octets(CleanStyle::token), plain_octets(CleanStyle::bracket),
                               plain_octets(CleanStyle::quote), plain_octets(CleanStyle::plain)};

std::size_t plain_prefix(std::string_view text, CleanStyle style) {
    const Plain& plain = kPlain.at(static_cast<std::size_t>(style));
    std::size_t size = 0;
    while (size < text.size() && plain[static_cast<unsigned char>(text[size])]) {
        ++size;
    }
    return size;
}

}  // namespace

void append_clean(std::string& out, std::string_view text, CleanStyle style) {
    const std::size_t plain = plain_prefix(text, style);
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    const bool takes_blanks = style == CleanStyle::quote || style == CleanStyle::plain;
    while (!text.empty()) {
        const char c = text[0];
        const Decoded decoded = decode(text);
        const std::size_t size = decoded.size == 0 ? 1 : decoded.size;
        if (takes_blanks && (c == '\n' || c == '\r' || c == '\t')) {
            if (!out.empty() && out.back() != ' ') {
                out += ' ';
            }
        } else if (decoded.size == 0 || dangerous(decoded.code) || must_escape(c, style)) {
            append_hex(out, text.substr(0, size));
        } else {
            if (c == '\\' || (c == '"' && style == CleanStyle::quote)) {
                out += '\\';
            }
            out.append(text.substr(0, size));
        }
        text.remove_prefix(size);
    }
}

std::string_view cut_text(std::string_view text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) {
        return text;
    }
    std::size_t size = bytes_max;
    for (std::size_t back = 0; back < 3 && size > 0 && continuation(text[size]); ++back) {
        --size;
    }
    return text.substr(0, size);
}

}  // namespace app
