// QueueView: how the control plane sees the queue. The wiring implements it by asking the shards.
//
// Called on threads of the control plane, several at once; a call blocks until the shards have
// answered. When the server stops, calls under way return an error soon, and later ones at once,
// so that the control plane can end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "mail/queue_id.h"
#include "store/rule.h"

namespace app {

enum class RecipientState : std::uint8_t {
    pending,
    deferred,
    held,
    delivered,
    bounced,
    expired,
    deleted
};

// What a recipient's next attempt waits for.
enum class WaitsFor : std::uint8_t { nothing, time, turn, site };

struct QueueRecipient {
    std::string address;  // without brackets
    RecipientState state = RecipientState::pending;
    WaitsFor waits_for = WaitsFor::nothing;
    std::optional<base::WallTime> next_attempt = {};  // where a time is waited for
    std::uint32_t attempts = 0;
    bool in_attempt = false;     // one more is under way
    bool to_be_bounced = false;  // by a command, as soon as its sender can be told
    bool meant = true;           // by the filter
    std::string
        last_reply;  // with its codes, or what went wrong in words; "" before the first attempt
};

struct QueueMessage {
    mail::QueueId id;
    base::WallTime arrival;
    std::uint64_t size_bytes = 0;
    std::string sender;  // "" is the null path
    std::vector<QueueRecipient> recipients;
    std::string hold_reason = {};  // why the relay itself holds it; "" where it does not
    bool readable = true;          // false: sender, size and addresses are unknown, and empty
};

// Where a listing goes on. Means something to the view that gave it alone.
struct QueueCursor {
    std::uint32_t shard = 0;
    std::uint64_t position = 0;
    // How far that is: places of the queue that were looked at, and all of them, about.
    std::uint64_t looked_at = 0;
    std::uint64_t of = 0;
};

struct QueuePageWish {
    std::size_t messages_max = 200;
    bool replies = true;  // the last one of each recipient; without, a page takes far less time
};

struct QueuePage {
    std::vector<QueueMessage> messages;
    std::optional<QueueCursor> next;  // absent behind the last page
};

class QueueView {
  public:
    QueueView() = default;
    QueueView(const QueueView&) = delete;
    QueueView& operator=(const QueueView&) = delete;
    virtual ~QueueView() = default;

    // Messages in the queue with a recipient that the filter means, from the cursor on
    // (QueueCursor() is the beginning), in no order of time; at most as many as wished, and fewer,
    // even none, where a page would be long in the making. A message that is queued all the while
    // comes once; one that comes or goes between two pages may be seen or not.
    [[nodiscard]] virtual base::Result<QueuePage> page(QueueCursor from, const store::Rule& filter,
                                                       const QueuePageWish& wish) = 0;
};

}  // namespace app
