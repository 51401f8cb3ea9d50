// AttemptHistory: the attempts at one recipient before the one that an outcome record tells of. An
// outcome supersedes the one before, whose segment may be freed; so each carries, in its field
// `history`, what is to be known of all that came before. docs/FORMAT.md has the bytes.
//
// Attempts in a row with the same answer from the same host are one run. What is over the bounds
// goes from the middle: the first run stays, the oldest behind it become a gap, which has a count
// and nothing else. A gap also stands for attempts that nothing is known of: those of records that
// could not be read, or of versions that kept no history.
//
// A plain value; allocates nothing. Its texts are views of what it was made from. Bytes that do not
// add up are no history, never a failure: mail does not wait for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "mail/status_code.h"

namespace store {

struct StoredOutcome;

struct AttemptRun {
    base::WallTime first;  // the times of a gap are as near as they are known
    base::WallTime last;
    std::uint32_t count = 0;  // of attempts
    bool gap = false;         // nothing else is known of them
    std::uint16_t code = 0;   // 0 when there was no reply
    mail::EnhancedStatus status;
    std::string_view relay;  // the next hop that was tried
    std::string_view reply;
};

class AttemptHistory {
  public:
    // Texts are cut at these.
    static constexpr std::size_t kReplyBytesMax = 200;
    static constexpr std::size_t kRelayBytesMax = 128;
    static constexpr std::size_t kRunsMax = 16;
    static constexpr std::size_t kBytesMax = 2048;  // encoded

    void clear() { count_ = 0; }
    // What the field holds; false, and nothing, where it is malformed.
    [[nodiscard]] bool decode(base::Bytes field);
    // All attempts that an outcome record tells of: its history, and its own, where it is one. A
    // record may be none: one that gives up, or tells the sender of a delay before any attempt.
    void take(const StoredOutcome& outcome);
    // One attempt, later than all others.
    void add(const AttemptRun& attempt);
    // `count` attempts of which nothing is known.
    void add_gap(std::uint64_t count, base::WallTime at);

    [[nodiscard]] std::span<const AttemptRun> runs() const {
        return std::span(runs_).first(count_);
    }
    // How many in all.
    [[nodiscard]] std::uint64_t attempts() const;

    // Zero when there are no runs: then there is no field.
    [[nodiscard]] std::size_t bytes() const;
    void append_to(std::vector<std::byte>& out) const;

  private:
    void push(const AttemptRun& run);
    void shorten();

    std::array<AttemptRun, kRunsMax + 1> runs_;
    std::size_t count_ = 0;
};

}  // namespace store
