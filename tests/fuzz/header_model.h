// What mail::HeaderScan is to find in a header section, line by line.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct HeaderModel {
    bool ended = false;
    std::uint32_t received = 0;
    bool has_8bit = false;
};

inline HeaderModel model_headers(std::string_view text) {
    HeaderModel model;
    bool continuable = false;
    for (bool first = true; !text.empty() && !model.ended; first = false) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);  // without its LF, with its CR
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const auto at = [line, end](std::size_t i) {  // 0: not there yet
            return i < line.size() ? line[i] : end == std::string_view::npos ? '\0' : '\n';
        };
        const bool open = end == std::string_view::npos;  // more of this line may come
        if (!line.empty() && line[0] == '\r') {
            model.ended = line.size() > 1 || !open;
            break;
        }
        std::string_view value;
        if (continuable && (at(0) == ' ' || at(0) == '\t')) {
            value = line;
        } else {
            std::string name;
            std::size_t i = 0;
            for (; i < line.size() && line[i] > 32 && line[i] < 127 && line[i] != ':'; ++i) {
                name += static_cast<char>(std::tolower(line[i]));
            }
            const std::size_t blanks = std::min(line.find_first_not_of(" \t", i), line.size()) - i;
            i += blanks;
            if (i == line.size() && open && !name.empty()) {
                break;  // undecided
            }
            const bool field = !name.empty() && at(i) == ':';
            const bool mbox = first && blanks > 0 && (name == "from" || name == ">from");
            if (!field && !mbox) {
                model.ended = true;
                break;
            }
            continuable = field;
            model.received += field && name == "received" ? 1 : 0;
            value = line.substr(i);
        }
        model.has_8bit = model.has_8bit || std::ranges::any_of(value, [](char c) {
                             return static_cast<unsigned char>(c) > 127;
                         });
    }
    return model;
}
