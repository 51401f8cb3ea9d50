#include "mail/dsn_parameters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/bytes.h"
#include "mail/text.h"

namespace mail {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 3> kNotifications{{
    {"SUCCESS", Notify::kSuccess},
    {"FAILURE", Notify::kFailure},
    {"DELAY", Notify::kDelay},
}};

// An upper-case digit, as the encodings ask for; -1 for anything else.
constexpr int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

constexpr bool is_graphic(char c) {
    return c > ' ' && c < 0x7f;
}

// The octet that xtext's element at the front of `text` stands for, and its size; 0 when there is
// no such element, or it stands for what is not printable.
struct Element {
    char octet = 0;
    std::size_t size = 0;
};
Element xtext_element(std::string_view text) {
    if (text.empty() || !is_graphic(text[0]) || text[0] == '=') {
        return {};
    }
    if (text[0] != '+') {
        return {text[0], 1};
    }
    if (text.size() < 3 || hex_value(text[1]) < 0 || hex_value(text[2]) < 0) {
        return {};
    }
    const auto octet = static_cast<char>(hex_value(text[1]) * 16 + hex_value(text[2]));
    return octet == ' ' || is_graphic(octet) ? Element{octet, 3} : Element{};
}

bool is_xtext(std::string_view text) {
    while (!text.empty()) {
        const Element element = xtext_element(text);
        if (element.size == 0) {
            return false;
        }
        text.remove_prefix(element.size);
    }
    return true;
}

// RFC 6533 §3: EmbeddedUnicodeChar, "\x{E9}".
struct Embedded {
    std::uint32_t point = 0;
    std::size_t size = 0;  // 0: there is none
};
Embedded embedded_character(std::string_view text) {
    constexpr std::string_view kBegin = "\\x{";
    constexpr std::size_t kDigitsMax = 6;
    if (!text.starts_with(kBegin)) {
        return {};
    }
    const std::size_t end = text.substr(0, kBegin.size() + kDigitsMax + 1).find('}');
    if (end == std::string_view::npos || end == kBegin.size()) {
        return {};
    }
    std::uint32_t point = 0;
    for (const char c : text.substr(kBegin.size(), end - kBegin.size())) {
        if (hex_value(c) < 0) {
            return {};
        }
        point = point * 16 + static_cast<std::uint32_t>(hex_value(c));
    }
    const bool surrogate = point >= 0xd800 && point <= 0xdfff;
    const bool printable = point >= 0x20 && (point < 0x7f || point >= 0xa0);
    return point <= 0x10ffff && !surrogate && printable ? Embedded{point, end + 1} : Embedded{};
}

bool is_utf8_address(std::string_view text) {
    while (!text.empty()) {
        std::size_t size = utf8_sequence(text);
        if (text[0] == '\\') {
            size = embedded_character(text).size;
        } else if (size == 1) {
            size = xtext_element(text).size;
        }
        if (size == 0) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}

void append_utf8(std::string& out, std::uint32_t point) {
    const auto put = [&out](std::uint32_t octet) { out.push_back(static_cast<char>(octet)); };
    if (point < 0x80) {
        put(point);
    } else if (point < 0x800) {
        put(0xc0U | point >> 6U);
        put(0x80U | (point & 0x3fU));
    } else if (point < 0x10000) {
        put(0xe0U | point >> 12U);
        put(0x80U | (point >> 6U & 0x3fU));
        put(0x80U | (point & 0x3fU));
    } else {
        put(0xf0U | point >> 18U);
        put(0x80U | (point >> 12U & 0x3fU));
        put(0x80U | (point >> 6U & 0x3fU));
        put(0x80U | (point & 0x3fU));
    }
}

}  // namespace

ReturnContent parse_return(std::string_view value) {
    return base::equal_ignoring_case(value, "FULL")   ? ReturnContent::full
           : base::equal_ignoring_case(value, "HDRS") ? ReturnContent::headers
                                                      : ReturnContent::unspecified;
}

std::optional<Notify> parse_notify(std::string_view value) {
    Notify notify;
    if (base::equal_ignoring_case(value, "NEVER")) {
        notify.bits = Notify::kNever;
        return notify;
    }
    for (bool more = true; more;) {
        const std::size_t comma = value.find(',');
        const std::string_view word = value.substr(0, comma);
        const auto* const known = std::ranges::find_if(kNotifications, [word](const auto& one) {
            return base::equal_ignoring_case(word, one.first);
        });
        if (known == kNotifications.end()) {
            return std::nullopt;
        }
        notify.bits = static_cast<std::uint8_t>(notify.bits | known->second);
        more = comma != std::string_view::npos;
        value.remove_prefix(more ? comma + 1 : value.size());
    }
    return notify;
}

void append_notify(std::string& out, Notify notify) {
    if ((notify.bits & Notify::kNever) != 0) {
        out.append("NEVER");
        return;
    }
    std::string_view between;
    for (const auto& [word, bit] : kNotifications) {
        if ((notify.bits & bit) != 0) {
            out.append(between).append(word);
            between = ",";
        }
    }
}

bool is_envelope_id(std::string_view value) {
    return !value.empty() && value.size() <= kEnvelopeIdBytesMax && is_xtext(value);
}

bool is_original_recipient(std::string_view value) {
    const std::size_t semicolon = value.find(';');
    if (value.size() > kOriginalRecipientBytesMax || semicolon == std::string_view::npos) {
        return false;
    }
    const std::string_view type = value.substr(0, semicolon);
    const std::string_view address = value.substr(semicolon + 1);
    const bool good_type = !type.empty() && std::ranges::all_of(type, [](char c) {
        const char lower = base::lower(c);
        return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_';
    });
    return good_type && !address.empty() &&
           (base::equal_ignoring_case(type, "utf-8") ? is_utf8_address(address)
                                                     : is_xtext(address));
}

void append_xtext_decoded(std::string& out, std::string_view xtext) {
    while (!xtext.empty()) {
        const Element element = xtext_element(xtext);
        out.push_back(element.size > 0                          ? element.octet
                      : is_graphic(xtext[0]) || xtext[0] == ' ' ? xtext[0]
                                                                : '?');
        xtext.remove_prefix(std::max<std::size_t>(element.size, 1));
    }
}

void append_utf8_xtext(std::string& out, std::string_view text, bool plain) {
    while (!text.empty()) {
        const std::size_t size = std::max<std::size_t>(utf8_sequence(text), 1);
        const auto lead = static_cast<unsigned char>(text[0]);
        const bool encoding = lead == '\\' || lead == '+' || lead == '=';
        if (size == 1 && is_graphic(text[0]) && !(plain && encoding)) {
            out.push_back(text[0]);
        } else {
            unsigned point = size == 1 ? lead : lead & (0xffU >> (size + 1));
            for (const char c : text.substr(1, size - 1)) {
                point = point << 6U | (static_cast<unsigned char>(c) & 0x3fU);
            }
            std::array<char, 8> digits{};
            char* const end =
                std::to_chars(digits.data(), digits.data() + digits.size(), point, 16).ptr;
            std::for_each(digits.data(), end,
                          [](char& c) { c = c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
            out.append("\\x{").append(digits.data(), end).push_back('}');
        }
        text.remove_prefix(size);
    }
}

void append_utf8_decoded(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const Embedded embedded = embedded_character(text);
        if (embedded.size > 0) {
            append_utf8(out, embedded.point);
        } else {
            out.push_back(text[0]);
        }
        text.remove_prefix(std::max<std::size_t>(embedded.size, 1));
    }
}

}  // namespace mail
