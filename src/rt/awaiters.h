// The leaf awaiters: what a task waits for. Each is 16 bytes or less, since g++ 12 adds up every
// awaiter of a frame; the state lives in the object that is waited for, which the session owns.
#pragma once

#include <coroutine>
#include <cstdint>

#include "base/waiter.h"
#include "io/op.h"
#include "rt/shard.h"
#include "rt/task.h"
#include "rt/timer_wheel.h"

namespace rt {

// An Op that completes once and wakes the task that awaits it:
//   op.prepare_send(socket, bytes);
//   const std::int32_t result = co_await op.submit(shard);
class AwaitableOp : public io::Op {
  public:
    AwaitableOp() : io::Op(&AwaitableOp::completed) {}

    class Submission {
      public:
        Submission(AwaitableOp& op, Shard& shard) : op_(op), shard_(shard) {}
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <typename P>
        void await_suspend(std::coroutine_handle<P> handle) const {
            op_.task_ = &handle.promise();
            op_.task_->set_waits_for(io::name_of(op_.code()));
            shard_.driver().submit(op_);
        }
        [[nodiscard]] std::int32_t await_resume() const { return op_.result_; }

      private:
        AwaitableOp& op_;
        Shard& shard_;
    };
    [[nodiscard]] Submission submit(Shard& shard) { return {*this, shard}; }

  private:
    static void completed(io::Op& op, const io::Completion& completion) {
        auto& self = static_cast<AwaitableOp&>(op);
        RP_ASSERT(!completion.more);
        self.result_ = completion.result;
        self.task_->shard().make_ready(*self.task_);
    }

    Promise* task_ = nullptr;
    std::int32_t result_ = 0;
};

// Lets a task wait for a lower layer that knows only base::Waiter. A wake that comes before the
// wait is kept.
//   if (sink.append(run, wakeup) == SinkState::wait) { co_await wakeup.woken("append"); }
class Wakeup : public base::Waiter {
  public:
    Wakeup() : base::Waiter(&Wakeup::on_wake) {}

    class Woken {
      public:
        Woken(Wakeup& wakeup, const char* what) : wakeup_(wakeup), what_(what) {}
        [[nodiscard]] bool await_ready() const noexcept {
            return std::exchange(wakeup_.woken_, false);
        }
        template <typename P>
        void await_suspend(std::coroutine_handle<P> handle) const {
            RP_ASSERT(wakeup_.task_ == nullptr);
            wakeup_.task_ = &handle.promise();
            wakeup_.task_->set_waits_for(what_);
        }
        void await_resume() const noexcept {}

      private:
        Wakeup& wakeup_;
        const char* what_;
    };
    // `what` must be a literal.
    [[nodiscard]] Woken woken(const char* what) { return {*this, what}; }

  private:
    static void on_wake(base::Waiter& waiter) {
        auto& self = static_cast<Wakeup&>(waiter);
        if (self.task_ != nullptr) {
            Promise& task = *std::exchange(self.task_, nullptr);
            task.shard().make_ready(task);
        } else {
            self.woken_ = true;
        }
    }

    Promise* task_ = nullptr;
    bool woken_ = false;
};

// co_await sleep.until(time), on the wheel of 100 ms ticks.
class Sleep : public Timer {
  public:
    Sleep() : Timer(&Sleep::fired) {}

    class Until {
      public:
        Until(Sleep& sleep, base::MonoTime at) : sleep_(sleep), at_(at) {}
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <typename P>
        void await_suspend(std::coroutine_handle<P> handle) const {
            sleep_.task_ = &handle.promise();
            sleep_.task_->set_waits_for("sleep");
            sleep_.task_->shard().session_timers().set(sleep_, at_);
        }
        void await_resume() const noexcept {}

      private:
        Sleep& sleep_;
        base::MonoTime at_;
    };
    [[nodiscard]] Until until(base::MonoTime at) { return {*this, at}; }
    // Ends the sleep now, if someone sleeps.
    void interrupt() {
        if (armed()) {
            cancel();
            task_->shard().make_ready(*task_);
        }
    }

  private:
    static void fired(Timer& timer) {
        Promise& task = *static_cast<Sleep&>(timer).task_;
        task.shard().make_ready(task);
    }

    Promise* task_ = nullptr;
};

// Lets other ready tasks run first, within the turn's budget.
struct Yield {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <typename P>
    void await_suspend(std::coroutine_handle<P> handle) const {
        handle.promise().shard().make_ready(handle.promise());
    }
    void await_resume() const noexcept {}
};

// Ends the task's part in this turn: other tasks, timers and completions come first. For loops that
// could take long without waiting.
struct NextTurn {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <typename P>
    void await_suspend(std::coroutine_handle<P> handle) const {
        handle.promise().shard().make_ready_next_turn(handle.promise());
    }
    void await_resume() const noexcept {}
};

}  // namespace rt
