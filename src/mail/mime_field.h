// The values of Content-Type and Content-Transfer-Encoding (RFC 2045 §5.1, §6.1), unfolded, as far
// as a relay needs them.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace mail {

struct ContentType {
    std::string_view type;  // "" when the value does not parse
    std::string_view subtype;
    // Unquoted, into the space given to parse_content_type. "" when there is none, or when it does
    // not fit there.
    std::string_view boundary;
};

// Views into `value` and `space`. Comments are skipped.
[[nodiscard]] ContentType parse_content_type(std::string_view value, std::span<char> space);

// The first word of the value; comments are skipped.
[[nodiscard]] std::string_view parse_token(std::string_view value);

}  // namespace mail
