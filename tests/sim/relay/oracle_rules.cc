// What the operator's rules allow, and what they forbid.
#include <algorithm>

#include "queue/rule_match.h"
#include "sim/relay/oracle.h"

namespace sim::relay {

std::size_t Oracle::rule_given(const store::Rule& rule) {
    rules_.push_back({rule, world_.now(), base::kNever});
    const std::string text = std::string("rule ") + std::to_string(rules_.size()) + ": " +
                             store::name_of(rule.action) + " sender=" + rule.sender +
                             " recipient=" + rule.recipient + " domain=" + rule.domain +
                             " only=" + std::string(mail::view(rule.only.text()));
    journal_.note(text);
    world_.count(Fault::peer, std::string("operator: ") + store::name_of(rule.action));
    return rules_.size() - 1;
}

void Oracle::rule_durable(std::size_t number) {
    journal_.note("rule " + std::to_string(number + 1) + " is durable");
    rules_.at(number).durable = world_.now();
}

std::uint64_t Oracle::any_letter(base::Prng& prng) const {
    if (messages_.empty()) {
        return 0;
    }
    auto at = messages_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(prng.below(messages_.size())));
    return at->first;
}

bool Oracle::may_mean(const GivenRule& given, const Message& message, const std::string& path) {
    const store::Rule& rule = given.rule;
    const bool sent = message.phase != Phase::composing && message.end_sent <= given.durable;
    const bool only = rule.only == mail::QueueId() || message.id.empty() ||
                      message.id == mail::view(rule.only.text());
    return sent && only && queue::means_sender(rule, message.letter.reverse_path) &&
           queue::means_recipient(rule, path);
}

bool Oracle::may_mean(store::RuleAction action, const Message& message,
                      const std::string& path) const {
    return std::ranges::any_of(rules_, [&](const GivenRule& given) {
        return given.rule.action == action && may_mean(given, message, path);
    });
}

bool Oracle::means(const GivenRule& given, const Message& message, const std::string& path) {
    return given.durable != base::kNever && message.acknowledged <= given.given &&
           may_mean(given, message, path);
}

// An attempt that was under way then may go on: until its outcome, or until the program ends.
bool Oracle::under_way_since(const Recipient& recipient, base::MonoTime since, base::MonoTime sent,
                             bool sooner) const {
    if (started_ > since && sent >= started_) {
        return false;
    }
    const auto ended = [&](const Outcome& outcome) {
        return outcome.status != Status::delayed && outcome.at > since && outcome.at < sent;
    };
    if (std::ranges::any_of(recipient.outcomes, ended)) {
        return false;
    }
    const Outcome* last = certain(recipient);
    const bool waited = last != nullptr && last->status == Status::deferred && last->at <= since &&
                        last->at + last->announced > since && !sooner &&
                        !plan_.on(Fault::wall_step);
    return !waited;
}

void Oracle::check_rules(const Message& message, const std::string& path, base::MonoTime sent) {
    const Recipient& one = recipient(path);
    // Made due by an earlier rule, it may have been under way whatever its wait was.
    const bool sooner = may_mean(store::RuleAction::retry, message, path) ||
                        may_mean(store::RuleAction::release, message, path);
    const GivenRule* held = nullptr;
    for (const GivenRule& given : rules_) {
        const bool meant = means(given, message, path) && given.durable < sent;
        const store::RuleAction action = given.rule.action;
        if (action == store::RuleAction::erase && meant &&
            !under_way_since(one, given.durable, sent, sooner)) {
            journal_.fault(path + " is offered to a next hop, and was deleted before");
        } else if (action == store::RuleAction::hold && meant) {
            held = &given;
        } else if (action == store::RuleAction::release && may_mean(given, message, path)) {
            held = nullptr;
        }
    }
    if (held != nullptr && !sooner && !under_way_since(one, held->durable, sent, sooner)) {
        journal_.fault(path + " is offered to a next hop, and is held");
    }
}

}  // namespace sim::relay
