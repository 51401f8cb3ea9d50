// WireScanner: the one place that knows lines, dots and their dangers. Server, client, POP3 and
// IMAP go through it.
//
// Content comes in pieces of any size and leaves as runs: views into the piece, or into constants
// where something had to be added; so nothing is copied here. What may hang over from one piece to
// the next is a held CR, dot or dot-CR, which is a state and no buffer. Synchronous, no allocation,
// no failures; owned by one session or delivery. Lines above the 998 octets of RFC 5321
// §4.5.3.1.6 pass as they are.
//
// SMTP smuggling. Servers disagree about which of CRLF, LF and CR end a line. Whoever passes on a
// sequence that it reads as text and its peer reads as "end of data" lets a stranger put a second
// message (with any sender) into a trusted connection. There are two directions, and one rule
// closes both: on the wire and in the store a line end is CRLF and nothing else.
//   Inward: end of data is CRLF.CRLF (or .CRLF where content begins) in the octets as they came,
//   and nothing else. A line end that we normalised is a line end of the stored text ("soft"),
//   never part of that sequence: none of LF.LF, LF.CRLF, CR.CRLF, CRLF.LF, CRLF.CR, CR.CR ends the
//   data. Outward: no bare CR or LF leaves, and every line that begins with a dot carries one more,
//   so no receiver, however lax, finds an end inside. This is where normalising is delicate,
//   because it makes lines that the sender did not see as lines: a dot behind a soft line end was
//   not stuffed by the sender. It would be lost at the receiver, or, alone on its line, be the end
//   of data. So it is stuffed here. A dot behind a true CRLF was stuffed by the sender, unless a
//   bare CR or LF follows it at once (CRLF.LF): by the letter it is a stuffed dot before an octet,
//   but the normalised line is "." alone, and that would be an end. It is stuffed once more, so the
//   dot is kept and is text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mail {

class WireScanner {
  public:
    enum class Dots : std::uint8_t {
        until_final,  // stuffed content up to the final dot: DATA, as the server reads it
        keep,    // stuffed content stays so: from the store to DATA. A line of one dot is stuffed
        add,     // plain content is stuffed: from the store to DATA or RETR
        remove,  // stuffed content is unstuffed: from the store to BDAT or IMAP
        ignore,  // plain content stays so: BDAT inwards, or from the store to BDAT
    };
    enum class Nul : std::uint8_t {
        report,   // passed on and counted: for a reader, who then refuses the whole
        replace,  // becomes '?': for a writer. Leaving it out could make a dot the first of its
                  // line
    };

    explicit WireScanner(Dots dots = Dots::ignore, Nul nul = Nul::replace)
        : dots_(dots), nul_(nul) {}

    enum class Event : std::uint8_t { run, more, end };
    // Consumes from the front of `input`: `run` with the next bytes, `more` when `input` is used
    // up, `end` when the final dot was read (Dots::until_final alone); `input` then begins with
    // what follows it. REQUIRES: no call after `end`.
    [[nodiscard]] Event next(std::string_view& input, std::string_view& run);

    // Behind the last piece: true with what was held back. Call until false. REQUIRES: not
    // Dots::until_final.
    [[nodiscard]] bool finish(std::string_view& run);

    // True when what came out is empty or ends in CRLF.
    [[nodiscard]] bool at_line_start() const {
        return state_ == State::line_start || state_ == State::soft_start;
    }
    // Line ends that were bare, and came out as CRLF.
    [[nodiscard]] std::uint64_t bare_line_ends() const { return bare_line_ends_; }
    [[nodiscard]] std::uint64_t nuls() const { return nuls_; }
    // Lines that came out with a stuffed dot (until_final, keep, add).
    [[nodiscard]] std::uint64_t stuffed_dots() const { return stuffed_dots_; }
    [[nodiscard]] bool has_8bit() const { return has_8bit_; }
    // Octets that content sanitised before should not have held: bare line ends, NULs, lines of one
    // unstuffed dot.
    [[nodiscard]] std::uint64_t repairs() const { return bare_line_ends_ + nuls_ + lone_dots_; }

  private:
    enum class State : std::uint8_t {
        line_start,  // content begins, or behind a true CRLF
        soft_start,  // behind a line end that was bare and came out as CRLF
        middle,
        cr,      // CR held: LF makes it CRLF, anything else makes it bare
        dot,     // line_start, and a dot held (until_final, keep)
        dot_cr,  // … and a CR behind it
        ended,
    };

    [[nodiscard]] std::string_view take_in_place(std::string_view& input);
    [[nodiscard]] std::size_t skip_plain_blocks(std::string_view piece, std::size_t at);
    [[nodiscard]] bool take_dot(std::string_view& input, std::size_t& at);
    void take_held(std::string_view& input);
    void end_line(std::string_view text, State next);
    void end_line_bare(std::string_view text);

    std::string_view queued_;  // a constant that goes out before anything else
    std::uint64_t bare_line_ends_ = 0;
    std::uint64_t nuls_ = 0;
    std::uint64_t stuffed_dots_ = 0;
    std::uint64_t lone_dots_ = 0;
    Dots dots_;
    Nul nul_;
    State state_ = State::line_start;
    bool has_8bit_ = false;
};

}  // namespace mail
