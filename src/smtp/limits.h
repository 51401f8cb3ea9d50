// Limits: every limit and time-out of the SMTP engine in one place, with the RFC's number and our
// default.
//
// Part of the immutable configuration; a session or client borrows it for its life.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "mail/path.h"

namespace smtp {

struct Limits {
    // What RFC 5321 §4.5.3.1 bounds; the least that must be taken.
    mail::PathLimits path;                     // §4.5.3.1.1–3
    std::size_t command_line_bytes_max = 512;  // §4.5.3.1.4, with CRLF
    // SIZE, 8BITMIME and SMTPUTF8 lengthen MAIL by 26, 17 and 10 (RFC 1870 §3, RFC 6152 §2, RFC
    // 6531 §3.1); RET by 9 and ENVID by 107, NOTIFY lengthens RCPT by 29 and ORCPT by 507 (RFC 3461
    // §4).
    std::size_t mail_line_bytes_max = 512 + 26 + 17 + 10 + 9 + 107;
    std::size_t rcpt_line_bytes_max = 512 + 29 + 507;
    // §4.5.3.1.8: at least 100. More get 452 4.5.3 and are to be sent again.
    std::uint32_t recipients_max = 1000;
    // RFC 1870: offered as SIZE; 552 5.3.4 beyond it. 0: no limit.
    std::uint64_t message_bytes_max = 100ULL * 1024 * 1024;
    std::uint32_t hops_max = 50;  // §6.3: so many Received: fields are a loop (554 5.4.6)

    [[nodiscard]] std::size_t line_bytes_max() const {
        return std::max(mail_line_bytes_max, rcpt_line_bytes_max);
    }

    // Our own.
    std::uint32_t errors_max = 20;       // rejected commands; then 421 4.7.0 and close
    std::uint32_t transactions_max = 0;  // per session, then 421; 0: no limit
    // Content read and dropped so that a refused message keeps sync; beyond it the session closes.
    std::uint64_t discard_bytes_max = 1ULL << 30U;

    // §4.5.3.2, server.
    base::Duration command_timeout = std::chrono::minutes(5);  // §4.5.3.2.7: at least 5 minutes
    base::Duration content_timeout = std::chrono::minutes(5);  // between two pieces of content
    base::Duration reply_timeout = std::chrono::minutes(5);    // until the client has read a reply

    // §4.5.3.2, client.
    base::Duration connect_timeout = std::chrono::seconds(30);  // our own: TCP, before the banner
    base::Duration banner_timeout = std::chrono::minutes(5);    // §4.5.3.2.1
    base::Duration helo_timeout = std::chrono::minutes(5);   // EHLO, HELO, STARTTLS, AUTH: as MAIL
    base::Duration mail_timeout = std::chrono::minutes(5);   // §4.5.3.2.2
    base::Duration rcpt_timeout = std::chrono::minutes(5);   // §4.5.3.2.3
    base::Duration data_timeout = std::chrono::minutes(2);   // §4.5.3.2.4: until the 354
    base::Duration block_timeout = std::chrono::minutes(3);  // §4.5.3.2.5: each send of content
    base::Duration final_dot_timeout = std::chrono::minutes(10);  // §4.5.3.2.6
    base::Duration quit_timeout =
        std::chrono::seconds(10);  // our own: the reply to QUIT matters to no one

    // What a hostile server may make us keep or read (our own; RFC 5321 §4.5.3.1.5 has 512 octets a
    // reply line). Compile-time, since buffers have these sizes.
    static constexpr std::size_t reply_line_bytes_max = 2048;
    static constexpr std::size_t reply_text_bytes_max = 2048;
    static constexpr std::uint32_t reply_lines_max = 128;
};

}  // namespace smtp
