// What the recipients of a message wait for, told from what its shard said of it. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "queue/explain.h"
#include "store/stored_message.h"

namespace app {

// What a recipient waits for, the most telling first.
enum class Situation : std::uint8_t {
    held_by_relay,  // its message cannot be read
    held,           // by an operator's word
    telling,        // for its sender to be told, before it may end
    commanded,      // an operator's word to bounce or delete it is being carried out
    stopping,       // the server begins no more attempts
    storing,        // the store takes no outcomes now
    means,          // we lack descriptors, memory or ports
    site,           // no host of its route serves
    connections,    // all connections that may be made are in use
    turn,           // nothing: it is about to be begun
    attempt,        // an attempt is under way
    reading,        // its message is to be read again
    time,           // its next attempt is planned
    done,           // it was delivered, bounced or given up
};

// As docs/CONTROL.md has it.
[[nodiscard]] std::string_view name_of(Situation situation);

// Recipients of whom the same is to be said.
struct RecipientGroup {
    Situation situation = Situation::turn;
    store::RecipientStatus status = store::RecipientStatus::pending;
    std::uint32_t attempts = 0;
    std::string reply;
    bool answered = false;   // it came from a host; else it is our own words
    bool overtaken = false;  // in an attempt; behind it a rule makes `status` of it
    std::string relay;
    std::optional<base::WallTime> next;  // the earliest
    std::size_t count = 0;
    std::vector<std::string> addresses;  // some of them
};

// The most telling first, at most 20 of them.
[[nodiscard]] std::vector<RecipientGroup> groups_of(const queue::Explanation& all,
                                                    base::WallTime now);

}  // namespace app
