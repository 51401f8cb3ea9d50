// Dsn: the message that tells a sender what has become of his mail (RFC 3464, in the form of RFC
// 6522): that it could not be delivered, is delayed, or was handed to a system from which no more
// will be heard.
//
// Built in one go into a string of the caller's; off the message path. Its envelope has the null
// reverse-path and the original's reverse-path as its one recipient (RFC 5321 §6.1).
//
// To an ASCII address it is 7-bit throughout, so that every next hop takes it: addresses that are
// not ASCII stand as utf-8-addr-xtext, text and headers that are not as quoted-printable. To an
// address that is not ASCII, which needs SMTPUTF8 in any case, it has RFC 6533's types and UTF-8
// itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "mail/content.h"
#include "mail/queue_id.h"
#include "mail/status_code.h"

namespace mail {

enum class DsnKind : std::uint8_t { failed, delayed, relayed };

struct DsnRecipient {
    std::string_view path;
    // Why; an expired one has 5.4.7. Where there is none of the right class, X.0.0 is put.
    EnhancedStatus status;
    std::string_view
        reply;  // "550 5.1.1 No such user", as describe() gives it; "" when no server spoke
    // Who said it, as smtp::Target names hosts: "mx.example:192.0.2.1:25", "192.0.2.1:25"; "" when
    // there is none.
    std::string_view remote_host;
    std::string_view explanation;  // a sentence for people where there is no reply; "" otherwise
    bool expired = false;          // the time set for it is over; what is above came last
    std::string_view original_recipient = {};  // ORCPT as it came; "" when there was none
    base::WallTime last_attempt{};             // the epoch: not known
};

struct Dsn {
    DsnKind kind = DsnKind::failed;
    std::string_view hostname;  // ours
    QueueId id;                 // of the DSN itself
    base::WallTime now;
    QueueId original_id;
    base::WallTime original_received;
    // Who is told: the original's reverse-path; or, where that is null, our own postmaster.
    // REQUIRES: not empty
    std::string_view sender;
    bool to_postmaster = false;
    std::string_view envelope_id = {};  // ENVID as it came; "" when there was none
    std::span<const DsnRecipient> recipients;
    base::WallTime retry_until{};  // delayed only
    // The original's header section, from its beginning; what lies behind the empty line, or the
    // first line that is no field, is ignored.
    std::string_view original_header;
    bool original_dot_stuffed = false;  // it is in wire form, as it came by DATA
    // Makes the delimiters something that nobody could know when the original was written.
    std::uint64_t nonce = 0;

    static constexpr std::size_t kHeaderBytesMax =
        16384;  // of original_header; cut at the end of a line
    static constexpr std::size_t kReplyBytesMax = 700;  // of each reply and explanation
};

// Appends the content with the original's header: plain (not dot-stuffed), CRLF line ends. Octets
// of strangers (replies, headers) that are not printable become '?'. What they say is folded for
// people, and stays UTF-8 there; in the part for machines, of which RFC 3464 wants ASCII, the rest
// of it becomes '?', too. Returns its facts.
[[nodiscard]] ContentFacts append_dsn(std::string& out, const Dsn& dsn);

// The same with the whole original, in three parts: append_dsn_begin(), then what the original is
// (plain, with our added headers), then append_dsn_end(). `original` tells whether that is 8-bit.
// REQUIRES: 8-bit in its header only where `sender` is not ASCII.
void append_dsn_begin(std::string& out, const Dsn& dsn, const ContentFacts& original);
void append_dsn_end(std::string& out, const Dsn& dsn);

}  // namespace mail
