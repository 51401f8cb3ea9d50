// EventQueue: what will happen in the simulated world, in the order of virtual time. Events of one
// instant come in random order. Owned by World.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>

#include "base/time.h"

namespace sim {

// Names one scheduled event, to take it back. A default one names none.
struct EventId {
    base::MonoTime time{};
    std::uint64_t tie = 0;       // random, decides within an instant
    std::uint64_t sequence = 0;  // from 1; 0 is none
    friend auto operator<=>(const EventId&, const EventId&) = default;
};

class EventQueue {
  public:
    struct Event {
        const char* label;  // a literal; part of the trace
        std::function<void()> happen;
    };

    EventId add(base::MonoTime time, std::uint64_t tie, const char* label,
                std::function<void()> happen) {
        const EventId id{time, tie, ++sequence_};
        events_.emplace(id, Event{label, std::move(happen)});
        return id;
    }
    // False when it has happened already, or was taken back before.
    bool remove(const EventId& id) { return events_.erase(id) != 0; }
    [[nodiscard]] bool empty() const { return events_.empty(); }
    [[nodiscard]] std::size_t size() const { return events_.size(); }
    // REQUIRES of both: !empty().
    [[nodiscard]] base::MonoTime next_time() const { return events_.begin()->first.time; }
    [[nodiscard]] std::pair<EventId, Event> take() {
        auto node = events_.extract(events_.begin());
        return {node.key(), std::move(node.mapped())};
    }

  private:
    std::map<EventId, Event> events_;
    std::uint64_t sequence_ = 0;
};

}  // namespace sim
