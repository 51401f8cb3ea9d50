// HeaderScan: what a relay needs to know of a header section (RFC 5322 §2.2), found while content
// streams by.
//
// Synchronous; owned by one session. Memory: bounded by its own size, whatever comes. No failures:
// what is no header field ends the section.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace mail {

class HeaderScan {
  public:
    void clear();

    // The next bytes of content, in pieces of any size. Lines end in CRLF or LF. The section ends
    // with an empty line, or before the first line that is neither a field nor the continuation of
    // one, but for an mbox line ("From …", see field_name.h) at the very beginning. After the end
    // feeding does nothing.
    void feed(std::string_view piece);

    [[nodiscard]] bool ended() const { return state_ == State::ended; }
    [[nodiscard]] std::uint32_t received_count() const { return received_count_; }  // RFC 5321 §6.3
    [[nodiscard]] bool has_8bit() const {
        return has_8bit_;
    }  // some octet above 127 in a field (RFC 6532)

  private:
    enum class State : std::uint8_t { line_start, empty_line, name, blank, value, ended };

    [[nodiscard]] std::size_t take_name(std::string_view piece);
    [[nodiscard]] std::size_t take_value(std::string_view piece);
    void begin_value();

    State state_ = State::line_start;
    bool first_line_ = true;
    bool in_field_ = false;  // a continuation line may follow
    bool has_8bit_ = false;
    std::uint8_t name_size_ = 0;  // of the name's beginning that is kept
    std::uint32_t received_count_ = 0;
    std::array<char, 16> name_{};  // long enough for the names looked for and one more
};

}  // namespace mail
