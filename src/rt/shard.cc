#include "rt/shard.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/assert.h"
#include "rt/scope.h"
#include "rt/task.h"

namespace rt {
namespace {

std::uint64_t random_seed(io::Driver& driver) {
    std::array<std::byte, 8> bytes;
    driver.random(bytes);
    return base::load_le<std::uint64_t>(bytes.data());
}

}  // namespace

Shard::Shard(std::uint32_t number, io::Driver& driver)
    : number_(number),
      driver_(driver),
      now_(driver.now()),
      prng_(random_seed(driver)),
      session_timers_(kSessionTick, now_),
      retry_timers_(kRetryTick, now_),
      mailbox_(kMailboxLetters) {}

Shard::~Shard() {
    RP_ASSERT(ready_.first == nullptr && scopes_.empty());
}

void Shard::run() {
    while (!stopping() && !driver_.dead()) {
        turn();
    }
}

void Shard::turn() {
    const FramePool::Use use(frames_);
    const base::MonoTime deadline = next_deadline();
    // The flag goes up before the last look at the mailbox, and a writer looks at the flag after it
    // has written: so either this look sees the letter, or the writer sees the flag and rings.
    asleep_.store(true, std::memory_order_seq_cst);
    const bool busy = ready_.first != nullptr || !mailbox_.empty() || stopping();
    const std::span<const io::Reaped> reaped = driver_.wait(busy ? now_ : deadline);
    now_ = driver_.now();
    // A wait that gave nothing before its time: a bell rang, or this is the simulator, whose wait
    // never blocks, and the shard sleeps on until its next turn. So the flag stays up until there
    // is a letter.
    asleep_.store(reaped.empty() && !busy && now_ < deadline, std::memory_order_relaxed);

    for (const io::Reaped& one : reaped) {
        one.op->finish(one.completion);
    }
    open_letters();
    session_timers_.advance(now_);
    retry_timers_.advance(now_);
    run_ready();
    hook_deadline_ = base::kNever;
    for (TurnHook* hook = hooks_.empty() ? nullptr : &hooks_.front(); hook != nullptr;) {
        TurnHook* next = hooks_.after(*hook);
        hook_deadline_ = std::min(hook_deadline_, hook->end_of_turn(now_));
        hook = next;
    }
    longest_turn_ = std::max(longest_turn_, driver_.now() - now_);
}

base::MonoTime Shard::next_deadline() {
    base::MonoTime deadline = now_ + kWaitMax;
    deadline = std::min(deadline, session_timers_.next());
    deadline = std::min(deadline, retry_timers_.next());
    return std::min(deadline, hook_deadline_);
}

void Shard::stop() {
    stop_.store(true, std::memory_order_relaxed);
    driver_.wake();
}

void Shard::ReadyQueue::push_back(Promise& promise) {
    RP_ASSERT(!promise.ready_);
    promise.ready_ = true;
    promise.next_ready_ = nullptr;
    if (last == nullptr) {
        first = &promise;
    } else {
        last->next_ready_ = &promise;
    }
    last = &promise;
}

Promise& Shard::ReadyQueue::pop_front() {
    Promise& promise = *first;
    first = promise.next_ready_;
    if (first == nullptr) {
        last = nullptr;
    }
    promise.ready_ = false;
    return promise;
}

void Shard::ReadyQueue::append(ReadyQueue& other) {
    if (other.first == nullptr) {
        return;
    }
    if (last == nullptr) {
        first = other.first;
    } else {
        last->next_ready_ = other.first;
    }
    last = other.last;
    other = {};
}

void Shard::make_ready(Promise& promise) {
    ready_.push_back(promise);
}

void Shard::make_ready_next_turn(Promise& promise) {
    next_turn_.push_back(promise);
}

void Shard::run_ready() {
    for (std::uint32_t count = 0; ready_.first != nullptr && count < kTasksPerTurn; ++count) {
        Promise& promise = ready_.pop_front();
        promise.waits_for_ = nullptr;
        if (Meter* const meter = promise.meter_; meter != nullptr) {
            const base::MonoTime begin = driver_.now();
            promise.self_.resume();
            meter->add(driver_.now() - begin);
        } else {
            promise.self_.resume();
        }
    }
    if (next_turn_.first != nullptr) {
        ready_.append(next_turn_);
        driver_.wake();  // whose wait began before, and may be for a later time (the simulator's)
    }
}

void Shard::open_letters() {
    for (std::uint32_t count = 0; count < kLettersPerTurn; ++count) {
        Letter* letter = mailbox_.take();
        if (letter == nullptr) {
            return;
        }
        asleep_.store(false, std::memory_order_relaxed);
        letter->open();
    }
}

bool Shard::post(Letter& letter, Shard* from) {
    if (!mailbox_.put(letter)) {
        return false;
    }
    if (from == this) {
        return true;  // looked at before the next wait
    }
    if (asleep_.load(std::memory_order_seq_cst)) {
        if (from != nullptr) {
            from->driver_.ring_doorbell(driver_);
        } else {
            driver_.wake();
        }
    }
    return true;
}

}  // namespace rt
