#include "rt/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace rt {

TimerWheel::TimerWheel(base::Duration tick, base::MonoTime start) : tick_(tick), start_(start) {
    RP_ASSERT(tick > base::Duration::zero());
}

// Rounded up: a timer never fires before its time.
std::uint64_t TimerWheel::tick_of(base::MonoTime at) const {
    if (at <= start_) {
        return 0;
    }
    const auto since = static_cast<std::uint64_t>((at - start_).count());
    const auto step = static_cast<std::uint64_t>(tick_.count());
    return since / step + (since % step != 0 ? 1 : 0);
}

void TimerWheel::set(Timer& timer, base::MonoTime at) {
    timer.unlink();
    constexpr std::uint64_t kHorizon = (1ULL << (kBits * kLevels)) - 1;
    timer.tick_ = std::clamp(tick_of(at), now_ + 1, now_ + kHorizon);
    place(timer);
}

void TimerWheel::set_again(Timer& timer) {
    timer.unlink();
    timer.tick_ = std::max(timer.tick_, now_ + 1);
    place(timer);
}

// Level L holds the timers whose tick differs from now_ first in the L-th group of six bits.
void TimerWheel::place(Timer& timer) {
    const std::uint64_t difference = timer.tick_ ^ now_;
    unsigned level = 0;
    while (level + 1 < kLevels && difference >> (kBits * (level + 1)) != 0) {
        ++level;
    }
    const std::uint64_t slot = timer.tick_ >> (kBits * level) & (kSlots - 1);
    slots_[level][slot].push_back(timer);
    taken_[level] |= 1ULL << slot;
}

void TimerWheel::cascade(unsigned level) {
    const std::uint64_t index = now_ >> (kBits * level) & (kSlots - 1);
    if (index == 0 && level + 1 < kLevels) {
        cascade(level + 1);
    }
    due_.append(slots_[level][index]);
}

std::size_t TimerWheel::spread(std::size_t most) {
    while (most > 0 && !due_.empty()) {
        Timer& timer = due_.pop_front();
        --most;
        if (timer.tick_ <= now_) {
            timer.fire_(timer);
        } else {
            place(timer);
        }
    }
    return most;
}

void TimerWheel::advance(base::MonoTime now) {
    if (now <= start_) {
        return;
    }
    const auto target = static_cast<std::uint64_t>((now - start_) / tick_);
    std::size_t most = spread(kPerAdvance);
    while (now_ < target && most > 0) {
        const base::MonoTime soon = next();
        if (soon > now) {  // nothing is due up to `now`: skip over the empty ticks
            now_ = target;
            return;
        }
        now_ = std::max(now_ + 1,
                        std::min(target, static_cast<std::uint64_t>((soon - start_) / tick_)));
        if ((now_ & (kSlots - 1)) == 0) {
            cascade(1);
        }
        due_.append(slots_[0][now_ & (kSlots - 1)]);
        most = spread(most);
    }
}

// The first occupied slot after now_ on the lowest occupied level: its tick on level 0, the start
// of its span (when it cascades) above. Slots at or before the current index of a level are empty,
// but on the top level, which wraps.
base::MonoTime TimerWheel::next() const {
    if (!due_.empty()) {
        return start_ + tick_ * static_cast<std::int64_t>(now_);
    }
    for (unsigned level = 0; level < kLevels; ++level) {
        const std::uint64_t current = now_ >> (kBits * level);
        const std::uint64_t index = current & (kSlots - 1);
        const std::uint64_t span = level + 1 == kLevels ? kSlots : kSlots - 1 - index;
        while (taken_[level] != 0) {
            // From the slot behind the current one on.
            const auto shift = static_cast<int>((index + 1) & (kSlots - 1));
            const auto step =
                static_cast<std::uint64_t>(std::countr_zero(std::rotr(taken_[level], shift)) + 1);
            const std::uint64_t slot = (index + step) & (kSlots - 1);
            if (step > span) {
                break;
            }
            if (!slots_[level][slot].empty()) {
                return start_ +
                       tick_ * static_cast<std::int64_t>((current + step) << (kBits * level));
            }
            taken_[level] &= ~(1ULL << slot);
        }
    }
    return base::kNever;
}

}  // namespace rt
