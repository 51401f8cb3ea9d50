// DotReader: content as it comes from a client, by DATA (RFC 5321 §4.5.2) or BDAT (RFC 3030),
// checked in passing.
//
// Bytes go in as they arrive, in pieces of any size; runs to keep come out as views into the piece
// (or into constants), so that content is copied once only, by who keeps it. Synchronous; owned by
// one session, reused for each transaction. Memory: its own few hundred bytes. Failures are
// verdicts (bad data); reading goes on to the end, so that sync is kept.
#pragma once

#include <cstdint>
#include <string_view>

#include "mail/content.h"
#include "mail/header_scan.h"
#include "mail/status_code.h"
#include "mail/wire_scanner.h"

namespace smtp {

// What to do with a CR or LF outside CRLF. Neither policy ever passes one on (see
// mail/wire_scanner.h for why).
enum class LineEndings : std::uint8_t {
    refuse,     // from strangers: 550 5.5.2 at the end, then close
    normalise,  // from our own networks: each becomes CRLF
};

// Why content cannot be taken. Where there are several reasons the first in this list stands, so
// that the answer does not depend on how the bytes were cut.
enum class ContentVerdict : std::uint8_t {
    good,
    bare_line_end,  // 550 5.5.2; the session closes behind it
    nul,            // 550 5.6.0
    loop,           // 554 5.4.6
    too_big,        // 552 5.3.4
};
// REQUIRES: not good.
[[nodiscard]] mail::FixedReply reply_for(ContentVerdict verdict);

class DotReader {
  public:
    struct Options {
        LineEndings line_endings = LineEndings::refuse;
        std::uint64_t message_bytes_max =
            0;  // as RFC 1870 counts: CRLFs yes, stuffing and final dot no; 0: no limit
        std::uint32_t hops_max = 100;
    };

    // Content by DATA: runs are dot-stuffed wire form, next() finds the end.
    void start_data(const Options& options);
    // Content by BDAT: the bytes of all chunks of one message go through next(), `finish()` follows
    // the last.
    void start_chunks(const Options& options);

    enum class Event : std::uint8_t {
        run,   // `run` is to be kept behind what there is; call again
        more,  // `input` is used up
        end,   // DATA only: the final dot was read; `input` begins with what follows it
    };
    // Consumes from the front of `input`. After a verdict other than good no more runs come, but
    // the end still does. `run` holds as long as the piece does.
    [[nodiscard]] Event next(std::string_view& input, std::string_view& run);

    // BDAT only, behind the last octet of the last chunk: true with a last run to keep (a CR that
    // was still open). Call until false.
    [[nodiscard]] bool finish(std::string_view& run);

    [[nodiscard]] ContentVerdict verdict() const { return verdict_; }
    // Complete after `end` or `finish`; meaningless where the verdict is not good.
    [[nodiscard]] const mail::ContentFacts& facts() const { return facts_; }
    // For the log: line ends that were no CRLF.
    [[nodiscard]] std::uint64_t bare_line_ends() const { return scanner_.bare_line_ends(); }

  private:
    void start(mail::WireScanner::Dots dots, const Options& options);
    [[nodiscard]] bool keep(std::string_view run);
    void judge();

    mail::WireScanner scanner_;
    mail::HeaderScan headers_;
    mail::ContentFacts facts_;
    Options options_;
    ContentVerdict verdict_ = ContentVerdict::good;
};

}  // namespace smtp
