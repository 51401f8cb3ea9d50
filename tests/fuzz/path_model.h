// Which texts are mailboxes and paths, as mail/path.h says and RFC 5321 §4.1.2 defines: found by
// trying each way to cut the text. And valid ones, built from choices.
#pragma once

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include <arpa/inet.h>

#include "choices.h"
#include "utf8.h"

namespace path_model {

inline constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
inline constexpr std::string_view kDigits = "0123456789";
inline constexpr std::string_view kAtextMarks = "!#$%&'*+-/=?^_`{|}~";

inline bool among(char32_t c, std::string_view set) {
    return c < 128 && set.find(static_cast<char>(c)) != std::string_view::npos;
}
inline bool is_alphanumeric(char32_t c) {
    return among(c, kLetters) || among(c, kDigits);
}

inline bool same_word(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) ==
               std::tolower(static_cast<unsigned char>(y));
    });
}

// No control character, and UTF-8.
inline std::optional<std::u32string> characters(std::string_view text) {
    std::u32string all;
    while (!text.empty()) {
        const Character character = first_character(text);
        if (character.size == 0 || character.code < 32 ||
            (character.code >= 127 && character.code < 160)) {
            return std::nullopt;
        }
        all += character.code;
        text.remove_prefix(character.size);
    }
    return all;
}

inline bool is_local_part(std::string_view text) {
    const std::optional<std::u32string> all = characters(text);
    if (!all || all->empty() || text.size() > 64) {
        return false;
    }
    if (all->front() != '"') {
        return std::ranges::all_of(*all, [](char32_t c) {
            return c > 127 || is_alphanumeric(c) || among(c, kAtextMarks) || c == '.';
        });
    }
    for (std::size_t i = 1; i < all->size(); ++i) {
        if ((*all)[i] == '"') {
            return i + 1 == all->size();
        }
        i += (*all)[i] == '\\' ? 1 : 0;
    }
    return false;
}

inline bool is_domain(std::string_view text) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    const std::optional<std::u32string> all = characters(label);
    if (!all || all->empty() || all->front() == '-' || all->back() == '-' ||
        !std::ranges::all_of(*all, [](char32_t c) {
            return c > 127 || is_alphanumeric(c) || c == '-' || c == '_';
        })) {
        return false;
    }
    if (all->size() == label.size() && label.size() > 63) {
        return false;
    }
    return dot == std::string_view::npos || is_domain(text.substr(dot + 1));
}

inline bool is_literal(std::string_view text) {
    if (text.size() < 2 || !text.starts_with('[') || !text.ends_with(']') || text.contains('\0')) {
        return false;
    }
    const std::string inside(text.substr(1, text.size() - 2));
    in6_addr address;
    return same_word(inside.substr(0, 5), "IPv6:")
               ? ::inet_pton(AF_INET6, inside.c_str() + 5, &address) == 1
               : ::inet_pton(AF_INET, inside.c_str(), &address) == 1;
}

// "local@domain", or "postmaster". A domain holds no '@', so the last one is the one that counts.
inline bool is_mailbox(std::string_view text) {
    const std::size_t at = text.rfind('@');
    if (at == std::string_view::npos || text.ends_with('"')) {
        return same_word(text, "postmaster");
    }
    const std::string_view domain = text.substr(at + 1);
    return text.size() <= 254 && is_local_part(text.substr(0, at)) && domain.size() <= 255 &&
           (is_domain(domain) || is_literal(domain));
}

// "@one,@two", without the colon.
inline bool is_route(std::string_view text) {
    if (!text.starts_with('@')) {
        return false;
    }
    const std::size_t comma = text.find(',');
    const std::string_view domain =
        text.substr(1, comma == std::string_view::npos ? comma : comma - 1);
    return (is_domain(domain) || is_literal(domain)) &&
           (comma == std::string_view::npos || is_route(text.substr(comma + 1)));
}

struct Taken {
    std::string_view mailbox;
    std::string_view rest;
};

inline std::string_view skip_blanks(std::string_view text) {
    return text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
}

// What follows a path: nothing, or a blank.
inline bool may_follow(std::string_view text) {
    return text.empty() || text[0] == ' ' || text[0] == '\t';
}

inline std::optional<Taken> take_path(std::string_view text) {
    text = skip_blanks(text);
    const bool bracketed = text.starts_with('<');
    if (bracketed) {
        text = skip_blanks(text.substr(1));
        if (text.starts_with('>')) {
            return may_follow(text.substr(1)) ? std::optional(Taken{"", text.substr(1)})
                                              : std::nullopt;
        }
    }
    for (std::size_t colon = text.find(':'); text.starts_with('@');
         colon = text.find(':', colon + 1)) {
        if (colon == std::string_view::npos) {
            return std::nullopt;
        }
        if (is_route(text.substr(0, colon))) {
            text.remove_prefix(colon + 1);
            break;
        }
    }
    for (std::size_t size = std::min<std::size_t>(text.size(), 254); size > 0; --size) {
        if (text[size - 1] == ' ' || text[size - 1] == '\t') {
            continue;  // no mailbox ends so
        }
        std::string_view rest = text.substr(size);
        if (bracketed) {
            rest = skip_blanks(rest);
            if (!rest.starts_with('>')) {
                continue;
            }
            rest.remove_prefix(1);
        }
        if (may_follow(rest) && is_mailbox(text.substr(0, size))) {
            return Taken{text.substr(0, size), rest};
        }
    }
    return std::nullopt;
}

// Valid ones. `ascii`: needs no SMTPUTF8.
inline std::string build_domain(Choices& choices, bool ascii) {
    if (choices.below(6) == 0) {
        return std::string(choices.one_of("[127.0.0.1]", "[IPv6:::1]", "[ipv6:2001:db8::25]"));
    }
    std::string domain;
    for (std::size_t labels = 1 + choices.below(3); labels > 0; --labels) {
        domain += choices.word("abcXYZ09_", 1, 2);
        domain += choices.word("abcXYZ09_-", 0, choices.coin() ? 59 : 6);
        domain += ascii ? "" : choices.one_of("", "\xc3\xa9", "\xe4\xbe\x8b", "\xf0\x9f\x93\xa7");
        domain += choices.one_of("e", "0");
        domain += labels > 1 ? "." : "";
    }
    return domain;
}

inline std::string build_mailbox(Choices& choices, bool ascii) {
    std::string local;
    if (choices.below(4) == 0) {
        local = "\"";
        for (std::size_t parts = choices.below(10); parts > 0; --parts) {
            local += choices.one_of("a", " ", "@", ">", ".", ",", "\\\"", "\\\\", "\\>");
            local += ascii ? "" : choices.one_of("", "\xc3\xbc");
        }
        local += '"';
    } else {
        const std::string every =
            std::string(kLetters) + std::string(kDigits) + std::string(kAtextMarks) + ".";
        local = choices.word(every, 1, 66);
        local += ascii ? "" : choices.one_of("", "\xc3\xbc", "\xe4\xbe\x8b");
    }
    std::string mailbox = local + "@" + build_domain(choices, ascii);
    if (choices.below(4) == 0 && !mailbox.ends_with(']')) {  // as long as may be, or longer
        const std::size_t size = 252 + choices.below(5);
        mailbox += mailbox.size() + 2 <= size ? "." : "";
        while (mailbox.size() < size) {
            const bool dot = mailbox.size() % 40 == 0 && mailbox.back() != '.';
            mailbox += dot && mailbox.size() + 1 < size ? '.' : 'a';
        }
    }
    return mailbox;
}

// The mailbox with all that may stand around it.
inline std::string build_path(Choices& choices, std::string_view mailbox) {
    if (choices.below(4) == 0) {
        return std::string(mailbox);
    }
    std::string path = "<";
    path += choices.one_of("", " ", "\t");
    if (choices.below(4) == 0) {
        path += "@" + build_domain(choices, true);
        path += choices.coin() ? ",@" + build_domain(choices, true) : "";
        path += ':';
    }
    return path + std::string(mailbox) + std::string(choices.one_of("", " ")) + ">";
}

}  // namespace path_model
