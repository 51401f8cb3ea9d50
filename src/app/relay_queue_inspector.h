// RelayQueueInspector: looks into messages of a running relay, for the control plane. Each call
// asks the message's shard by letter and waits for its answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "app/queue_inspector.h"
#include "app/relay.h"

namespace app {

class RelayQueueInspector final : public QueueInspector {
  public:
    // Borrowed. REQUIRES: the relay has started.
    explicit RelayQueueInspector(Relay& relay) : relay_(relay) {}
    // REQUIRES: what content() gave is gone.
    ~RelayQueueInspector() override;
    // Calls under way fail soon, and are waited for; later ones fail at once; no content is read
    // any more. Before the relay stops.
    void stop();

    [[nodiscard]] base::Result<bool> detail(mail::QueueId id,
                                            queue::MessageDetail& detail) override;
    [[nodiscard]] base::Result<bool> explain(mail::QueueId id,
                                             queue::Explanation& explanation) override;
    [[nodiscard]] base::Result<std::unique_ptr<QueueContent>> content(mail::QueueId id) override;

  private:
    class Content;

    [[nodiscard]] std::uint32_t shard_of(mail::QueueId id) const;
    [[nodiscard]] base::Result<bool> ask(
        mail::QueueId id, const std::function<rt::Task<bool>(queue::Scheduler&)>& work);

    Relay& relay_;
    // Set before stop() asks for the lock: calls that still come do not take it, so that they
    // cannot keep stop() waiting one after another.
    std::atomic<bool> stopped_ = false;
    std::shared_mutex mutex_;  // shared by calls; the control plane may wait
    std::mutex contents_mutex_;
    std::list<Content*> contents_;
};

}  // namespace app
