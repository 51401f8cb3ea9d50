#include "mail/wire_scanner.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "mail/plain_blocks.h"

namespace mail {
namespace {

constexpr std::string_view kCrlf = "\r\n";
constexpr std::string_view kDot = ".";
constexpr std::string_view kTwoDots = "..";
constexpr std::string_view kDotLine = "..\r\n";  // a line of one dot, stuffed
constexpr std::string_view kReplacement = "?";

constexpr std::uint64_t kOnes = 0x0101010101010101U;
constexpr std::uint64_t kHighBits = 0x8080808080808080U;

// The highest bit of each octet that is zero; exact up to the lowest one found, which is all we
// ask.
constexpr std::uint64_t zero_octets(std::uint64_t word) {
    return (word - kOnes) & ~word & kHighBits;
}

// The place of the first NUL, CR or LF, or text.size(). Sets `has_8bit` if an octet above 127 lies
// before it.
std::size_t find_special(std::string_view text, bool& has_8bit) {
    const std::byte* data = base::as_bytes(text).data();
    std::uint64_t high = 0;
    std::size_t at = 0;
    for (; text.size() - at >= sizeof(std::uint64_t); at += sizeof(std::uint64_t)) {
        const auto word = base::load_le<std::uint64_t>(data + at);
        const std::uint64_t found = zero_octets(word) | zero_octets(word ^ (kOnes * '\r')) |
                                    zero_octets(word ^ (kOnes * '\n'));
        if (found != 0) {
            const std::uint64_t before = (found & (~found + 1)) - 1;
            has_8bit = has_8bit || ((high | (word & before)) & kHighBits) != 0;
            return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
        }
        high |= word;
    }
    has_8bit = has_8bit || (high & kHighBits) != 0;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '\0' || c == '\r' || c == '\n') {
            break;
        }
        has_8bit = has_8bit || static_cast<unsigned char>(c) > 127;
    }
    return at;
}

}  // namespace

WireScanner::Event WireScanner::next(std::string_view& input, std::string_view& run) {
    RP_ASSERT(state_ != State::ended);
    for (;;) {
        if (!queued_.empty()) {
            run = std::exchange(queued_, {});
            return Event::run;
        }
        if (input.empty()) {
            return Event::more;
        }
        if (state_ == State::cr || state_ == State::dot || state_ == State::dot_cr) {
            take_held(input);
            if (state_ == State::ended) {
                return Event::end;
            }
            continue;
        }
        run = take_in_place(input);
        if (!run.empty()) {
            return Event::run;
        }
    }
}

bool WireScanner::finish(std::string_view& run) {
    RP_ASSERT(dots_ != Dots::until_final);
    if (state_ == State::cr) {
        end_line_bare(kCrlf);
    } else if (state_ == State::dot) {
        // Whoever adds the missing CRLF would make it the final dot.
        state_ = State::middle;
        ++stuffed_dots_;
        ++lone_dots_;
        queued_ = kTwoDots;
    } else if (state_ == State::dot_cr) {
        ++stuffed_dots_;
        end_line_bare(kDotLine);
    }
    run = std::exchange(queued_, {});
    return !run.empty();
}

// The longest run that stays where it is, taken off `input` together with what is replaced or held
// behind it.
std::string_view WireScanner::take_in_place(std::string_view& input) {
    const std::string_view piece = input;
    std::size_t at = 0;
    while (at < piece.size()) {
        if (piece.size() - at >= PlainBlocks::kBytes && state_ != State::soft_start) {
            at = skip_plain_blocks(piece, at);
            if (at == piece.size()) {
                break;
            }
        }
        if (piece[at] == '.' && at_line_start() && dots_ != Dots::ignore) {
            if (!take_dot(input, at)) {
                return piece.substr(0, at);
            }
            continue;
        }
        const std::size_t special = at + find_special(piece.substr(at), has_8bit_);
        if (special != at) {
            state_ = State::middle;
        }
        if (special == piece.size()) {
            input = {};
            return piece;
        }
        const bool last = special + 1 == piece.size();
        if (piece[special] == '\r' && !last && piece[special + 1] == '\n') {
            at = special + 2;
            end_line({}, State::line_start);
            continue;
        }
        if (piece[special] == '\0' && nul_ == Nul::report) {
            at = special + 1;
            ++nuls_;
            state_ = State::middle;
            continue;
        }
        input = piece.substr(special + 1);
        if (piece[special] == '\0') {
            ++nuls_;
            state_ = State::middle;
            queued_ = kReplacement;
        } else if (piece[special] == '\r' && last) {
            state_ = State::cr;
        } else {
            end_line_bare(kCrlf);
        }
        return piece.substr(0, special);
    }
    input = {};
    return piece;
}

// Most content is lines in which nothing is to be decided. Gives the place of the first octet that
// whole blocks of such do not speak for.
std::size_t WireScanner::skip_plain_blocks(std::string_view piece, std::size_t at) {
    PlainBlocks walk{.dots_count = dots_ != Dots::ignore,
                     .line_before = state_ == State::line_start ? 1U : 0U};
    const std::size_t blocks =
        count_plain_blocks(piece.data() + at, (piece.size() - at) / PlainBlocks::kBytes, walk);
    if (blocks == 0) {
        return at;
    }
    has_8bit_ = has_8bit_ || walk.has_8bit;
    at += blocks * PlainBlocks::kBytes;
    if (walk.cr_before != 0) {
        --at;  // what it is, the next octet says
        walk.line_before = walk.last_lf >> (PlainBlocks::kBytes - 2) & 1U;
    }
    state_ = walk.line_before != 0 ? State::line_start : State::middle;
    return at;
}

// A dot that begins a line, at input[at]. True when the run goes on in place from the new `at`;
// false when it ends before the dot: `input` then begins with what is to be looked at next.
bool WireScanner::take_dot(std::string_view& input, std::size_t& at) {
    const bool soft = state_ == State::soft_start;
    if (dots_ == Dots::add || (soft && dots_ != Dots::remove)) {
        ++stuffed_dots_;
        queued_ = kDot;
        state_ = State::middle;  // so that the dot itself, still in `input`, passes
        input = input.substr(at);
        return false;
    }
    if (dots_ == Dots::remove) {
        state_ = State::middle;
        if (soft) {
            ++at;
            return true;
        }
        input = input.substr(at + 1);
        return false;
    }
    if (at + 1 == input.size() || input[at + 1] == '\r' || input[at + 1] == '\n') {
        state_ = State::dot;
        input = input.substr(at + 1);
        return false;
    }
    ++stuffed_dots_;
    state_ = State::middle;
    ++at;
    return true;
}

// Decides what the held octets are by the next one. REQUIRES: state cr, dot or dot_cr; input is not
// empty.
void WireScanner::take_held(std::string_view& input) {
    const char c = input.front();
    if (state_ == State::cr) {
        if (c == '\n') {
            input.remove_prefix(1);
            end_line(kCrlf, State::line_start);
        } else {
            end_line_bare(kCrlf);
        }
    } else if (state_ == State::dot) {
        if (c == '\r') {
            input.remove_prefix(1);
            state_ = State::dot_cr;
            return;
        }
        ++stuffed_dots_;
        if (c == '\n') {
            input.remove_prefix(1);
            end_line_bare(kDotLine);
        } else {
            state_ = State::middle;
            queued_ = kDot;
        }
    } else if (c != '\n') {
        ++stuffed_dots_;
        end_line_bare(kDotLine);
    } else {
        input.remove_prefix(1);
        if (dots_ == Dots::until_final) {
            state_ = State::ended;
        } else {
            ++stuffed_dots_;
            ++lone_dots_;
            end_line(kDotLine, State::line_start);
        }
    }
}

void WireScanner::end_line(std::string_view text, State next) {
    queued_ = text;
    state_ = next;
}

void WireScanner::end_line_bare(std::string_view text) {
    ++bare_line_ends_;
    end_line(text, State::soft_start);
}

}  // namespace mail
