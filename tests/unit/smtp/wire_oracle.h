// What content means on the wire, said a second time: slowly, on whole strings, without states.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace oracle {

// Where the final dot ends in `wire`, counted from its first octet; nothing when there is none.
inline std::optional<std::size_t> end_of_data(std::string_view wire) {
    const std::string text = "\r\n" + std::string(wire);
    const std::size_t at = text.find("\r\n.\r\n");
    if (at == std::string::npos) {
        return std::nullopt;
    }
    return at + 5 - 2;
}

// Every bare CR or LF as CRLF.
inline std::string normalise(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r') {
            out += "\r\n";
            if (i + 1 < text.size() && text[i + 1] == '\n') {
                ++i;
            }
        } else if (text[i] == '\n') {
            out += "\r\n";
        } else {
            out += text[i];
        }
    }
    return out;
}

// The dots that the sender's stuffing put at the beginnings of true lines, taken away; but a dot
// before a bare CR or LF is text.
inline std::string unstuff(std::string_view wire) {
    std::string out;
    bool line_start = true;
    for (std::size_t i = 0; i < wire.size(); ++i) {
        const char next = i + 1 < wire.size() ? wire[i + 1] : 'x';
        const bool before_line_end = next == '\r' || next == '\n';
        if (!(line_start && wire[i] == '.' && !before_line_end)) {
            out += wire[i];
        }
        line_start = out.ends_with("\r\n") && wire[i] == '\n';
    }
    return out;
}

inline bool has_bare_line_end(std::string_view text) {
    return normalise(text) != text;
}

// Every string over `alphabet` of exactly `size` characters, by number.
inline std::string word(std::string_view alphabet, std::size_t size, std::size_t number) {
    std::string out;
    for (std::size_t i = 0; i < size; ++i) {
        out += alphabet[number % alphabet.size()];
        number /= alphabet.size();
    }
    return out;
}

}  // namespace oracle
