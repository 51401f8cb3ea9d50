// QueueOperator: how the control plane gives commands over the queue, and asks how far they are.
// The wiring implements it by asking the shards.
//
// Called on threads of the control plane, several at once, as a QueueView is, and ends as it does
// when the server stops.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "mail/queue_id.h"
#include "queue/rules.h"
#include "queue/scheduler.h"
#include "store/rule.h"
#include "store/store.h"

namespace app {

// Rules that were given by one command, and what became of them.
struct GivenRules {
    struct Part {
        std::uint32_t shard = 0;
        std::uint32_t rule = 0;
    };
    std::uint32_t first = 0;        // the least of their numbers
    std::vector<Part> open;         // what has not been seen to be done
    queue::RuleProgress done = {};  // of the rest
};

// What the queue holds now, without looking at any message.
struct QueueTotals {
    struct Site {
        std::string name;
        std::size_t ready = 0;        // messages that wait for a connection
        std::size_t connections = 0;  // over all shards
        std::size_t connections_max = 0;
        bool dead = false;  // for some shard
        std::string last_words;
    };
    queue::QueueCounts messages;
    std::uint64_t spool_bytes = 0;  // of segments
    std::uint64_t live_bytes = 0;   // … that something needs
    base::Duration up{};            // since the start, from when …
    store::StoreCounters store;     // … these count
    std::vector<Site> sites;
    std::vector<queue::RuleProgress> rules;  // under way, over all shards
};

class QueueOperator {
  public:
    QueueOperator() = default;
    QueueOperator(const QueueOperator&) = delete;
    QueueOperator& operator=(const QueueOperator&) = delete;
    virtual ~QueueOperator() = default;

    // One rule for each id, or one for all where there is none; in force and durable when this
    // returns.
    [[nodiscard]] virtual base::Result<GivenRules> give(const store::Rule& rule,
                                                        std::span<const mail::QueueId> ids) = 0;
    // Of them all together, over all shards; what is done is not asked for again.
    [[nodiscard]] virtual base::Result<queue::RuleProgress> progress(GivenRules& given) = 0;
    [[nodiscard]] virtual base::Result<QueueTotals> totals() = 0;
};

}  // namespace app
