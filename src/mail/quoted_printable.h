// QuotedPrintable: the encoder of RFC 2045 §6.7 for text lines that come in pieces.
//
// Synchronous; owned by one conversion; its memory is two numbers. No failures.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mail {

// No line of the output begins with '-', wherever it was broken: so none is ever taken for the
// delimiter of a multipart, whatever its boundary is ("=3D" may be part of one, RFC 2046 §5.1.1).
class QuotedPrintable {
  public:
    // Appends `part` of a line, encoded, to `out`; lines of the output stay within 76 octets by
    // soft line breaks. CR and LF in `part` are encoded as octets. At most 4 × part.size() + 4
    // octets are appended.
    void append(std::string& out, std::string_view part);
    // Ends the line with a hard line break (CRLF).
    void end_line(std::string& out);
    // Ends the text without one: the last line had none.
    void end_text(std::string& out);

  private:
    void put(std::string& out, std::string_view token);
    void put_encoded(std::string& out, char c);
    void settle_blank(std::string& out, bool at_line_end);

    std::size_t column_ = 0;
    char blank_ = '\0';  // a space or tab that is held: at the end of a line it has to be encoded
};

}  // namespace mail
