// The trace header that a relay puts on top of what it takes (RFC 5321 §4.4).
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "mail/message_sink.h"
#include "mail/queue_id.h"

namespace mail {

struct Trace {
    Origin origin;
    std::string_view hostname;  // ours
    QueueId id;
    std::string_view recipient;  // the forward-path when there is exactly one, else "": more would
                                 // tell of Bcc (§7.2)
    base::WallTime received;
};

// Appends
//
//     Received: from HELO ([192.0.2.1])
//     <tab>by HOST (ringpost) with ESMTP id 0123456789ABC
//     <tab>for <user@example.org>; Sun, 22 Nov 2026 09:05:07 +0000
//
// with CRLF line ends, ASCII only, and no line above 998 octets. What the client said in HELO is a
// stranger's text: octets that are not part of a domain or address literal become '?', and it is
// cut at 255. "for" is left out where the recipient is not ASCII, so that a trace header never
// makes a message need SMTPUTF8.
void append_received(std::string& out, const Trace& trace);

// "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3), from an address without brackets.
void append_address_literal(std::string& out, std::string_view address);

}  // namespace mail
