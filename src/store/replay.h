// Replay: what the log's records say, applied in order to the tables of messages and of rules.
// Synchronous; used by recovery alone. Applying the same record twice changes nothing, so the log
// may be applied over a table that has some of its effects already, as a checkpoint gives it.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "store/message_table.h"
#include "store/record_reader.h"
#include "store/rule.h"

namespace store {

class Replay {
  public:
    // Both are borrowed.
    Replay(MessageTable& table, RuleTable& rules) : table_(table), rules_(rules) {}

    // The record at `location` (its flag `spans` is found here). False: it is malformed, or this
    // version must not skip it.
    [[nodiscard]] bool apply(const Record& record, Location location);

    // Segments as Segment::until_covered says.
    [[nodiscard]] const std::set<std::uint64_t>& until_covered() const { return until_covered_; }
    // How many relocations found what they moved.
    [[nodiscard]] std::uint64_t relocations() const { return relocations_; }

  private:
    [[nodiscard]] bool apply_commit(const Record& record, Location location);
    [[nodiscard]] bool apply_outcome(const Record& record, Location location);
    [[nodiscard]] bool apply_relocation(const Record& record, Location location);
    [[nodiscard]] bool apply_change(const Record& record, Location location);
    [[nodiscard]] bool apply_rule(const Record& record, Location location);

    MessageTable& table_;
    RuleTable& rules_;
    // Changes of messages of which more are to come.
    std::map<std::uint64_t, std::vector<RecipientChange>> parts_;
    StoredMessage spread_;  // a message that lies in several segments
    std::set<std::uint64_t> until_covered_;
    std::uint64_t relocations_ = 0;
};

}  // namespace store
