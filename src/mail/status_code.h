// Reply codes (RFC 5321 §4.2) and enhanced mail system status codes (RFC 3463).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace mail {

// class.subject.detail; class is 2, 4 or 5, and 0.0.0 means that there is none.
struct EnhancedStatus {
    std::uint8_t klass = 0;
    std::uint16_t subject = 0;
    std::uint16_t detail = 0;

    [[nodiscard]] constexpr bool present() const { return klass != 0; }
    friend constexpr bool operator==(const EnhancedStatus&, const EnhancedStatus&) = default;
};

// A reply as it is sent, or as it was received and bounded. `text` is one line, or several joined
// with '\n', without codes.
struct Reply {
    std::uint16_t code = 0;
    EnhancedStatus status;
    std::string text;

    [[nodiscard]] constexpr bool permanent() const { return code >= 500 && code < 600; }
};

// A reply of one line whose words are known beforehand (string literals), so that making it
// allocates nothing.
struct FixedReply {
    std::uint16_t code = 0;
    EnhancedStatus status;
    std::string_view text;

    friend constexpr bool operator==(const FixedReply&, const FixedReply&) = default;
};

// Takes an enhanced status (RFC 3463 §2: one digit, then two numbers of up to three digits) off the
// front of `text`, with the blanks behind it. {} and `text` unchanged when there is none, or when
// it does not end in a blank or the end.
[[nodiscard]] EnhancedStatus take_enhanced_status(std::string_view& text);

// "5.1.1"; nothing for 0.0.0.
void append_status(std::string& out, EnhancedStatus status);

// What goes on the wire: "250 2.0.0 text\r\n", and "250-2.0.0 line\r\n" for each line of `text` but
// the last (RFC 5321 §4.2.1, RFC 2034 §3). REQUIRES: no CR in `text`.
void append_reply(std::string& out, std::uint16_t code, EnhancedStatus status,
                  std::string_view text);

// What goes into logs and listings: "550 5.1.1 first line / second line".
[[nodiscard]] std::string describe(const Reply& reply);

}  // namespace mail
