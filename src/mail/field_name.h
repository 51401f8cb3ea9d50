// The beginnings of header lines (RFC 5322 §2.2), for whoever reads a header section by lines.
#pragma once

#include <string_view>

namespace mail {

// The name of the field that begins with `line`, "" when none does. Blanks before the colon are the
// obsolete syntax (RFC 5322 §4.5.8).
[[nodiscard]] std::string_view field_name(std::string_view line);

// "From sender date", perhaps behind a '>': the line between two messages of an mbox file (RFC 4155
// appendix A). Software that hands on such a file leaves it at the top of a message; the header
// begins behind it.
[[nodiscard]] bool is_mbox_line(std::string_view line);

}  // namespace mail
