// One command line in, one Command of views out (RFC 5321 §4.1.1).
//
// Synchronous, without state and allocation. What does not parse is answered with the exact reply
// (bad data, never more).
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "mail/dsn_parameters.h"
#include "mail/path.h"
#include "mail/status_code.h"
#include "smtp/limits.h"

namespace smtp {

enum class Verb : std::uint8_t {
    helo,
    ehlo,
    mail,
    rcpt,
    data,
    bdat,
    rset,
    noop,
    vrfy,
    expn,
    help,
    quit,
    starttls,
    auth,
    // Whoever speaks does not read our replies, and what follows may be a stranger's text that a
    // browser, a proxy or a script sends for him: close the connection, run no line of it.
    http,     // GET, POST, CONNECT, …
    header,   // "Host:", "User-Agent:", "Subject:": a field of HTTP or of mail
    unknown,  // answer kUnknownCommand
};

// Views into the line; they hold as long as it does.
struct Command {
    Verb verb = Verb::unknown;
    // What follows the verb, without blanks at the ends: HELO's and EHLO's domain (as given; not
    // checked beyond being printable), the string of VRFY, EXPN, HELP, NOOP, mechanism and initial
    // response of AUTH.
    std::string_view argument;
    mail::Path path;  // MAIL and RCPT; never null for RCPT

    // MAIL's parameters.
    bool has_size = false;
    std::uint64_t size_bytes =
        0;  // RFC 1870 §4; what does not fit in 64 bits becomes the highest number
    bool body_8bitmime = false;  // RFC 6152 §2: BODY=8BITMIME
    bool smtputf8 = false;       // RFC 6531 §3.4

    // RFC 3461 §4: of MAIL, then of RCPT. Still encoded; "" and none where not given.
    mail::ReturnContent ret = mail::ReturnContent::unspecified;
    std::string_view envelope_id;
    mail::Notify notify;
    std::string_view original_recipient;
    [[nodiscard]] bool has_dsn() const {
        return ret != mail::ReturnContent::unspecified || !envelope_id.empty() || notify.given() ||
               !original_recipient.empty();
    }

    // BDAT (RFC 3030 §2).
    std::uint64_t chunk_bytes = 0;
    bool chunk_last = false;
};

struct CommandError {
    Verb verb = Verb::unknown;
    mail::FixedReply reply;
    // A BDAT whose size cannot be known: what follows cannot be told from commands, so the
    // connection is to be closed behind the reply (RFC 3030 §2).
    bool loses_sync = false;
};

// Parses `line` (without its line end). MAIL and RCPT paths are taken as mail::take_path() says.
// Parameters of extensions that we do not offer are 555 5.5.4 (RFC 5321 §4.1.1.11). A MAIL path
// with non-ASCII octets and no SMTPUTF8 is 553 5.6.7 here; for RCPT the caller looks at
// `path.non_ascii`, at `original_recipient` and its transaction, and answers kNeedsSmtpUtf8. Length
// limits count the two octets of the line end; the caller bounds the line at
// Limits::line_bytes_max() before it calls (kLineTooLong).
[[nodiscard]] std::expected<Command, CommandError> parse_command(std::string_view line,
                                                                 const Limits& limits);

// What to say to a line of which only `head`, its beginning, was kept (net::LineReader): `http` and
// `header` are known by their first word, anything else is kLineTooLong; a BDAT whose size is in
// there all the same loses sync, since the size may go on behind what was kept.
[[nodiscard]] std::expected<Command, CommandError> parse_long_line(std::string_view head);

// What a line gives MAIL or RCPT for a path, whether it is one or not: without its brackets, a view
// into the line. For the log, which is to name what was refused; "" when there is nothing.
[[nodiscard]] std::string_view given_path(std::string_view line);

inline constexpr mail::FixedReply kUnknownCommand{500, {5, 5, 1}, "Command not recognised"};
inline constexpr mail::FixedReply kLineTooLong{500, {5, 5, 2}, "Line too long"};
inline constexpr mail::FixedReply kNeedsSmtpUtf8{
    553, {5, 6, 7}, "Address with non-ASCII characters needs SMTPUTF8"};

}  // namespace smtp
