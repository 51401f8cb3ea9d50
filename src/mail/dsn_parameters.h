// The parameters of delivery status notifications (RFC 3461 §4, RFC 6533 §3): RET and ENVID of
// MAIL, NOTIFY and ORCPT of RCPT.
//
// Synchronous and without state. Bad data is a value; nothing reads outside the text it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mail {

// RET: what of the message comes back with word of a failure. As it is on disk; do not renumber.
enum class ReturnContent : std::uint8_t { unspecified = 0, full = 1, headers = 2 };

// NOTIFY of one recipient, a set. The bits are as on disk.
struct Notify {
    static constexpr std::uint8_t kNever = 1U << 0U;
    static constexpr std::uint8_t kSuccess = 1U << 1U;
    static constexpr std::uint8_t kFailure = 1U << 2U;
    static constexpr std::uint8_t kDelay = 1U << 3U;
    static constexpr std::uint8_t kAll = kNever | kSuccess | kFailure | kDelay;

    std::uint8_t bits = 0;  // none: the sender did not say

    [[nodiscard]] constexpr bool given() const { return bits != 0; }
    // What the sender is to be told. Who does not say hears of failures and delays (RFC 3461 §4.1).
    [[nodiscard]] constexpr bool success() const { return (bits & kSuccess) != 0; }
    [[nodiscard]] constexpr bool failure() const { return !given() || (bits & kFailure) != 0; }
    [[nodiscard]] constexpr bool delay() const { return !given() || (bits & kDelay) != 0; }
    friend constexpr bool operator==(const Notify&, const Notify&) = default;
};

// RFC 3461 §4.2, §4.4: what a value may have in octets.
inline constexpr std::size_t kEnvelopeIdBytesMax = 100;
inline constexpr std::size_t kOriginalRecipientBytesMax = 500;

// "FULL", "HDRS"; unspecified for anything else.
[[nodiscard]] ReturnContent parse_return(std::string_view value);
// "NEVER", or SUCCESS, FAILURE and DELAY with commas between; nothing for anything else.
[[nodiscard]] std::optional<Notify> parse_notify(std::string_view value);
// "SUCCESS,FAILURE". REQUIRES: given.
void append_notify(std::string& out, Notify notify);

// Text in the encoding of RFC 3461 §4 (xtext) that stands for printable ASCII; ENVID is that, and
// no longer than it may be.
[[nodiscard]] bool is_envelope_id(std::string_view value);
// "rfc822;user+2Btag@example.org", "utf-8;jos\x{E9}@example.org" (utf-8-addr-xtext), or with the
// octets of UTF-8 themselves (utf-8-addr-unitext), which needs SMTPUTF8.
[[nodiscard]] bool is_original_recipient(std::string_view value);

// Decodes xtext; what is none stays as it is, what is not printable ASCII becomes '?'.
void append_xtext_decoded(std::string& out, std::string_view xtext);
// Appends `text` with what is not ASCII as "\x{E9}", which needs no SMTPUTF8 (RFC 6533 §3). With
// `plain`, `text` is an address as it is, so that what would be taken for an encoding is encoded
// too.
void append_utf8_xtext(std::string& out, std::string_view text, bool plain);
// The other way round: "\x{E9}" becomes the octets of UTF-8.
void append_utf8_decoded(std::string& out, std::string_view text);

}  // namespace mail
