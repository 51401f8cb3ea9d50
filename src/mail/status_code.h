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

    [[nodiscard]] constexpr bool positive() const { return code >= 200 && code < 400; }
    [[nodiscard]] constexpr bool transient() const { return code >= 400 && code < 500; }
    [[nodiscard]] constexpr bool permanent() const { return code >= 500 && code < 600; }
};

}  // namespace mail
