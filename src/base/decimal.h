// Numbers as decimal digits.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>

namespace base {

// With zeros in front where it has fewer than `digits_least` digits.
inline void append_decimal(std::string& out, std::uint64_t number, std::size_t digits_least = 1) {
    char text[20];
    char* const end = std::to_chars(text, text + sizeof text, number).ptr;
    const auto size = static_cast<std::size_t>(end - text);
    if (size < digits_least) {
        out.append(digits_least - size, '0');
    }
    out.append(text, size);
}

}  // namespace base
