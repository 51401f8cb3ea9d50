#include "store/rule.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace store {
namespace {

using Field = format::RuleField;

constexpr std::array kFields = {
    std::pair(Field::sender, &Rule::sender), std::pair(Field::recipient, &Rule::recipient),
    std::pair(Field::domain, &Rule::domain), std::pair(Field::tenant, &Rule::tenant),
    std::pair(Field::words, &Rule::words)};

}  // namespace

const char* name_of(RuleAction action) {
    switch (action) {
        case RuleAction::hold:
            return "hold";
        case RuleAction::release:
            return "release";
        case RuleAction::retry:
            return "retry";
        case RuleAction::bounce:
            return "bounce";
        case RuleAction::erase:
            return "delete";
    }
    RP_PANIC("unknown rule action");
}

std::uint64_t rule_payload_bytes(const Rule& rule) {
    std::uint64_t bytes = sizeof(format::Rule);
    for (const auto& [tag, text] : kFields) {
        bytes += (rule.*text).empty() ? 0 : sizeof(format::FieldHeader) + (rule.*text).size();
    }
    return bytes;
}

void put_rule(RecordWriter& writer, const Rule& rule) {
    format::Rule fixed;
    fixed.number = rule.number;
    fixed.action = static_cast<std::uint8_t>(rule.action);
    fixed.statuses = rule.statuses;
    fixed.at_ms = rule.at_ms;
    fixed.newest = rule.newest.value();
    fixed.only = rule.only.value();
    fixed.arrived_from_ms = rule.arrived_from_ms;
    fixed.arrived_until_ms = rule.arrived_until_ms;
    writer.begin(format::RecordType::rule, rule_payload_bytes(rule));
    writer.put(fixed);
    for (const auto& [tag, text] : kFields) {
        writer.put_field(static_cast<std::uint16_t>(tag), rule.*text);
    }
    writer.end();
}

std::optional<Rule> decode_rule(const Record& record) {
    format::Rule fixed;
    if (record.type != format::RecordType::rule || record.payload.size() < sizeof fixed) {
        return std::nullopt;
    }
    std::memcpy(&fixed, record.payload.data(), sizeof fixed);
    if (fixed.number == 0 || fixed.action == 0 || fixed.action > kRuleActionMax) {
        return std::nullopt;
    }
    Rule rule;
    rule.number = fixed.number;
    rule.action = static_cast<RuleAction>(fixed.action);
    rule.statuses = fixed.statuses;
    rule.at_ms = fixed.at_ms;
    rule.newest = mail::QueueId(fixed.newest);
    rule.only = mail::QueueId(fixed.only);
    rule.arrived_from_ms = fixed.arrived_from_ms;
    rule.arrived_until_ms = fixed.arrived_until_ms;
    FieldReader fields(record.payload.subspan(sizeof fixed));
    while (const auto field = fields.next()) {
        const auto known = std::ranges::find(kFields, static_cast<Field>(field->tag),
                                             [](const auto& one) { return one.first; });
        if (known != kFields.end()) {
            (rule.*known->second).assign(base::as_text(field->value));
        } else {
            return std::nullopt;  // a condition that is not understood might mean too many
        }
    }
    return fields.malformed() ? std::nullopt : std::optional(std::move(rule));
}

std::uint64_t change_payload_bytes(std::size_t recipients) {
    return sizeof(format::Change) + recipients * sizeof(format::ChangedRecipient);
}

void put_change(RecordWriter& writer, mail::QueueId id, std::span<const RecipientChange> changes,
                std::uint32_t rules_met, bool more) {
    writer.begin(format::RecordType::change, change_payload_bytes(changes.size()));
    writer.put(format::Change{
        id.value(), rules_met,
        static_cast<std::uint32_t>(changes.size()) | (more ? format::Change::kMore : 0U)});
    for (const RecipientChange& change : changes) {
        writer.put(format::ChangedRecipient{
            change.recipient, change.next_s, static_cast<std::uint8_t>(change.status), {}});
    }
    writer.end();
}

std::optional<StoredChange> decode_change(const Record& record) {
    format::Change fixed;
    if (record.type != format::RecordType::change || record.payload.size() < sizeof fixed) {
        return std::nullopt;
    }
    std::memcpy(&fixed, record.payload.data(), sizeof fixed);
    StoredChange stored{.id = mail::QueueId(fixed.id),
                        .rules_met = fixed.rules_met,
                        .more = (fixed.count & format::Change::kMore) != 0,
                        .recipients = {}};
    const std::uint64_t count = fixed.count & ~format::Change::kMore;
    const base::Bytes list = record.payload.subspan(sizeof fixed);
    if (list.size() != count * sizeof(format::ChangedRecipient)) {
        return std::nullopt;
    }
    stored.recipients.resize(count);
    for (std::size_t i = 0; i < stored.recipients.size(); ++i) {
        format::ChangedRecipient one;
        std::memcpy(&one, list.data() + i * sizeof one, sizeof one);
        if (one.status > kRecipientStatusMax) {
            return std::nullopt;
        }
        stored.recipients[i] = {one.recipient, static_cast<RecipientStatus>(one.status),
                                one.next_s};
    }
    return stored;
}

std::optional<format::RuleEnd> decode_rule_end(const Record& record) {
    format::RuleEnd fixed;
    if (record.type != format::RecordType::rule_end || record.payload.size() < sizeof fixed) {
        return std::nullopt;
    }
    std::memcpy(&fixed, record.payload.data(), sizeof fixed);
    return fixed;
}

void RuleTable::saw(std::uint32_t number) {
    newest_ = std::max(newest_, number);
}

void RuleTable::add(const Rule& rule) {
    if (rules_.empty() || rules_.back().number < rule.number) {
        rules_.push_back(rule);
    }
    saw(rule.number);
}

std::span<const Rule> RuleTable::durable() const {
    const auto end = std::ranges::upper_bound(rules_, newest_durable_, {}, &Rule::number);
    return std::span(rules_).first(static_cast<std::size_t>(end - rules_.begin()));
}

void RuleTable::became_durable(std::uint32_t number) {
    saw(number);
    newest_durable_ = std::max(newest_durable_, number);
}

void RuleTable::end(std::uint32_t number) {
    std::erase_if(rules_, [number](const Rule& rule) { return rule.number == number; });
    saw(number);
}

void RuleTable::clear() {
    rules_.clear();
    newest_ = 0;
    newest_durable_ = 0;
}

}  // namespace store
