// Path: the syntax of reverse-paths, forward-paths and domains (RFC 5321 §4.1.2, §4.1.3; RFC 6531
// §3.3).
//
// Synchronous and without allocation: results are views into the text given. Failures are values
// (bad data).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

namespace mail {

// RFC 5321 §4.5.3.1.1–3, in octets (RFC 6531 §3.3 counts octets of UTF-8 too).
struct PathLimits {
    std::size_t local_part_bytes_max = 64;
    std::size_t domain_bytes_max = 255;
    std::size_t path_bytes_max = 256;  // with the angle brackets, without a source route
};

// A mailbox, without angle brackets and source route. "" is the null reverse-path; a path with a
// local part and no domain is <postmaster> alone (RFC 5321 §4.1.1.3). Views into the parsed text.
struct Path {
    std::string_view text;        // "local@domain" as it came
    std::string_view local_part;  // as it came, quotes and all
    std::string_view domain;      // an address literal keeps its brackets
    bool non_ascii = false;       // needs SMTPUTF8 (RFC 6531); always well-formed UTF-8

    [[nodiscard]] constexpr bool null() const { return text.empty(); }
    [[nodiscard]] constexpr bool literal() const {
        return !domain.empty() && domain.front() == '[';
    }
};

enum class PathError : std::uint8_t {
    syntax,     // not an address
    too_long,   // one of PathLimits
    no_domain,  // a local part alone, and not postmaster
};

// Takes one path off the front of `text` and leaves what follows it (parameters, with their leading
// blank).
//
// Beyond the RFC's grammar this takes what Postfix takes by default (strict_rfc821_envelopes = no):
// a path without angle brackets, which then ends at the first blank outside quotes; blanks before
// the path and just inside its brackets; dots at the ends of a local part or two in a row;
// underscores in domains. A source route is checked and dropped (RFC 5321 §4.1.1.3, appendix C).
// "<>" gives a null path; whether it may stand there is the caller's to say.
[[nodiscard]] std::expected<Path, PathError> take_path(std::string_view& text,
                                                       const PathLimits& limits);

// The whole of `text` as a mailbox ("local@domain", or "postmaster") without brackets and routes;
// for configuration.
[[nodiscard]] std::expected<Path, PathError> parse_mailbox(std::string_view text,
                                                           const PathLimits& limits);

// A domain name: labels of letters, digits, '-', '_' and well-formed non-ASCII UTF-8, '-' not at
// the ends of a label, at most 63 octets a label. No dot at the end.
[[nodiscard]] bool is_domain(std::string_view text);

// "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3). General address literals are not known, so
// not taken.
[[nodiscard]] bool is_address_literal(std::string_view text);

}  // namespace mail
