// ShardThreads: the shards of this process, each on a pinned thread with a ring of its own, and the
// way in which the control plane has work done on them.
//
// Made and destroyed by the main thread. What lives on a shard is made, used and destroyed there,
// through run(). Failures: a kernel that gives no ring is a sentence for the operator.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "io/uring/uring_driver.h"
#include "rt/mailbox.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "rt/task.h"

namespace app {

// Fails with a sentence where somebody listens on the address already, or it cannot be had. Shards
// share an address (SO_REUSEPORT), and so could a second process of the same user, and take half of
// the connections: this is asked before the first shard listens. Binds for a moment and does not
// listen, so no client can tell. A taken address is waited for, for a second at most, on the
// calling thread.
[[nodiscard]] base::Status wait_until_free(const io::SocketAddress& address);

class ShardThreads {
  public:
    // `count` 0: one per core that the process may use. Threads inherit the caller's signal mask,
    // so signals that the main thread waits for are to be blocked before.
    [[nodiscard]] static base::Result<std::unique_ptr<ShardThreads>> start(std::uint32_t count);
    ShardThreads(const ShardThreads&) = delete;
    ShardThreads& operator=(const ShardThreads&) = delete;
    // Ends the threads. REQUIRES: all that was made on the shards is gone.
    ~ShardThreads();

    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(shards_.size()); }
    [[nodiscard]] rt::Shard& shard(std::uint32_t number) { return *shards_[number]->shard; }

    // Calls `work` on the shard and awaits the task that it gives. From any thread that is not a
    // shard; never blocks for long. `work` is no coroutine itself; it calls one.
    template <typename T>
    [[nodiscard]] std::future<T> run(std::uint32_t number, std::function<rt::Task<T>()> work) {
        auto call = std::make_unique<Call<T>>(*shards_[number]->scope, std::move(work));
        std::future<T> result = call->result();
        post(number, *call.release());  // the call ends itself
        return result;
    }
    // The same for what takes no time.
    void run_now(std::uint32_t number, const std::function<void()>& work);

  private:
    template <typename T>
    class Call final : public rt::Letter {
      public:
        Call(rt::Scope& scope, std::function<rt::Task<T>()> work)
            : scope_(scope), work_(std::move(work)) {}
        [[nodiscard]] std::future<T> result() { return promise_.get_future(); }
        void open() override { scope_.spawn(perform(this)); }

      private:
        static rt::Task<void> perform(Call* self) {
            const std::unique_ptr<Call> owned(self);
            rt::Task<T> task = owned->work_();
            if constexpr (std::is_void_v<T>) {
                co_await task;
                owned->promise_.set_value();
            } else {
                T value = co_await task;
                owned->promise_.set_value(std::move(value));
            }
        }

        rt::Scope& scope_;
        std::function<rt::Task<T>()> work_;
        std::promise<T> promise_;
    };
    struct Running {
        std::unique_ptr<io::UringDriver> driver;
        std::unique_ptr<rt::Shard> shard;
        std::unique_ptr<rt::Scope> scope;  // of calls; made and ended on the shard's thread
        std::thread thread;
    };

    ShardThreads() = default;
    void post(std::uint32_t number, rt::Letter& letter);

    std::vector<std::unique_ptr<Running>> shards_;
};

}  // namespace app
