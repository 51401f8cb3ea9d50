// Rule: a command of the operator's over many messages, as the log keeps it: what is to be done,
// and to which. It means messages that were accepted before it, and no later ones, whatever their
// place in the log has become since. RuleTable: those of one partition that are under way.
//
// Which addresses it means is the queue's business (queue/rules.h); the store keeps the words.
// Plain values; lives on its shard.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "mail/queue_id.h"
#include "store/record_reader.h"
#include "store/record_writer.h"
#include "store/stored_message.h"

namespace store {

// As it is on disk (do not renumber).
enum class RuleAction : std::uint8_t {
    hold = 1,     // not tried until it is released
    release = 2,  // held no more, and due
    retry = 3,    // what is deferred is due
    bounce = 4,   // given up, and the sender is told
    erase = 5,    // taken out of the queue, and nobody is told
};
constexpr std::uint8_t kRuleActionMax = 5;
// As the command is called.
[[nodiscard]] const char* name_of(RuleAction action);

struct Rule {
    static constexpr std::size_t kTextBytesMax = 512;

    std::uint32_t number = 0;  // ascending; the same in all partitions
    RuleAction action = RuleAction::hold;
    std::uint8_t statuses = 0;  // a bit for each RecipientStatus that is meant; 0: any
    std::int64_t at_ms = 0;     // when it was given
    mail::QueueId newest = {};  // of what its partition had accepted then
    mail::QueueId only = {};    // this message; none: any
    // When the message arrived.
    std::int64_t arrived_from_ms = std::numeric_limits<std::int64_t>::min();
    std::int64_t arrived_until_ms = std::numeric_limits<std::int64_t>::max();
    // "" means any; at most kTextBytesMax each.
    std::string sender = {};
    std::string recipient = {};
    std::string domain = {};
    std::string tenant = {};
    std::string words = {};  // for who is told of it
};

[[nodiscard]] std::uint64_t rule_payload_bytes(const Rule& rule);
void put_rule(RecordWriter& writer, const Rule& rule);
// Nothing where the payload is malformed, or says what this version does not understand: it might
// mean too many then.
[[nodiscard]] std::optional<Rule> decode_rule(const Record& record);
[[nodiscard]] std::optional<format::RuleEnd> decode_rule_end(const Record& record);

// What rules make of one recipient.
struct RecipientChange {
    std::uint32_t recipient = 0;  // index in the envelope
    RecipientStatus status = RecipientStatus::pending;
    base::UnixSeconds next_s = 0;  // deferred: when it is due
};
struct StoredChange {
    mail::QueueId id;
    std::uint32_t rules_met = 0;
    bool more = false;  // it takes effect with the message's next one
    std::vector<RecipientChange> recipients;
};
[[nodiscard]] std::uint64_t change_payload_bytes(std::size_t recipients);
void put_change(RecordWriter& writer, mail::QueueId id, std::span<const RecipientChange> changes,
                std::uint32_t rules_met, bool more);
[[nodiscard]] std::optional<StoredChange> decode_change(const Record& record);

class RuleTable {
  public:
    // Ascending.
    [[nodiscard]] std::span<const Rule> all() const { return rules_; }
    // … that are durable.
    [[nodiscard]] std::span<const Rule> durable() const;
    // The number of the newest that was ever seen here.
    [[nodiscard]] std::uint32_t newest() const { return newest_; }
    // … and is durable: what is committed from now on comes behind it.
    [[nodiscard]] std::uint32_t newest_durable() const { return newest_durable_; }
    // A number was used.
    void saw(std::uint32_t number);
    // Passed over where that number, or a newer one, is there already.
    void add(const Rule& rule);
    void became_durable(std::uint32_t number);
    void end(std::uint32_t number);
    void clear();

  private:
    std::vector<Rule> rules_;
    std::uint32_t newest_ = 0;
    std::uint32_t newest_durable_ = 0;
};

}  // namespace store
