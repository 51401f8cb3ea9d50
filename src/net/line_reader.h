// LineReader: lines out of a Stream. A line is a view into the receive buffer; only one that
// straddles two buffers is copied.
//
// Owned by one session or connection beside its Stream; synchronous: it takes what has arrived, and
// who uses it waits with Stream::receive(). Memory: one line of the longest length allowed, given
// back by shrink(). Bad data: a line that is too long is skipped to its end, so that sync is kept;
// its beginning is given, since some first words forbid to go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/stream.h"

namespace net {

class LineReader {
  public:
    // Of a line that is too long.
    static constexpr std::size_t kHeadBytes = 32;

    explicit LineReader(Stream& stream) : stream_(stream) {}

    enum class Event : std::uint8_t {
        line,      // `line` is the next one, without its line end
        too_long,  // one was skipped: more than `bytes_max` with its line end; `line` is its
                   // beginning, at most kHeadBytes
        more,      // no whole line has arrived: receive, then call again
    };
    // A line ends with LF; one CR before it belongs to the end. `line` holds until the next call
    // here or on the stream, and not across a wait. What follows the line stays in Stream::input().
    [[nodiscard]] Event next(std::string_view& line, std::size_t bytes_max);

    // Forgets a line begun (for a new connection).
    void clear();
    // Gives memory back; for an idle connection. A line begun is kept.
    void shrink();

  private:
    Stream& stream_;
    std::string straddle_;   // the beginning of a line whose end came in another buffer, or that
                             // is too long
    bool given_ = false;     // straddle_ was given out as a line
    bool skipping_ = false;  // inside a line that is too long
};

}  // namespace net
