// Text of strangers (addresses, replies, names), made safe for a log line, a terminal, or JSON.
#pragma once

#include <string>
#include <string_view>

namespace app {

enum class CleanStyle : std::uint8_t {
    token,    // a field of its own: blanks are escaped too
    bracket,  // between < and >: blanks, <, > are escaped too
    quote,    // between double quotes: those are escaped by a backslash
    plain,    // on its own: blanks and everything printable stay
};

// Appends `text` with control characters (C0, DEL, C1), line and paragraph separators,
// bidirectional controls, characters that are not seen and bytes that are not UTF-8 written as
// \xNN, one for each byte, and with a backslash doubled; other UTF-8 stays. Line breaks become a
// blank in the styles that take blanks.
void append_clean(std::string& out, std::string_view text, CleanStyle style);

// At most `bytes_max` bytes of `text`, never ending inside a UTF-8 sequence.
[[nodiscard]] std::string_view cut_text(std::string_view text, std::size_t bytes_max);

}  // namespace app
