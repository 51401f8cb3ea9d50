// RetryPolicy: when a deferred recipient is tried again, and when it is given up.
//
// Part of the immutable configuration; a scheduler borrows it for its life. Plain arithmetic on
// wall-clock times, because they are written to the log and must hold across restarts.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"

namespace queue {

class RetryPolicy {
  public:
    // `waits`: after the first, second, … attempt that deferred a recipient; the last one repeats.
    // `expire`: from arrival to giving up. REQUIRES: at least one wait, all of them and `expire`
    // above zero.
    RetryPolicy(std::vector<base::Duration> waits, base::Duration expire);

    // The wait behind attempt number `attempts` (1: the first one). REQUIRES: attempts > 0.
    [[nodiscard]] base::Duration wait_after(std::uint32_t attempts) const;

    [[nodiscard]] base::Duration longest_wait() const;

    // When the next attempt is due for what was deferred at `now` by attempt `attempts`. Never
    // behind the expiry: then the message is bounced at once, instead of at the end of a wait in
    // which nothing is tried.
    [[nodiscard]] base::WallTime next_attempt(base::WallTime arrival, base::WallTime now,
                                              std::uint32_t attempts) const;

    [[nodiscard]] base::WallTime expires_at(base::WallTime arrival) const {
        return arrival + expire_;
    }
    // No attempt is made any more at or behind this time.
    [[nodiscard]] bool expired(base::WallTime arrival, base::WallTime now) const {
        return now >= expires_at(arrival);
    }

  private:
    std::vector<base::Duration> waits_;
    base::Duration expire_;
};

}  // namespace queue
