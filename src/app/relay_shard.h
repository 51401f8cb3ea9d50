// RelayShard: all that one shard of the relay runs, wired together: connections, store, queue,
// server.
//
// Made, used and destroyed on its shard. The way of a message: smtp::Session → store (as its
// MessageSink) → committed() → queue::Scheduler → queue::Delivery, which reads it back from the
// store.
//
// Warning: a turn of the shard that took a second or more, told again when one took twice as long.
#pragma once

#include <memory>
#include <string>

#include "app/relay_settings.h"
#include "base/result.h"
#include "mail/log_event.h"
#include "net/shard_net.h"
#include "queue/scheduler.h"
#include "rt/shard.h"
#include "rt/task.h"
#include "smtp/server.h"
#include "store/spool.h"
#include "store/store.h"

namespace app {

class RelayShard final : private rt::TurnHook {
  public:
    // For sessions to finish the transaction they are in when the server stops.
    static constexpr base::Duration kStopPatience = std::chrono::seconds(5);

    // `settings` and `log` are borrowed.
    RelayShard(rt::Shard& shard, const RelaySettings& settings, mail::EventLog& log);
    RelayShard(const RelayShard&) = delete;
    RelayShard& operator=(const RelayShard&) = delete;
    // REQUIRES: close() has ended, or look() was never called.
    ~RelayShard() override;

    // Makes what the shard's connections share, and reads the shard's part of the spool, without
    // changing anything in its logs. Errors are sentences for the operator.
    [[nodiscard]] rt::Task<base::Status> look(store::SpoolIdentity identity);
    // Goes on with the store, and brings back what was queued. Nothing is accepted or delivered
    // yet. Errors are sentences for the operator. REQUIRES: look() succeeded, of all shards.
    [[nodiscard]] rt::Task<base::Status> resume();
    // Binds the listeners' addresses. Errors are sentences for the operator.
    [[nodiscard]] base::Status listen();
    // From now on connections are accepted and the queue is delivered. REQUIRES: listen()
    // succeeded.
    void start();
    // Sessions, deliveries and the store come to an end, in this order; nothing acknowledged is
    // lost.
    [[nodiscard]] rt::Task<void> close();

    [[nodiscard]] queue::Scheduler& scheduler() { return *scheduler_; }
    [[nodiscard]] store::Store& store() { return *store_; }

  private:
    [[nodiscard]] base::MonoTime end_of_turn(base::MonoTime now) override;

    rt::Shard& shard_;
    const RelaySettings& settings_;
    const queue::Options queue_;  // this shard's share
    mail::EventLog& log_;
    std::unique_ptr<net::ShardNet> net_;
    std::unique_ptr<queue::Scheduler> scheduler_;
    std::unique_ptr<store::Store> store_;
    std::unique_ptr<smtp::Server> server_;
    bool opened_ = false;
    base::Duration next_told_turn_ = std::chrono::seconds(1);
};

}  // namespace app
