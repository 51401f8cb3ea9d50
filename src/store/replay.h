// Replay: what the log's records say, applied in order. The result is the messages that are alive.
// Synchronous; used by recovery alone. Applying the same record twice changes nothing.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "store/listener.h"
#include "store/record_reader.h"

namespace store {

class Replay {
  public:
    struct Message {
        std::uint64_t id = 0;
        Location location;
        std::int64_t arrival_ms = 0;
        std::uint64_t stored_bytes = 0;
        std::uint64_t first_recipient = 0;  // in the table of recipients
        std::uint32_t recipients = 0;
        std::uint32_t oldest_segment = 0;
        bool alive = true;
    };

    // The record at `location` (its flag `spans` is found here). False: it is malformed, or this
    // version must not skip it.
    [[nodiscard]] bool apply(const Record& record, Location location);

    // The messages that are alive, in the order of their ids. Ends the replay.
    [[nodiscard]] std::span<const Message> finish();
    [[nodiscard]] std::span<const RecipientState> recipients(const Message& message) const;

  private:
    [[nodiscard]] bool apply_commit(const Record& record, Location location);
    [[nodiscard]] bool apply_outcome(const Record& record, Location location);

    std::vector<Message> messages_;
    std::vector<RecipientState> recipients_;
    std::unordered_map<std::uint64_t, std::size_t> by_id_;
};

}  // namespace store
