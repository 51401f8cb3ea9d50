// ReplyParser: a server's replies (RFC 5321 §4.2) out of bytes that come in pieces of any size.
//
// Synchronous; owned by one client connection. Memory: one line of Limits::reply_line_bytes_max and
// one text of reply_text_bytes_max, both allotted once. A server that leaves the protocol breaks
// the parser for good (bad data); the connection is then to be closed, and nothing that it said
// counts.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "mail/status_code.h"
#include "smtp/extensions.h"
#include "smtp/limits.h"

namespace smtp {

class ReplyParser {
  public:
    ReplyParser();

    enum class Event : std::uint8_t {
        reply,   // reply() is complete; `input` begins with what follows it
        more,    // `input` is used up
        broken,  // not SMTP; broken_reason() says why
    };
    // Consumes from the front of `input`, at most to the end of one reply.
    //
    // Taken beyond the RFC: LF for CRLF, a code without text ("250"). Broken: a line without code,
    // a code outside 200–599, a code that changes within a reply (§4.2.1), more than
    // reply_lines_max lines, a line above reply_line_bytes_max.
    [[nodiscard]] Event next(std::string_view& input);

    // The last reply; holds until the next call of next(). Its text is bounded and printable
    // (mail::append_printable), lines joined with '\n'. The enhanced status is split off where its
    // class fits the code (RFC 2034 §4).
    [[nodiscard]] const mail::Reply& reply() const { return reply_; }

    // The keywords in the last reply, should it be one to EHLO: found in every 250 reply, whatever
    // its size.
    [[nodiscard]] const ServerExtensions& extensions() const { return extensions_; }

    [[nodiscard]] std::string_view broken_reason() const { return broken_; }

  private:
    [[nodiscard]] Event take_line(std::string_view line);
    [[nodiscard]] Event give_up(std::string_view why);
    void take_text(std::string_view text);

    mail::Reply reply_;
    ServerExtensions extensions_;
    std::string_view broken_;
    std::uint32_t lines_ = 0;      // of the reply under way
    std::uint32_t line_size_ = 0;  // held of the line under way
    std::array<char, Limits::reply_line_bytes_max> line_;
};

}  // namespace smtp
