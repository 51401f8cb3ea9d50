// The walk over the queue, until no message is left that has not met every rule.
#include <algorithm>
#include <utility>

#include "queue/rule_match.h"
#include "queue/rules.h"
#include "queue/scheduler.h"

namespace queue {
namespace {

using store::Rule;
using store::RuleAction;

constexpr base::Duration kStorePause = std::chrono::milliseconds(100);
// How often what could not be carried out is tried anew.
constexpr base::Duration kAgain = std::chrono::seconds(1);

}  // namespace

// What a clerk could not carry out waits for a while.
void Rules::back(const Entry& entry) {
    if (!busy_.empty() && due(entry) && !has_in_hand(entry)) {
        again();
        wake();
    }
}

void Rules::no_room() {
    rest(scheduler_.shard().now() + kAgain);
}

void Rules::rest(base::MonoTime until) {
    rests_until_ = std::max(rests_until_, until);
}

bool Rules::rests() const {
    return scheduler_.shard().now() < rests_until_;
}

bool Rules::all_looked_at() const {
    return std::ranges::all_of(under_way_,
                               [this](const UnderWay& one) { return looked_at_ >= one.until; });
}

rt::Task<void> Rules::walk() {
    while (!scheduler_.stopping() && !scheduler_.shard().driver().dead()) {
        if (under_way_.empty()) {
            co_await wakeup_.woken("a rule");
            continue;
        }
        if (!scheduler_.store().takes_outcomes()) {
            co_await sleep_.until(scheduler_.shard().now() + kStorePause);
            continue;
        }
        look_again();
        for (std::size_t i = 0; i < kEntriesPerTurn && clerks_.size() < kClerks && !all_looked_at();
             ++i) {
            look_at_next();
        }
        end_those_done();
        if (under_way_.empty()) {
            co_await rt::NextTurn();
        } else if (clerks_.size() == kClerks || (all_looked_at() && again_left_ == 0)) {
            const base::MonoTime late = scheduler_.shard().now() + kAgain;
            co_await sleep_.until(late);
            if (scheduler_.shard().now() >= late) {
                again();
                once_more();
            }
        } else if (scheduler_.store().outcomes_waiting() >= kWaitingMost &&
                   scheduler_.store().wait_for_outcomes(written_)) {
            co_await written_.woken("the log to take what rules did");
        } else {
            co_await rt::NextTurn();
        }
    }
}

void Rules::look_at_next() {
    ++looked_at_;
    if (cursor_ >= end_) {
        cursor_ = 0;
    }
    if (Entry* entry = scheduler_.slot(cursor_++)) {
        look_at(*entry, true);
    }
}

// From now on those are looked at that were in delivery, or in a clerk's hands.
void Rules::again() {
    again_left_ = busy_.size();
}

void Rules::look_again() {
    for (std::size_t i = 0; i < kEntriesPerTurn && again_left_ > 0 && clerks_.size() < kClerks;
         ++i) {
        --again_left_;
        Entry* entry = scheduler_.find(busy_.front());
        busy_.pop_front();
        if (entry != nullptr) {
            look_at(*entry, false);
        }
    }
}

// Over all of the queue, where that is known to be needed, and of use.
void Rules::once_more() {
    if (!all_looked_at() || rests() || !passed_over()) {
        return;
    }
    passed_over_at_.reset();
    end_is(scheduler_.slots());
    for (UnderWay& one : under_way_) {
        one.until = looked_at_ + end_;
    }
}

// What is new there is not meant by who walks already, and he has to come round all the same.
void Rules::end_is(std::size_t end) {
    const std::size_t more = std::max(end, end_) - end_;
    end_ += more;
    for (UnderWay& one : under_way_) {
        one.until += one.until > looked_at_ ? more : 0;
        one.first_walk += one.first_walk > looked_at_ ? more : 0;
    }
}

// Until the walk has come by there again.
bool Rules::passed_over() const {
    return passed_over_at_ && looked_at_ - *passed_over_at_ < end_;
}

void Rules::remember(const Entry& entry) {
    if (busy_.size() < kBusyMost) {
        busy_.push_back(entry.id());
    } else {
        pass_over();
    }
}

// REQUIRES: no rule that the entry has not met needs an address.
bool Rules::deletes_all(const Entry& entry) {
    const std::span<const Verdict> verdicts = judge(entry, nullptr);
    return std::ranges::all_of(entry.recipients(), [&](const store::RecipientState& recipient) {
        const auto index = static_cast<std::uint32_t>(&recipient - entry.recipients().data());
        return store::is_final(recipient.status) ||
               std::ranges::any_of(verdicts, [index](const Verdict& one) {
                   return one.recipient == index && one.deleted_by != nullptr;
               });
    });
}

bool Rules::is_on_first_walk(const Rule& rule) {
    const UnderWay* const one = find(rule.number);
    return one != nullptr && looked_at_ <= one->first_walk;
}

void Rules::carry_out_without_envelope(Entry& entry) {
    scheduler_.withdraw(entry);
    static_cast<void>(carry_out(entry, nullptr));
    scheduler_.put_back(entry);
}

// `walks`: and is not asked again since it was in somebody's hands.
void Rules::look_at(Entry& entry, bool walks) {
    if (!due(entry)) {
        return;
    }
    if (entry.state() == EntryState::in_delivery) {
        remember(entry);
        return;
    }
    const bool readable =
        entry.hold_reason == HoldReason::none || entry.hold_reason == HoldReason::content_bad;
    bool to_be_read = false;
    bool bounces = false;
    bool to_be_deleted = false;  // by who has not been here before
    for (const Rule& rule : unmet(entry)) {
        if (means_message(rule, entry.id(), entry.message().arrival_ms())) {
            bounces = bounces || rule.action == RuleAction::bounce;
            to_be_read = to_be_read || needs_envelope(rule);
            to_be_deleted = to_be_deleted ||
                            (walks && rule.action == RuleAction::erase && is_on_first_walk(rule));
        }
    }
    if (readable && bounces && !to_be_read && deletes_all(entry)) {
        carry_out_without_envelope(entry);
        return;
    }
    if (readable && bounces && rests() && !(to_be_read && to_be_deleted)) {
        pass_over();
        return;
    }
    if (readable && (to_be_read || bounces)) {
        remember(entry);
        scheduler_.withdraw(entry);
        clerks_.push_back(entry.id());
        scope_.spawn(clerk(entry));
        return;
    }
    if (judge(entry, nullptr).empty()) {
        entry.message().rules_met = newest_for(entry);
        return;
    }
    carry_out_without_envelope(entry);
}

rt::Task<void> Rules::clerk(Entry& entry) {
    const mail::QueueId id = entry.id();
    co_await scheduler_.carry_out_rules(entry);
    std::erase(clerks_, id);
    if (const Entry* left = scheduler_.find(id); left != nullptr && due(*left)) {
        again();  // there are rules behind a bounce, or nobody could be told
    }
    wake();
}

// By one that was in delivery when it was looked at. Which messages it means at all is for its
// partition's record of it to say.
bool Rules::waited_for(const Rule& rule) {
    return std::ranges::any_of(busy_, [&](mail::QueueId id) {
        if (rule.only != mail::QueueId() && rule.only != id) {
            return false;
        }
        const Entry* entry = scheduler_.find(id);
        return entry != nullptr && std::ranges::any_of(unmet(*entry), [&](const Rule& one) {
                   return one.number == rule.number &&
                          means_message(one, id, entry->message().arrival_ms());
               });
    });
}

// By one that was passed over. A rule over one message is known to be met, however many wait.
bool Rules::may_be_unmet(const UnderWay& one) {
    if (!passed_over() || one.walks) {
        return passed_over();
    }
    const Entry* entry = scheduler_.find(one.progress.rule.only);
    return entry != nullptr && std::ranges::any_of(unmet(*entry), [&](const Rule& rule) {
               return rule.number == one.progress.rule.number;
           });
}

void Rules::end_those_done() {
    std::erase_if(busy_, [this](mail::QueueId id) {
        const Entry* entry = scheduler_.find(id);
        return entry == nullptr || !due(*entry);
    });
    again_left_ = std::min(again_left_, busy_.size());
    std::erase_if(under_way_, [this](UnderWay& one) {
        if (looked_at_ < one.until || may_be_unmet(one) || waited_for(one.progress.rule)) {
            return false;
        }
        one.progress.looked_at = one.progress.of;
        one.progress.done = true;
        scheduler_.store().end_rule(one.progress.rule.number);
        finished_.push_back(one.progress);
        if (finished_.size() > kFinishedKept) {
            finished_.pop_front();
        }
        return true;
    });
}

}  // namespace queue
