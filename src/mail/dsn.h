// Dsn: the message that tells a sender what could not be delivered (RFC 3464, in the form of RFC
// 6522).
//
// Built in one go into a string of the caller's; off the message path. Its envelope has the null
// reverse-path and the original's reverse-path as its one recipient (RFC 5321 §6.1); for a null
// reverse-path none is sent.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "mail/content.h"
#include "mail/queue_id.h"
#include "mail/status_code.h"

namespace mail {

struct DsnRecipient {
    std::string_view path;
    // Why it failed; an expired one has 5.4.7. 5.0.0 is put where there is none, or one of another
    // class.
    EnhancedStatus status;
    std::string_view
        reply;  // "550 5.1.1 No such user", as describe() gives it; "" when no server spoke
    // Who said it, as smtp::Target names hosts: "mx.example:192.0.2.1:25", "192.0.2.1:25"; "" when
    // there is none.
    std::string_view remote_host;
    std::string_view explanation;  // a sentence for people where there is no reply; "" otherwise
};

struct Dsn {
    std::string_view hostname;  // ours
    QueueId id;                 // of the DSN itself
    base::WallTime now;
    QueueId original_id;
    base::WallTime original_received;
    std::string_view sender;  // the original's reverse-path. REQUIRES: not empty
    std::span<const DsnRecipient> recipients;
    // The original's header section, from its beginning; what lies behind the empty line, or the
    // first line that is no field, is ignored.
    std::string_view original_header;
    bool original_dot_stuffed = false;  // it is in wire form, as it came by DATA

    static constexpr std::size_t kHeaderBytesMax =
        16384;  // of original_header; cut at the end of a line
    static constexpr std::size_t kReplyBytesMax = 700;  // of each reply and explanation
};

// Appends the content: plain (not dot-stuffed), CRLF line ends, ASCII throughout but for a sender's
// address that is not, which then needs SMTPUTF8. Octets of strangers (replies, the original's
// header) that are not printable ASCII become '?'. Returns its facts.
[[nodiscard]] ContentFacts append_dsn(std::string& out, const Dsn& dsn);

}  // namespace mail
