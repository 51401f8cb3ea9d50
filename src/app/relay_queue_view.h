// RelayQueueView: the queue of all shards, for the control plane. Each call asks the shards by
// letter and waits for their answers; a shard reads its queue a page at a time, between its other
// work.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <shared_mutex>

#include "app/queue_view.h"
#include "app/relay.h"

namespace app {

class RelayQueueView final : public QueueView {
  public:
    // Borrowed. REQUIRES: the relay has started.
    explicit RelayQueueView(Relay& relay) : relay_(relay) {}
    // Waits for calls under way; later ones fail. Before the relay stops.
    void stop();

    [[nodiscard]] base::Result<QueuePage> page(QueueCursor from, std::size_t messages_max) override;
    [[nodiscard]] base::Result<std::optional<QueueMessage>> find(mail::QueueId id) override;

  private:
    Relay& relay_;
    std::shared_mutex mutex_;  // shared by calls; the control plane may wait
    bool stopped_ = false;
};

}  // namespace app
