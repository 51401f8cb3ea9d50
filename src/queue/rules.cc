#include "queue/rules.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string>
#include <utility>

#include "base/assert.h"
#include "queue/rule_match.h"
#include "queue/scheduler.h"

namespace queue {

using store::RecipientStatus;
using store::Rule;
using store::RuleAction;

namespace {

// How long who gives a rule waits for the log to take it.
constexpr base::Duration kGiveMost = std::chrono::seconds(5);

}  // namespace

Rules::Rules(Scheduler& scheduler) : scheduler_(scheduler), scope_(scheduler.shard(), "rules") {}

void Rules::start() {
    std::vector<Rule> found;
    for (std::uint32_t partition = 0; partition < mail::QueueId::kPartitionsMax; ++partition) {
        for (const Rule& rule : scheduler_.store().rules(partition)) {
            if (std::ranges::find(found, rule.number, &Rule::number) == found.end()) {
                found.push_back(rule);
            }
        }
    }
    std::ranges::sort(found, {}, &Rule::number);
    for (const Rule& rule : found) {
        begin(rule);
    }
    scope_.spawn(walk());
}

rt::Task<void> Rules::stop() {
    take_no_more();
    wake();
    if (written_.linked()) {
        written_.unlink();  // the log may have no room for it, ever
        written_.wake();
    }
    co_await scope_.join();
}

std::uint32_t Rules::newest() const {
    return scheduler_.store().newest_rule();
}

base::Status Rules::would_take(std::size_t rules) const {
    if (under_way_.size() + rules > kRulesMax) {
        return base::fail(EBUSY, std::to_string(under_way_.size()) +
                                     " commands over the queue are under way, which is the "
                                     "most; wait until some have ended");
    }
    if (!takes_more_) {
        return base::fail(ESHUTDOWN, "the server is stopping");
    }
    if (!scheduler_.store().takes_outcomes()) {
        return base::fail(ENOSPC, "the spool takes no records now: is the disk full?");
    }
    return {};
}

rt::Task<base::Status> Rules::add(std::vector<Rule> rules) {
    if (base::Status taken = would_take(rules.size()); !taken) {
        co_return taken;
    }
    scheduler_.store().add_rules(rules);
    rt::Sleep sleep;
    givers_.push_back(&sleep);
    const std::uint32_t last = rules.back().number;
    const base::MonoTime until = scheduler_.shard().now() + kGiveMost;
    while (takes_more_ && !scheduler_.store().rule_durable(last) &&
           scheduler_.shard().now() < until) {
        co_await sleep.until(until);
    }
    std::erase(givers_, &sleep);
    if (!takes_more_ && !scheduler_.store().rule_durable(last)) {
        co_return base::fail(ESHUTDOWN,
                             "the server is stopping, and the spool has not taken the command yet; "
                             "give it again after the start");
    }
    const bool durable = scheduler_.store().rule_durable(last);
    // Whatever was accepted before is in the queue by now.
    for (const Rule& rule : rules) {
        begin(rule);
        if (rule.action == RuleAction::retry) {
            scheduler_.try_sites_now();
        }
    }
    wake();
    if (!durable) {
        co_return base::fail(EAGAIN,
                             "the command is in force, but the spool does not take it: is the disk "
                             "full? Until it does, a crash would undo it");
    }
    co_return base::Status();
}

void Rules::take_no_more() {
    takes_more_ = false;
    durable();
}

void Rules::durable() {
    for (rt::Sleep* giver : givers_) {
        giver->interrupt();
    }
}

void Rules::begin(const Rule& rule) {
    UnderWay one;
    one.progress.rule = rule;
    one.walks = rule.only == mail::QueueId();
    if (one.walks) {
        end_is(scheduler_.slots());
    }
    one.progress.of = one.walks ? end_ : 1;
    one.until = looked_at_ + (one.walks ? end_ : 0);
    one.first_walk = one.until;
    if (!one.walks) {
        busy_.push_back(rule.only);
        again();
    }
    under_way_.push_back(std::move(one));
}

Rules::UnderWay* Rules::find(std::uint32_t number) {
    const auto at = std::ranges::lower_bound(under_way_, number, {}, &UnderWay::number);
    return at == under_way_.end() || at->number() != number ? nullptr : &*at;
}

RuleProgress Rules::progress(std::uint32_t number) const {
    const auto open = std::ranges::lower_bound(under_way_, number, {}, &UnderWay::number);
    if (open != under_way_.end() && open->number() == number) {
        RuleProgress progress = open->progress;
        const std::uint64_t left = open->until > looked_at_ ? open->until - looked_at_ : 0;
        progress.looked_at = progress.of > left ? progress.of - left : 0;
        return progress;
    }
    const auto at = std::ranges::find(finished_, number,
                                      [](const RuleProgress& one) { return one.rule.number; });
    if (at != finished_.end()) {
        return *at;
    }
    RuleProgress unknown;
    unknown.done = true;
    return unknown;
}

std::vector<RuleProgress> Rules::under_way() const {
    std::vector<RuleProgress> all;
    for (const UnderWay& one : under_way_) {
        all.push_back(progress(one.progress.rule.number));
    }
    return all;
}

bool Rules::has_in_hand(const Entry& entry) const {
    return std::ranges::find(clerks_, entry.id()) != clerks_.end();
}

std::uint32_t Rules::newest_for(const Entry& entry) const {
    const std::span<const Rule> rules = scheduler_.store().rules(entry.id().partition());
    return rules.empty() ? 0 : rules.back().number;
}

bool Rules::due(const Entry& entry) const {
    return newest_for(entry) > entry.message().rules_met;
}

std::span<const Rule> Rules::unmet(const Entry& entry) const {
    const std::span<const Rule> rules = scheduler_.store().rules(entry.id().partition());
    const auto first =
        std::ranges::upper_bound(rules, entry.message().rules_met, {}, &Rule::number);
    return rules.subspan(static_cast<std::size_t>(first - rules.begin()));
}

void Rules::choose(const Entry& entry, const mail::Envelope* envelope) {
    meant_.clear();
    for (const Rule& rule : unmet(entry)) {
        if (!means_message(rule, entry.id(), entry.message().arrival_ms()) ||
            (envelope != nullptr && !means_sender(rule, envelope->reverse_path())) ||
            (envelope == nullptr && needs_envelope(rule))) {
            continue;
        }
        meant_.push_back({&rule, false, 0});
    }
}

std::span<const Rules::Verdict> Rules::judge(const Entry& entry, const mail::Envelope* envelope) {
    choose(entry, envelope);
    apply(entry, envelope);
    return verdicts_;
}

// Those that were chosen; `but` for these, in the order of recipients.
void Rules::apply(const Entry& entry, const mail::Envelope* envelope,
                  std::span<const Verdict> but) {
    verdicts_.clear();
    releases_ = false;
    for (std::uint32_t i = 0; i < entry.recipients().size() && !meant_.empty(); ++i) {
        const bool known = std::ranges::binary_search(but, i, {}, &Verdict::recipient);
        if (!known && !store::is_final(entry.recipients()[i].status)) {
            judge_recipient(entry, i,
                            envelope == nullptr ? std::string_view() : envelope->recipient(i));
        }
    }
}

void Rules::judge_recipient(const Entry& entry, std::uint32_t recipient, std::string_view path) {
    const store::RecipientState& state = entry.recipients()[recipient];
    // What the relay itself holds counts as held, and is not on record as that.
    const bool held_whole = entry.hold_reason != HoldReason::none;
    const RecipientStatus before = held_whole ? RecipientStatus::held : state.status;
    const auto now_s = base::unix_seconds(scheduler_.shard().wall_now());
    Verdict verdict{recipient, state.status, state.next_s, nullptr};
    RecipientStatus status = before;
    for (Meant& one : meant_) {
        const Rule& rule = *one.rule;
        // Who is bounced may still be deleted until his sender was told, and nothing else.
        const bool settled = verdict.bounced_by != nullptr && rule.action != RuleAction::erase;
        if (settled || !means_status(rule, status) || !means_recipient(rule, path)) {
            continue;
        }
        bool does = false;
        switch (rule.action) {
            case RuleAction::hold:
                does = verdict.status != RecipientStatus::held;
                status = verdict.status = RecipientStatus::held;
                break;
            case RuleAction::release:
                does = status == RecipientStatus::held;
                if (does) {
                    status = verdict.status =
                        state.attempts == 0 ? RecipientStatus::pending : RecipientStatus::deferred;
                    verdict.next_s = now_s;
                }
                break;
            case RuleAction::retry:
                does = status == RecipientStatus::deferred;
                verdict.next_s = does ? std::min(verdict.next_s, now_s) : verdict.next_s;
                break;
            case RuleAction::bounce:
                does = !held_whole;
                verdict.bounced_by = does ? &rule : nullptr;
                break;
            case RuleAction::erase:
                does = true;
                status = verdict.status = RecipientStatus::deleted;
                verdict.bounced_by = nullptr;
                verdict.deleted_by = &rule;
                break;
        }
        one.touched = one.touched || does;
        one.recipients += does ? 1 : 0;
        if (status == RecipientStatus::deleted) {
            break;
        }
    }
    if (held_whole && status != RecipientStatus::held && status != RecipientStatus::deleted) {
        releases_ = true;
    }
    const bool sooner = status == RecipientStatus::deferred && verdict.next_s != state.next_s;
    if (verdict.bounced_by != nullptr || status != before || verdict.status != state.status ||
        sooner) {
        verdicts_.push_back(verdict);
    }
}

// Of what is carried out. A bounce counts once somebody has been told.
void Rules::count() {
    for (const Meant& one : meant_) {
        if (one.touched && one.rule->action != RuleAction::bounce) {
            count(one.rule->number, one.recipients);
        }
    }
}

void Rules::count(std::uint32_t number, std::size_t recipients) {
    if (UnderWay* const rule = find(number)) {
        ++rule->progress.messages;
        rule->progress.recipients += recipients;
    }
}

void Rules::count_deleted() {
    while (!deleted_.empty()) {
        const Rule* const by = deleted_.back().deleted_by;
        count(by->number,
              std::erase_if(deleted_, [by](const Verdict& one) { return one.deleted_by == by; }));
    }
}

// Up to the first rule that bounces somebody: those behind it come when that is done, so that none
// is applied before an older one, whatever happens meanwhile. (But whoever is deleted in the end is
// so at once: a sender who cannot be told for hours is no reason to keep what nobody wants.)
std::span<const Rules::Verdict> Rules::carry_out(Entry& entry, const mail::Envelope* envelope) {
    choose(entry, envelope);
    apply(entry, envelope);
    std::uint32_t bounce = UINT32_MAX;
    deleted_.clear();
    for (const Verdict& verdict : verdicts_) {
        if (verdict.bounced_by != nullptr) {
            bounce = std::min(bounce, verdict.bounced_by->number);
        }
    }
    if (bounce != UINT32_MAX) {
        deleted_.clear();
        std::ranges::copy_if(verdicts_, std::back_inserter(deleted_),
                             [](const Verdict& verdict) { return verdict.deleted_by != nullptr; });
        std::erase_if(meant_, [bounce](const Meant& one) { return one.rule->number > bounce; });
        for (Meant& one : meant_) {
            one = {one.rule, false, 0};
        }
        apply(entry, envelope, deleted_);
    }
    count();
    changes_.clear();
    for (const Verdict& verdict : verdicts_) {
        const store::RecipientState& state = entry.recipients()[verdict.recipient];
        // Of who is bounced, too, what the rules before that make of him: they are met.
        if (verdict.bounced_by == nullptr || verdict.status != state.status ||
            verdict.next_s != state.next_s) {
            changes_.push_back({verdict.recipient, verdict.status, verdict.next_s});
        }
    }
    for (const Verdict& verdict : deleted_) {
        changes_.push_back({verdict.recipient, verdict.status, verdict.next_s});
    }
    std::ranges::sort(changes_, {}, &store::RecipientChange::recipient);
    count_deleted();
    std::erase_if(verdicts_, [](const Verdict& one) { return one.bounced_by == nullptr; });
    if (releases_) {
        entry.hold_reason = HoldReason::none;
    }
    // Until who is to be told of a bounce has been told, a start must ask again.
    const std::uint32_t met =
        verdicts_.empty() ? newest_for(entry) : std::max(entry.message().rules_met, bounce - 1);
    if (!changes_.empty()) {
        scheduler_.store().record_changes(entry.message(), changes_, met);
    } else {
        entry.message().rules_met = met;
    }
    return verdicts_;
}

void Rules::bounced(Entry& entry, std::uint32_t number, std::size_t recipients) {
    count(number, recipients);
    const bool waits = std::ranges::any_of(
        entry.recipients(), [](const auto& one) { return !store::is_final(one.status); });
    if (waits) {
        scheduler_.store().record_changes(entry.message(), {}, number);
    }
}

}  // namespace queue
