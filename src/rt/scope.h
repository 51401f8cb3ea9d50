// Scope: owns the tasks that were spawned in it. A scope ends only when all of them have: so
// nothing they refer to goes away under them, and a shard that stops leaves no task behind.
#pragma once

#include <coroutine>
#include <cstddef>

#include "base/list.h"
#include "rt/task.h"

namespace rt {

// Lives on its shard. `name` is for the listing of tasks; it must be a literal.
class Scope : public base::ListNode<Scope> {
  public:
    // `meter`: for all tasks of the scope, and those they await; borrowed.
    Scope(Shard& shard, const char* name, Meter* meter = nullptr);
    // REQUIRES: no task is left (join() first).
    ~Scope();

    // Starts `task`; its frame goes when it ends.
    void spawn(Task<void> task);
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] const char* name() const { return name_; }

    // co_await scope.join(): until no task is left. One waiter at a time.
    struct Joined {
        Scope& scope;
        [[nodiscard]] bool await_ready() const noexcept { return scope.size_ == 0; }
        template <typename P>
        void await_suspend(std::coroutine_handle<P> handle) const {
            RP_ASSERT(scope.joiner_ == nullptr);
            handle.promise().set_waits_for(scope.name_);
            scope.joiner_ = &handle.promise();
        }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] Joined join() { return Joined{*this}; }

  private:
    friend class Promise;
    void ended(Promise& promise);

    Shard& shard_;
    const char* name_;
    Meter* meter_;
    std::size_t size_ = 0;
    Promise* first_ = nullptr;
    Promise* joiner_ = nullptr;
};

}  // namespace rt
