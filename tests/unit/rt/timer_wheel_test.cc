#include "rt/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/prng.h"

namespace rt {
namespace {

using namespace std::chrono_literals;

const base::MonoTime kStart{1000s + 7ns};

class Probe : public Timer {
  public:
    explicit Probe(std::vector<int>& fired, int name = 0)
        : Timer(&Probe::on_fire), fired_(fired), name_(name) {}
    int name() const { return name_; }

  private:
    static void on_fire(Timer& timer) {
        auto& self = static_cast<Probe&>(timer);
        self.fired_.push_back(self.name_);
    }
    std::vector<int>& fired_;
    int name_;
};

TEST(TimerWheel, FiresNotBeforeItsTimeAndAtMostOneTickLate) {
    std::vector<int> fired;
    TimerWheel wheel(100ms, kStart);
    Probe probe(fired);
    wheel.set(probe, kStart + 250ms);
    wheel.advance(kStart + 249ms);
    EXPECT_TRUE(fired.empty());
    wheel.advance(kStart + 299ms);
    EXPECT_TRUE(fired.empty());
    wheel.advance(kStart + 300ms);
    EXPECT_EQ(fired.size(), 1U);
    EXPECT_FALSE(probe.armed());
}

TEST(TimerWheel, ATimeInThePastFiresAtTheNextTick) {
    std::vector<int> fired;
    TimerWheel wheel(1s, kStart);
    wheel.advance(kStart + 10s);
    Probe probe(fired);
    wheel.set(probe, kStart + 2s);
    wheel.advance(kStart + 10s);
    EXPECT_TRUE(fired.empty());
    wheel.advance(kStart + 11s);
    EXPECT_EQ(fired.size(), 1U);
}

TEST(TimerWheel, ACancelledTimerStaysSilent) {
    std::vector<int> fired;
    TimerWheel wheel(100ms, kStart);
    Probe probe(fired);
    wheel.set(probe, kStart + 1s);
    probe.cancel();
    wheel.advance(kStart + 1h);
    EXPECT_TRUE(fired.empty());
    EXPECT_EQ(wheel.next(), base::kNever);
}

TEST(TimerWheel, AnEndedTimerLeavesTheWheel) {
    std::vector<int> fired;
    TimerWheel wheel(100ms, kStart);
    {
        Probe probe(fired);
        wheel.set(probe, kStart + 1s);
    }
    wheel.advance(kStart + 2s);
    EXPECT_TRUE(fired.empty());
}

TEST(TimerWheel, NextIsNeverLate) {
    std::vector<int> fired;
    TimerWheel wheel(1s, kStart);
    Probe probe(fired);
    wheel.set(probe, kStart + 100h);
    // Follow next() only: the timer must fire exactly on the way.
    for (int steps = 0; fired.empty(); ++steps) {
        ASSERT_LT(steps, 100);
        const base::MonoTime at = wheel.next();
        ASSERT_LE(at, kStart + 100h);
        wheel.advance(at);
    }
    EXPECT_EQ(fired.size(), 1U);
}

// Against a plain list of (time, timer): random sets, moves, cancels and steps of very different
// sizes.
TEST(TimerWheel, AgreesWithAModel) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        base::Prng prng(seed);
        std::vector<int> fired;
        TimerWheel wheel(100ms, kStart);
        base::MonoTime now = kStart;
        struct Entry {
            std::unique_ptr<Probe> probe;
            std::int64_t tick = -1;  // -1: not armed
        };
        std::vector<Entry> entries(64);
        for (std::size_t i = 0; i < entries.size(); ++i) {
            entries[i].probe = std::make_unique<Probe>(fired, static_cast<int>(i));
        }
        const auto span = [&prng] {
            const std::uint64_t bits = prng.below(26);
            return std::chrono::milliseconds(prng.below((1ULL << bits) + 1));
        };
        for (int step = 0; step < 3000; ++step) {
            Entry& entry = entries[prng.below(entries.size())];
            const std::uint64_t choice = prng.below(10);
            const std::int64_t tick_now = (now - kStart) / 100ms;
            if (choice < 6) {
                const base::MonoTime at = now + span();
                wheel.set(*entry.probe, at);
                entry.tick =
                    std::max<std::int64_t>((at - kStart + 100ms - 1ns) / 100ms, tick_now + 1);
            } else if (choice < 7) {
                entry.probe->cancel();
                entry.tick = -1;
            } else {
                now += span();
                fired.clear();
                wheel.advance(now);
                std::vector<std::pair<std::int64_t, int>> expected;
                for (Entry& other : entries) {
                    if (other.tick >= 0 && other.tick <= (now - kStart) / 100ms) {
                        expected.emplace_back(other.tick, other.probe->name());
                        other.tick = -1;
                    }
                }
                std::vector<int> names;
                std::ranges::sort(expected);
                for (const auto& [tick, name] : expected) {
                    names.push_back(name);
                }
                std::vector<int> got = fired;
                std::ranges::sort(got);
                std::ranges::sort(names);
                ASSERT_EQ(got, names) << "seed " << seed << " step " << step;
                for (const Entry& other : entries) {
                    ASSERT_EQ(other.probe->armed(), other.tick >= 0);
                }
            }
        }
        for (Entry& entry : entries) {
            entry.probe->cancel();
        }
    }
}

TEST(TimerWheel, FiresInTheOrderOfTicks) {
    std::vector<int> fired;
    TimerWheel wheel(1s, kStart);
    Probe late(fired, 2);
    Probe early(fired, 1);
    wheel.set(late, kStart + 90s);
    wheel.set(early, kStart + 5s);
    wheel.advance(kStart + 1h);
    EXPECT_EQ(fired, (std::vector<int>{1, 2}));
}

// However many are due, or are to be spread over a lower level, one advance moves a bounded number
// of them; none is lost or fires out of order.
TEST(TimerWheel, ABoundedNumberMovesAtATime) {
    constexpr int kTimers = 3 * static_cast<int>(TimerWheel::kPerAdvance) + 7;
    std::vector<int> fired;
    TimerWheel wheel(1s, kStart);
    std::vector<std::unique_ptr<Probe>> probes;
    for (int i = 0; i < kTimers; ++i) {  // all in one slot of the third level
        probes.push_back(std::make_unique<Probe>(fired, 5000 + i % 3));
        wheel.set(*probes.back(), kStart + std::chrono::seconds(5000 + i % 3));
    }
    base::MonoTime now = kStart;
    int turns = 0;
    while (fired.size() < probes.size()) {
        ASSERT_LT(++turns, 100);
        now = std::max(now, wheel.next());
        const std::size_t before = fired.size();
        wheel.advance(now);
        EXPECT_LE(fired.size() - before, TimerWheel::kPerAdvance);
        if (fired.size() > before) {
            EXPECT_GE(now, kStart + std::chrono::seconds(fired.back()));
        }
    }
    EXPECT_GE(turns, 6);
    EXPECT_TRUE(std::ranges::is_sorted(fired));
    EXPECT_EQ(wheel.next(), base::kNever);
}

}  // namespace
}  // namespace rt
