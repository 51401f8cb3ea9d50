// What a server offered in its reply to EHLO (RFC 5321 §4.1.1.1; IANA's SMTP service extensions).
#pragma once

#include <cstdint>
#include <string_view>

namespace smtp {

struct ServerExtensions {
    bool pipelining = false;       // RFC 2920
    bool size = false;             // RFC 1870
    bool eightbitmime = false;     // RFC 6152
    bool smtputf8 = false;         // RFC 6531
    bool chunking = false;         // RFC 3030
    bool enhanced_status = false;  // RFC 2034
    bool dsn = false;              // RFC 3461
    bool starttls = false;         // RFC 3207
    bool auth_plain = false;       // RFC 4954, RFC 4616
    bool auth_login = false;
    std::uint64_t size_bytes_max = 0;  // 0: none said

    // One line of the reply behind its first, without code. Keywords compare without case; unknown
    // ones pass. The old form "AUTH=PLAIN …" is understood.
    void add(std::string_view line);

    friend constexpr bool operator==(const ServerExtensions&, const ServerExtensions&) = default;
};

}  // namespace smtp
