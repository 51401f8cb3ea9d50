// TimerWheel: many timers at little cost. Hierarchical (Varghese & Lauck): setting, moving and
// cancelling take constant time, and a timer costs no allocation. A shard has two: ticks of 100 ms
// for sessions, of 1 s for retries. A timer never fires early, and at most one tick late when the
// loop is not held up.
//
// However many timers come due, or are to be spread over the level below, at once: advance() moves
// kPerAdvance of them at most, and next() asks for it again at once while some are left. So a
// million retries hold up nobody; the wheel stands still until they are through, and what comes
// behind them is late by as much.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "base/time.h"

namespace rt {

// Lives in what it times. It leaves its wheel when it fires, by TimerWheel::cancel(), and when it
// is destroyed.
class Timer : public base::ListNode<Timer> {
  public:
    using Fire = void (*)(Timer&);
    explicit Timer(Fire fire) : fire_(fire) {}
    ~Timer() { unlink(); }

    [[nodiscard]] bool armed() const { return linked(); }
    void cancel() { unlink(); }

  private:
    friend class TimerWheel;
    Fire fire_;
    std::uint64_t tick_ = 0;
};

class TimerWheel {
  public:
    static constexpr std::size_t kPerAdvance = 4096;

    TimerWheel(base::Duration tick, base::MonoTime start);

    // Arms `timer`, or moves it. Times in the past fire at the next advance().
    void set(Timer& timer, base::MonoTime at);
    // For the time it was armed for last, or the next advance(). REQUIRES: it was, on this wheel.
    void set_again(Timer& timer);
    // Fires what is due, in the order of ticks. A timer that is set meanwhile waits at least one
    // tick.
    void advance(base::MonoTime now);
    // When advance() has something to do next; may be early (a cascade), never late. kNever when
    // nothing is armed.
    [[nodiscard]] base::MonoTime next() const;

  private:
    static constexpr unsigned kLevels = 6;
    static constexpr unsigned kBits = 6;
    static constexpr std::uint64_t kSlots = 1U << kBits;
    using Slot = base::List<Timer>;

    void place(Timer& timer);
    void cascade(unsigned level);
    // Fires or places up to `most` of those that came due to be; gives how many it may yet.
    [[nodiscard]] std::size_t spread(std::size_t most);
    [[nodiscard]] std::uint64_t tick_of(base::MonoTime at) const;

    base::Duration tick_;
    base::MonoTime start_;
    std::uint64_t now_ = 0;  // ticks since start_ that were handled
    std::array<std::array<Slot, kSlots>, kLevels> slots_;
    Slot due_;  // came out of their slots: to be fired, or to be placed on a level below
    // A bit for each slot that may hold a timer. A timer leaves its slot without a word, so next()
    // clears the bit of one that it finds empty.
    mutable std::array<std::uint64_t, kLevels> taken_{};
};

}  // namespace rt
