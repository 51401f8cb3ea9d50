// RelayQueueView: the queue of all shards, for the control plane. Each call asks the shards by
// letter and waits for their answers. A shard reads a page in one task, which other tasks
// interleave with at each read of the log.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <shared_mutex>

#include "app/queue_view.h"
#include "app/relay.h"
#include "queue/listing.h"

namespace app {

// As the control plane tells of it. Its texts are moved from.
[[nodiscard]] QueueMessage queue_message_of(queue::ListedMessage& listed);

class RelayQueueView final : public QueueView {
  public:
    // Borrowed. REQUIRES: the relay has started.
    explicit RelayQueueView(Relay& relay) : relay_(relay) {}
    // Calls under way fail soon, and are waited for; later ones fail at once. Before the relay
    // stops.
    void stop();

    [[nodiscard]] base::Result<QueuePage> page(QueueCursor from, const store::Rule& filter,
                                               const QueuePageWish& wish) override;

  private:
    Relay& relay_;
    // Set before stop() asks for the lock: calls that still come do not take it, so that they
    // cannot keep stop() waiting one after another.
    std::atomic<bool> stopped_ = false;
    std::shared_mutex mutex_;  // shared by calls; the control plane may wait
};

}  // namespace app
