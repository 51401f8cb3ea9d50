// QueueInspector: how the control plane looks into one queued message. The wiring implements it by
// asking the message's shard.
//
// Called on threads of the control plane, several at once, as a QueueView is, and ends as it does
// when the server stops.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "mail/queue_id.h"
#include "queue/detail.h"
#include "queue/explain.h"

namespace app {

// The content of one message, on its way out. It stays readable until this goes, even if the
// message leaves the queue. Not for two threads at once.
class QueueContent {
  public:
    QueueContent() = default;
    QueueContent(const QueueContent&) = delete;
    QueueContent& operator=(const QueueContent&) = delete;
    virtual ~QueueContent() = default;

    // What comes next, some tens of kilobytes; "" at the end.
    [[nodiscard]] virtual base::Result<std::string> next() = 0;
};

class QueueInspector {
  public:
    QueueInspector() = default;
    QueueInspector(const QueueInspector&) = delete;
    QueueInspector& operator=(const QueueInspector&) = delete;
    virtual ~QueueInspector() = default;

    // False: that message is not in the queue.
    [[nodiscard]] virtual base::Result<bool> detail(mail::QueueId id,
                                                    queue::MessageDetail& detail) = 0;
    [[nodiscard]] virtual base::Result<bool> explain(mail::QueueId id,
                                                     queue::Explanation& explanation) = 0;
    // Nothing: that message is not in the queue.
    [[nodiscard]] virtual base::Result<std::unique_ptr<QueueContent>> content(mail::QueueId id) = 0;
};

}  // namespace app
