// Text that came from strangers: is it UTF-8, and what of it may be shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mail {

// The size (1 to 4) of the well-formed UTF-8 sequence at the front of `text`, 0 when there is none
// (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
[[nodiscard]] std::size_t utf8_sequence(std::string_view text);
[[nodiscard]] bool is_ascii(std::string_view text);

// Appends `text` fit for a log, a terminal or a reply: each control character (C0, DEL, C1) and
// each octet that is not well-formed UTF-8 becomes '?', a tab a blank. At most `bytes_max` octets
// are appended; a character is never cut.
void append_printable(std::string& out, std::string_view text, std::size_t bytes_max);

// The same for places where only ASCII may stand (headers, DSN): every other octet becomes '?'.
void append_printable_ascii(std::string& out, std::string_view text, std::size_t bytes_max);

}  // namespace mail
