// What the fuzz targets ask of text that was let through.
#pragma once

#include <string_view>

#include "mail/text.h"

inline bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = mail::utf8_sequence(text);
        if (size == 0) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}
