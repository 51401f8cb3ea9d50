// What is known of a message's content without reading it again.
#pragma once

#include <cstdint>

namespace mail {

// Found once, while the content streams in, and stored with the message.
struct ContentFacts {
    std::uint64_t stored_bytes = 0;  // as stored: wire form, without the final dot line
    std::uint64_t stuffed_dots = 0;  // lines whose first dot was added by the sender's stuffing
    // True when lines that begin with a dot carry one more (it came by DATA). False when it came by
    // BDAT and must be stuffed where it leaves by DATA.
    bool dot_stuffed = false;
    bool has_8bit = false;  // some octet above 127 in the content
    bool has_8bit_header =
        false;  // … in the header section (needs SMTPUTF8 on the way out, RFC 6532)
    bool ends_in_crlf =
        true;  // a BDAT body need not (RFC 3030); DATA adds a CRLF where it is missing

    // The size a receiver sees: without our added headers, with stuffing removed.
    [[nodiscard]] constexpr std::uint64_t content_bytes() const {
        return dot_stuffed ? stored_bytes - stuffed_dots : stored_bytes;
    }
};

}  // namespace mail
