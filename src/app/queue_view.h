// QueueView: how the control plane sees the queue. The wiring implements it by asking the shards.
//
// Called on threads of the control plane, several at once; a call blocks until the shards have
// answered. When the server stops, calls under way and later ones return an error, so that the
// control plane can end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "mail/queue_id.h"

namespace app {

enum class RecipientState : std::uint8_t { pending, deferred, held, delivered, bounced, expired };

struct QueueRecipient {
    std::string address;  // without brackets
    RecipientState state = RecipientState::pending;
    std::optional<base::WallTime> next_attempt;  // where one is planned
    std::uint32_t attempts = 0;
    std::string
        last_reply;  // with its codes, or what went wrong in words; "" before the first attempt
};

struct QueueMessage {
    mail::QueueId id;
    base::WallTime arrival;
    std::uint64_t size_bytes = 0;
    std::string sender;  // "" is the null path
    std::vector<QueueRecipient> recipients;
};

class QueueView {
  public:
    QueueView() = default;
    QueueView(const QueueView&) = delete;
    QueueView& operator=(const QueueView&) = delete;
    virtual ~QueueView() = default;

    // Messages that are in the queue, in the order of their ids, behind `after` (from the first
    // when absent); at most `messages_max`, and fewer where a page would grow large. Only an empty
    // page is the end. A message that comes or goes between two pages may be seen or not.
    [[nodiscard]] virtual base::Result<std::vector<QueueMessage>> page(
        std::optional<mail::QueueId> after, std::size_t messages_max) = 0;

    // One message; nothing when it is not in the queue.
    [[nodiscard]] virtual base::Result<std::optional<QueueMessage>> find(mail::QueueId id) = 0;
};

}  // namespace app
