// What a session is given: its listener's configuration, and the services of its shard.
#pragma once

#include <cstdint>
#include <string>

#include "mail/log_event.h"
#include "mail/message_sink.h"
#include "net/network.h"
#include "net/shard_net.h"
#include "policy/access.h"
#include "smtp/limits.h"

namespace smtp {

// What becomes of a CR or LF outside CRLF in content (SMTP smuggling: mail/wire_scanner.h).
enum class LineEndingPolicy : std::uint8_t {
    by_network,  // normalised from relay networks, refused from anyone else
    refuse,
    normalise,
};

// One listener's. Immutable, and outlives every session that uses it.
struct SessionConfig {
    std::string hostname;               // in the greeting, replies and trace headers
    std::string greeting = "ringpost";  // behind "220 hostname ESMTP "
    net::NetworkSet relay_networks;     // clients that may send anywhere
    LineEndingPolicy line_endings = LineEndingPolicy::by_network;
    Limits limits;

    // Extensions offered in the reply to EHLO.
    bool offers_pipelining = true;       // RFC 2920; pipelined commands are always understood
    bool offers_size = true;             // RFC 1870
    bool offers_8bitmime = true;         // RFC 6152
    bool offers_smtputf8 = true;         // RFC 6531
    bool offers_chunking = true;         // RFC 3030
    bool offers_dsn = true;              // RFC 3461
    bool offers_enhanced_status = true;  // RFC 2034; without it replies carry no enhanced codes
};

// One shard's; all outlive its sessions.
struct SessionServices {
    net::ShardNet& net;
    mail::MessageSink& sink;
    mail::EventLog& log;
    const policy::Access& access;
};

}  // namespace smtp
