#include "queue/rule_match.h"

#include "base/bytes.h"
#include "mail/envelope.h"

namespace queue {
namespace {

bool domain_matches(std::string_view pattern, std::string_view domain) {
    if (!pattern.starts_with("*.")) {
        return base::equal_ignoring_case(pattern, domain);
    }
    pattern.remove_prefix(1);
    return domain.size() > pattern.size() &&
           base::equal_ignoring_case(pattern, domain.substr(domain.size() - pattern.size()));
}

}  // namespace

bool address_matches(std::string_view pattern, std::string_view path) {
    if (pattern == "<>") {
        return path.empty();
    }
    return pattern.starts_with('@') ? domain_matches(pattern.substr(1), mail::domain_of(path))
                                    : base::equal_ignoring_case(pattern, path);
}

bool needs_envelope(const store::Rule& rule) {
    return !rule.sender.empty() || !rule.recipient.empty() || !rule.domain.empty() ||
           !rule.tenant.empty();
}

bool means_message(const store::Rule& rule, mail::QueueId id, std::int64_t arrival_ms) {
    const bool accepted_before = rule.newest == mail::QueueId() || id <= rule.newest;
    return accepted_before && (rule.only == mail::QueueId() || rule.only == id) &&
           arrival_ms >= rule.arrived_from_ms && arrival_ms <= rule.arrived_until_ms;
}

bool means_sender(const store::Rule& rule, std::string_view reverse_path) {
    return (rule.sender.empty() || address_matches(rule.sender, reverse_path)) &&
           (rule.tenant.empty() || domain_matches(rule.tenant, mail::domain_of(reverse_path)));
}

bool means_recipient(const store::Rule& rule, std::string_view forward_path) {
    return (rule.recipient.empty() || address_matches(rule.recipient, forward_path)) &&
           (rule.domain.empty() || domain_matches(rule.domain, mail::domain_of(forward_path)));
}

bool means_status(const store::Rule& rule, store::RecipientStatus status) {
    return rule.statuses == 0 || (rule.statuses >> static_cast<unsigned>(status) & 1U) != 0;
}

}  // namespace queue
