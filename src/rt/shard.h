// Shard: one pinned thread, one ring, and the loop that runs all that lives on it.
//
// A turn: completions are reaped by the driver, then finished one after another; letters are
// opened; timers fire; ready tasks run, up to a budget; then the turn hooks look at what the turn
// brought (the committer decides there whether to write), and the driver is called again: one
// system call per turn.
//
// Everything here is called on the shard's own thread, except post() and stop().
#pragma once

#include <atomic>
#include <cstdint>

#include "base/list.h"
#include "base/prng.h"
#include "base/time.h"
#include "io/driver.h"
#include "rt/frame_pool.h"
#include "rt/mailbox.h"
#include "rt/timer_wheel.h"

namespace rt {

class Promise;
class Scope;

// Looks at the end of each turn, after all tasks had their say, and says when it wants to be called
// at the latest.
class TurnHook : public base::ListNode<TurnHook> {
  public:
    TurnHook() = default;
    virtual ~TurnHook() { unlink(); }
    // `now` is the turn's time. Gives the time of its next deadline, kNever when it has none.
    [[nodiscard]] virtual base::MonoTime end_of_turn(base::MonoTime now) = 0;
};

class Shard {
  public:
    static constexpr std::size_t kMailboxLetters = 4096;
    static constexpr std::uint32_t kTasksPerTurn = 1024;
    static constexpr std::uint32_t kLettersPerTurn = 1024;
    static constexpr base::Duration kSessionTick = std::chrono::milliseconds(100);
    static constexpr base::Duration kRetryTick = std::chrono::seconds(1);
    // The longest wait, whatever the timers say: a lost wake-up costs a second, never a stall.
    static constexpr base::Duration kWaitMax = std::chrono::seconds(1);

    // `driver` is borrowed for the shard's life.
    Shard(std::uint32_t number, io::Driver& driver);
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;
    // REQUIRES: no task is left.
    ~Shard();

    // Turns until stop() was called, or the driver is dead.
    void run();
    // One turn. The simulator calls this itself; its driver never blocks.
    void turn();
    // Ends run() after the turn under way. From any thread.
    void stop();
    [[nodiscard]] bool stopping() const { return stop_.load(std::memory_order_relaxed); }

    [[nodiscard]] std::uint32_t number() const { return number_; }
    [[nodiscard]] io::Driver& driver() { return driver_; }
    // The time at which this turn began; reads no clock.
    [[nodiscard]] base::MonoTime now() const { return now_; }
    [[nodiscard]] base::WallTime wall_now() { return driver_.wall_now(); }
    [[nodiscard]] base::Prng& prng() { return prng_; }
    [[nodiscard]] TimerWheel& session_timers() { return session_timers_; }
    [[nodiscard]] TimerWheel& retry_timers() { return retry_timers_; }
    [[nodiscard]] FramePool& frames() { return frames_; }

    void add_hook(TurnHook& hook) {
        hooks_.push_back(hook);
        hook_deadline_ = now_;  // asked soon, not after the longest wait
    }
    // The task runs in this turn if the budget allows, else in the next. REQUIRES: not ready
    // already.
    void make_ready(Promise& promise);
    // The task runs in the next turn, when the kernel had its say. REQUIRES: as above.
    void make_ready_next_turn(Promise& promise);

    // Hands a letter to this shard and wakes it if it sleeps. False: its mailbox is full, the
    // caller keeps the letter. `from`: the shard that posts (called on its thread), or nullptr from
    // any other thread.
    [[nodiscard]] bool post(Letter& letter, Shard* from);

    // The longest turn since the start, or since it was forgotten: for so long nothing else was
    // served.
    [[nodiscard]] base::Duration longest_turn() const { return longest_turn_; }
    void forget_longest_turn() { longest_turn_ = base::Duration::zero(); }

    // The scopes of this shard, for the listing of tasks.
    [[nodiscard]] base::List<Scope>& scopes() { return scopes_; }

  private:
    struct ReadyQueue {
        Promise* first = nullptr;
        Promise* last = nullptr;
        void push_back(Promise& promise);
        [[nodiscard]] Promise& pop_front();
        void append(ReadyQueue& other);
    };

    void open_letters();
    void run_ready();
    [[nodiscard]] base::MonoTime next_deadline();

    std::uint32_t number_;
    io::Driver& driver_;
    base::MonoTime now_;
    base::Duration longest_turn_ = base::Duration::zero();
    base::Prng prng_;
    FramePool frames_;
    TimerWheel session_timers_;
    TimerWheel retry_timers_;
    Mailbox mailbox_;
    base::List<TurnHook> hooks_;
    base::List<Scope> scopes_;
    ReadyQueue ready_;
    ReadyQueue next_turn_;
    base::MonoTime hook_deadline_ = base::kNever;
    std::atomic<bool> asleep_{false};
    std::atomic<bool> stop_{false};
};

}  // namespace rt
