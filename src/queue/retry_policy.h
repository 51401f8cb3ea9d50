// RetryPolicy: when a deferred recipient is tried again, when its sender is told that it is late,
// and when it is given up.
//
// Part of the immutable configuration; a scheduler borrows it for its life. Plain arithmetic on
// wall-clock times, because they are written to the log and must hold across restarts. Chance comes
// from whoever asks.
#pragma once

#include <cstdint>
#include <vector>

#include "base/prng.h"
#include "base/time.h"

namespace queue {

// Waits that grow: `first`, then each `growth` times the one before, up to `cap`. To each wait a
// share of up to `jitter` is added by chance, so that what was deferred together does not come back
// together; it never makes one shorter.
struct RetryGrowth {
    base::Duration first = std::chrono::minutes(5);
    double growth = 1.5;  // from 1
    base::Duration cap = std::chrono::hours(4);
    double jitter = 0.1;  // from 0 to 1
    friend bool operator==(const RetryGrowth&, const RetryGrowth&) = default;
};

class RetryPolicy {
  public:
    // `waits`: after the first, second, … attempt that deferred a recipient; the last one repeats.
    // `expire`: from arrival to giving up. `delay_notice`: from arrival to word of the delay; zero:
    // none. REQUIRES: at least one wait, all of them and `expire` above zero.
    RetryPolicy(std::vector<base::Duration> waits, base::Duration expire,
                base::Duration delay_notice = base::Duration::zero());
    // REQUIRES: first above zero and not above cap, growth at least 1, jitter from 0 to 1.
    [[nodiscard]] static RetryPolicy growing(const RetryGrowth& growth, base::Duration expire,
                                             base::Duration delay_notice = base::Duration::zero());

    // The least wait behind attempt number `attempts` (1: the first one), and the longest: jitter
    // lies between. REQUIRES: attempts > 0.
    [[nodiscard]] base::Duration wait_after(std::uint32_t attempts) const;
    [[nodiscard]] base::Duration longest_wait_after(std::uint32_t attempts) const;
    // Drawn between the two.
    [[nodiscard]] base::Duration draw_wait(std::uint32_t attempts, base::Prng& prng) const;

    [[nodiscard]] base::Duration longest_wait() const;

    // When the next attempt is due for what was deferred at `now` by attempt `attempts`. Never
    // behind the expiry: then the message is bounced at once, instead of at the end of a wait in
    // which nothing is tried.
    [[nodiscard]] base::WallTime next_attempt(base::WallTime arrival, base::WallTime now,
                                              std::uint32_t attempts, base::Prng& prng) const;

    [[nodiscard]] base::WallTime expires_at(base::WallTime arrival) const {
        return arrival + expire_;
    }
    // No attempt is made any more at or behind this time.
    [[nodiscard]] bool expired(base::WallTime arrival, base::WallTime now) const {
        return now >= expires_at(arrival);
    }

    // A sender who is to hear of delays is told of what waits at or behind this time.
    [[nodiscard]] bool tells_of_delay() const { return delay_notice_ > base::Duration::zero(); }
    [[nodiscard]] base::WallTime delay_notice_at(base::WallTime arrival) const {
        return arrival + delay_notice_;
    }
    [[nodiscard]] bool delayed(base::WallTime arrival, base::WallTime now) const {
        return tells_of_delay() && now >= delay_notice_at(arrival);
    }

  private:
    [[nodiscard]] base::Duration jitter_of(base::Duration wait) const;

    std::vector<base::Duration> waits_;
    double jitter_ = 0;
    base::Duration expire_;
    base::Duration delay_notice_;
};

}  // namespace queue
