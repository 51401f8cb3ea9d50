// Task<T>: a coroutine of a shard. Lazy: it begins when it is awaited, or spawned in a Scope. It
// resumes only through the shard's ready queue, never by symmetric transfer, so the stack stays as
// deep as one frame in every build.
//
// Rules for writing one (g++ 12): one co_await per statement and none inside a condition, an
// argument or a catch; no temporary aggregate with a destructor in the same expression; no
// capturing lambda; parameters by value, or references to what outlives the task.
#pragma once

#include <algorithm>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/time.h"
#include "rt/frame_pool.h"

namespace rt {

class Shard;
class Scope;

// How long tasks have run, by the driver's clock, and the longest of their stretches between two
// waits. For those that must not hold up others.
struct Meter {
    base::Duration busy = base::Duration::zero();
    base::Duration longest = base::Duration::zero();
    void add(base::Duration stretch) {
        busy += stretch;
        longest = std::max(longest, stretch);
    }
    Meter& operator+=(const Meter& other) {
        busy += other.busy;
        longest = std::max(longest, other.longest);
        return *this;
    }
};

// The part of every coroutine's promise that the runtime knows.
class Promise {
  public:
    Promise() = default;
    Promise(const Promise&) = delete;
    Promise& operator=(const Promise&) = delete;

    static void* operator new(std::size_t size) { return FramePool::allocate(size); }
    static void operator delete(void* frame, std::size_t size) { FramePool::free(frame, size); }

    [[nodiscard]] Shard& shard() const {
        RP_ASSERT(shard_ != nullptr);
        return *shard_;
    }
    // Who awaits this task, or nullptr for one that a Scope spawned.
    [[nodiscard]] Promise* parent() const { return parent_; }
    // What it waits for, as the awaiter names it ("receive", "commit"); for the listing of tasks.
    [[nodiscard]] const char* waits_for() const { return waits_for_; }
    void set_waits_for(const char* what) { waits_for_ = what; }

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    struct Final {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <typename P>
        void await_suspend(std::coroutine_handle<P> handle) const noexcept {
            Promise::finished(handle.promise());
        }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] Final final_suspend() const noexcept { return {}; }
    // Our code throws nothing; what a library throws stops at its wrapper.
    void unhandled_exception() const noexcept { RP_PANIC("exception in a coroutine"); }

  private:
    friend class Shard;
    friend class Scope;
    template <typename>
    friend class Task;
    static void start(Promise& child, std::coroutine_handle<> self, Promise& parent);
    static void finished(Promise& promise) noexcept;

    Promise* next_ready_ = nullptr;  // in the shard's ready queue
    Promise* parent_ = nullptr;
    Scope* scope_ = nullptr;
    Shard* shard_ = nullptr;
    Meter* meter_ = nullptr;  // its scope's
    const char* waits_for_ = nullptr;
    std::coroutine_handle<> self_;
    bool ready_ = false;
    // A spawned task's place in its Scope.
    Promise* scope_next_ = nullptr;
    Promise* scope_prev_ = nullptr;
};

template <typename T = void>
class [[nodiscard]] Task {
  public:
    class promise_type : public Promise {
      public:
        Task get_return_object() {
            return Task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        template <typename U>
        void return_value(U&& value) {
            value_.emplace(std::forward<U>(value));
        }

      private:
        friend class Task;
        std::optional<T> value_;
    };

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (handle_) {
            handle_.destroy();
        }
    }

    struct Awaiter {
        std::coroutine_handle<promise_type> child;
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <typename P>
        void await_suspend(std::coroutine_handle<P> parent) const {
            Promise::start(child.promise(), child, parent.promise());
        }
        T await_resume() const {
            auto& value = child.promise().value_;
            RP_ASSERT(value.has_value());
            return std::move(*value);
        }
    };
    Awaiter operator co_await() & { return Awaiter{handle_}; }
    // The temporary lives until the end of the full expression, and so until the child has ended.
    Awaiter operator co_await() && { return Awaiter{handle_}; }

  private:
    friend class Scope;
    explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

    std::coroutine_handle<promise_type> handle_;
};

template <>
class [[nodiscard]] Task<void> {
  public:
    class promise_type : public Promise {
      public:
        Task get_return_object() {
            return Task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        void return_void() const {}
    };

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (handle_) {
            handle_.destroy();
        }
    }

    struct Awaiter {
        std::coroutine_handle<promise_type> child;
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <typename P>
        void await_suspend(std::coroutine_handle<P> parent) const {
            Promise::start(child.promise(), child, parent.promise());
        }
        void await_resume() const {}
    };
    Awaiter operator co_await() & { return Awaiter{handle_}; }
    Awaiter operator co_await() && { return Awaiter{handle_}; }

  private:
    friend class Scope;
    explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

    std::coroutine_handle<promise_type> handle_;
};

}  // namespace rt
