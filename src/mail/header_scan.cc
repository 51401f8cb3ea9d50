#include "mail/header_scan.h"

#include <algorithm>

#include "base/bytes.h"

namespace mail {
namespace {

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}
constexpr bool is_8bit(char c) {
    return static_cast<unsigned char>(c) > 127;
}
// RFC 5322 §3.6.8: printable ASCII without the colon.
constexpr bool is_name_character(char c) {
    return c > 32 && c < 127 && c != ':';
}

}  // namespace

void HeaderScan::clear() {
    *this = HeaderScan();
}

void HeaderScan::feed(std::string_view piece) {
    while (!piece.empty() && state_ != State::ended) {
        const char c = piece.front();
        switch (state_) {
            case State::line_start:
                if (c == '\r') {
                    state_ = State::empty_line;
                    piece.remove_prefix(1);
                } else if (is_blank(c) && in_field_) {
                    state_ = State::value;
                } else {
                    in_field_ = false;
                    name_size_ = 0;
                    state_ = State::name;
                }
                break;
            case State::empty_line:  // behind a CR that began the line; content has none but in
                                     // CRLF
                state_ = State::ended;
                break;
            case State::name:
            case State::blank:
                piece.remove_prefix(take_name(piece));
                break;
            case State::value:
                piece.remove_prefix(take_value(piece));
                break;
            case State::ended:
                break;
        }
    }
}

// The name up to its colon; blanks before the colon are the obsolete syntax (RFC 5322 §4.5.8).
std::size_t HeaderScan::take_name(std::string_view piece) {
    std::size_t at = 0;
    for (; at < piece.size(); ++at) {
        const char c = piece[at];
        if (c == ':' && name_size_ > 0) {
            begin_value();
            return at + 1;
        }
        if (is_blank(c) && name_size_ > 0) {
            state_ = State::blank;
        } else if (is_name_character(c) && state_ == State::name) {
            if (name_size_ < name_.size()) {
                name_[name_size_++] = base::lower(c);
            }
        } else {
            const std::string_view name(name_.data(), name_size_);
            const bool mbox =
                first_line_ && state_ == State::blank && (name == "from" || name == ">from");
            state_ = mbox ? State::value : State::ended;
            break;
        }
    }
    return at;
}

void HeaderScan::begin_value() {
    const std::string_view name(name_.data(), name_size_);
    if (name == "received") {
        ++received_count_;
    }
    in_field_ = true;
    state_ = State::value;
}

std::size_t HeaderScan::take_value(std::string_view piece) {
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    has_8bit_ = has_8bit_ || std::ranges::any_of(part, is_8bit);
    if (end == std::string_view::npos) {
        return piece.size();
    }
    state_ = State::line_start;
    first_line_ = false;
    return end + 1;
}

}  // namespace mail
