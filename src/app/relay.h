// Relay: the relay of this process: what lives on its shards, started and ended in the right order.
//
// Made, used and destroyed by the main thread; shards() may be used by the control plane while it
// lives.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "app/log.h"
#include "app/relay_settings.h"
#include "app/relay_shard.h"
#include "app/shard_threads.h"
#include "base/result.h"

namespace app {

class Relay {
  public:
    // All are borrowed.
    Relay(ShardThreads& threads, const RelaySettings& settings, Log& log);
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;
    // Sessions, deliveries and stores come to an end; nothing acknowledged is lost.
    ~Relay();

    // Looks whether every address can be had; opens the spool and every shard's store; binds the
    // addresses; then accepts and delivers.
    // Errors are sentences for the operator; destroy it then.
    [[nodiscard]] base::Status start();

    [[nodiscard]] ShardThreads& threads() { return threads_; }
    [[nodiscard]] RelayShard& shard(std::uint32_t number) { return *shards_[number]; }

  private:
    [[nodiscard]] base::Status open();
    // Runs it for each shard, on it, all at once.
    [[nodiscard]] base::Status on_all(
        const std::function<rt::Task<base::Status>(std::uint32_t)>& work);
    [[nodiscard]] base::Status listen();

    ShardThreads& threads_;
    const RelaySettings& settings_;
    Log& log_;
    std::vector<std::unique_ptr<RelayShard>> shards_;
};

}  // namespace app
