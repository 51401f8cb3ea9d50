// A place to be woken at. The lower layers (store, mail) know nothing of coroutines: they take a
// Waiter and call wake() once; rt::WaiterAwaiter turns that into a co_await.
#pragma once

#include "base/list.h"

namespace base {

// Owned by who waits; linked into the list of what it waits for. wake() runs in the loop's turn on
// the owner's shard and must only make something ready (push a frame to the ready queue), never run
// user code.
class Waiter : public ListNode<Waiter> {
  public:
    using Wake = void (*)(Waiter&);
    explicit Waiter(Wake function) : wake_(function) {}
    void wake() { wake_(*this); }

  private:
    Wake wake_;
};

using WaiterList = List<Waiter>;

}  // namespace base
