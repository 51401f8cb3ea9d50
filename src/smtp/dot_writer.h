// DotWriter: stored content on its way to a server, by DATA (RFC 5321 §4.5.2) or BDAT (RFC 3030).
//
// Stored spans go in, spans for the wire come out in place: views into the stored span, or into
// constants. Content was checked when it came in; here it is checked again, so that not even our
// own fault lets a bare CR or LF, a NUL or an early CRLF.CRLF onto the wire. Synchronous; owned by
// one delivery. No allocation, no failures.
#pragma once

#include <cstdint>
#include <string_view>

#include "mail/content.h"
#include "mail/wire_scanner.h"

namespace smtp {

class DotWriter {
  public:
    // The header lines that we add (MessageSource::added_headers) are whole lines and go out
    // before, as they are.
    void start_data(const mail::ContentFacts& facts);
    // For BDAT. Since a chunk's size is said before it, gather what comes out of one stored span,
    // and send it as a chunk; what finish() gives belongs to the last one. A span may give nothing.
    void start_chunks(const mail::ContentFacts& facts);

    // Consumes from the front of `input`: true with a run for the wire; false when `input` is used
    // up.
    [[nodiscard]] bool next(std::string_view& input, std::string_view& run);
    // Behind the last span: true with a run for the wire (for DATA the missing CRLF, if any, and
    // the final dot). Call until false.
    [[nodiscard]] bool finish(std::string_view& run);

    // Octets that had to be put right; each one is a fault of ours and worth a warning in the log.
    [[nodiscard]] std::uint64_t repairs() const { return scanner_.repairs(); }

  private:
    mail::WireScanner scanner_;
    bool data_ = false;
    bool closed_ = false;  // the final dot was given
};

}  // namespace smtp
