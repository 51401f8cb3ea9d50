// RelayQueueOperator: commands over the queue of a running relay. Each call asks the shards by
// letter and waits for their answers.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <shared_mutex>

#include "app/queue_operator.h"
#include "app/relay.h"

namespace app {

class RelayQueueOperator final : public QueueOperator {
  public:
    // Borrowed. REQUIRES: the relay has started.
    explicit RelayQueueOperator(Relay& relay) : relay_(relay) {}
    // Calls under way end soon, and are waited for; later ones fail at once. Before the relay
    // stops.
    void stop();

    [[nodiscard]] base::Result<GivenRules> give(const store::Rule& rule,
                                                std::span<const mail::QueueId> ids) override;
    [[nodiscard]] base::Result<queue::RuleProgress> progress(GivenRules& given) override;
    [[nodiscard]] base::Result<QueueTotals> totals() override;

  private:
    [[nodiscard]] base::Status all_would_take(
        const std::vector<std::vector<store::Rule>>& of_shard);
    // On each shard, one behind another.
    [[nodiscard]] base::Status on_each(const std::function<void(RelayShard&)>& work);

    Relay& relay_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::atomic<bool> stopped_ = false;  // before stop() asks for the lock
    std::shared_mutex mutex_;            // shared by calls
    std::mutex giving_;                  // commands come one behind another: numbers ascend
};

}  // namespace app
