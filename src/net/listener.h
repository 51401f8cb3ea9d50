// Listener: accepts connections on one address for one shard. Every shard has its own listening
// socket on the address (SO_REUSEPORT); the kernel spreads the connections.
//
// Owned by the server of its shard. Warnings, told through Accepting: out of descriptors or memory
// (EMFILE, ENFILE, ENOBUFS, ENOMEM): accepting pauses for kPause and goes on by itself; connections
// wait in the backlog meanwhile.
#pragma once

#include <coroutine>
#include <cstdint>

#include "base/result.h"
#include "base/time.h"
#include "io/address.h"
#include "io/op.h"
#include "rt/shard.h"
#include "rt/task.h"
#include "rt/timer_wheel.h"

namespace net {

class Listener;

// Who takes the connections. Called in the shard's turn; must not wait.
class Accepting {
  public:
    Accepting() = default;
    Accepting(const Accepting&) = delete;
    Accepting& operator=(const Accepting&) = delete;
    virtual ~Accepting() = default;

    // `socket` is the taker's from now on.
    virtual void accepted(Listener& listener, io::Handle socket) = 0;
    // accept(2) failed with `error`, an errno; accepting goes on after Listener::kPause.
    virtual void accept_failed(Listener& listener, int error) = 0;
};

class Listener {
  public:
    static constexpr base::Duration kPause = std::chrono::seconds(1);

    // `number`: the taker's own, to tell its listeners apart.
    Listener(rt::Shard& shard, Accepting& taker, std::uint32_t number);
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    // REQUIRES: accept() was never called, or stop() has ended.
    ~Listener();

    // Binds and listens. Fails with EADDRINUSE, EACCES and their like. accept() then begins.
    [[nodiscard]] base::Status open(const io::SocketAddress& address);
    void accept();

    // The address in use (with the port that the kernel chose where 0 was asked).
    [[nodiscard]] const io::SocketAddress& address() const { return address_; }
    [[nodiscard]] std::uint32_t number() const { return number_; }

    // co_await listener.stop(): no connection is accepted from now on, the address is given up.
    class Stopped;
    [[nodiscard]] Stopped stop();

  private:
    class AcceptOp : public io::Op {
      public:
        AcceptOp(Listener& listener, Complete complete) : io::Op(complete), listener_(listener) {}
        [[nodiscard]] Listener& listener() { return listener_; }

      private:
        Listener& listener_;
    };
    class Pause : public rt::Timer {
      public:
        Pause(Listener& listener, Fire fire) : rt::Timer(fire), listener_(listener) {}
        [[nodiscard]] Listener& listener() { return listener_; }

      private:
        Listener& listener_;
    };

    static void completed(io::Op& op, const io::Completion& completion);
    static void pause_over(rt::Timer& timer);
    void close();

    rt::Shard& shard_;
    Accepting& taker_;
    std::uint32_t number_;
    io::Handle handle_ = io::kNoHandle;
    bool stopping_ = false;
    io::SocketAddress address_;
    AcceptOp op_;
    Pause pause_;
    rt::Promise* stopper_ = nullptr;
};

class Listener::Stopped {
  public:
    explicit Stopped(Listener& listener) : listener_(listener) {}
    [[nodiscard]] bool await_ready() const noexcept { return listener_.handle_ == io::kNoHandle; }
    template <typename P>
    void await_suspend(std::coroutine_handle<P> handle) const {
        listener_.stopper_ = &handle.promise();
        listener_.stopper_->set_waits_for("listener");
    }
    void await_resume() const noexcept {}

  private:
    Listener& listener_;
};

}  // namespace net
