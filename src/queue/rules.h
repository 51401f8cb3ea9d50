// Rules: the operator's commands over many messages (hold, release, retry, bounce, delete), as one
// shard carries them out.
//
// A rule is in force once the log has it: whoever takes a message up asks first (due()), so nothing
// is tried, listed or kept against a rule, however many messages it means. Behind that a walk goes
// over the queue, a part each turn, and writes down what the rule makes of each message, until none
// is left; then the rule ends. A start finds those under way in the log, and walks anew: what a
// message has met already is in its own records.
//
// What a rule means is decided when the message meets it, rule by rule in the order of their
// numbers. Strategies of the walk:
//   what is resident tells enough     done at once
//   addresses are asked for, or a     by a clerk: a delivery that tries nobody; a few at a time
//   sender is to be told
//   the message is in delivery        it meets the rule between two transactions, or behind the
//                                     attempt; the walk comes back for it
//   its envelope cannot be read       only what needs no address may be done to it
//   … or its content                  it is not bounced, since nobody could be told what
//
//   rules.cc       taking them, what they say of a message, and doing that to it
//   rules_walk.cc  the walk
//
// Lives on its shard, owned by the scheduler. Limits: kRulesMax under way.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"
#include "queue/entry.h"
#include "rt/awaiters.h"
#include "rt/scope.h"
#include "rt/task.h"
#include "store/rule.h"

namespace queue {

class Scheduler;

// How far a rule has come, on one shard.
struct RuleProgress {
    store::Rule rule;
    std::uint64_t looked_at = 0;  // slots of the queue, of so many
    std::uint64_t of = 0;
    std::uint64_t messages = 0;  // that it did something to
    std::uint64_t recipients = 0;
    bool done = false;
};

class Rules {
  public:
    static constexpr std::size_t kRulesMax = 1024;

    // Borrowed.
    explicit Rules(Scheduler& scheduler);

    // REQUIRES: the store is open. Those that it brought back go on.
    void start();
    // The walk ends, and is waited for.
    [[nodiscard]] rt::Task<void> stop();

    [[nodiscard]] std::uint32_t newest() const;
    // Whether add() would take so many now; errors as there.
    [[nodiscard]] base::Status would_take(std::size_t rules) const;
    // In force, and durable when the task ends. Errors: too many are under way (EBUSY); the spool
    // takes no records now (ENOSPC), or not within some seconds (EAGAIN: they are in force, and
    // not durable yet); the server is stopping (ESHUTDOWN). REQUIRES: ascending numbers, above
    // newest().
    [[nodiscard]] rt::Task<base::Status> add(std::vector<store::Rule> rules);
    // From now on: whoever waits for the log is told that the server is stopping. A log that has no
    // room might take theirs never.
    void take_no_more();
    // The store says so of some of them.
    void durable();
    // Of that rule; done, with zeros, where nothing is known of it any more.
    [[nodiscard]] RuleProgress progress(std::uint32_t number) const;
    [[nodiscard]] std::vector<RuleProgress> under_way() const;

    // There is a rule that the message has not met.
    [[nodiscard]] bool due(const Entry& entry) const;
    [[nodiscard]] std::uint32_t newest_for(const Entry& entry) const;

    // What the rules say of a recipient; those that change nothing are left out.
    struct Verdict {
        std::uint32_t recipient = 0;
        store::RecipientStatus status = store::RecipientStatus::pending;
        base::UnixSeconds next_s = 0;
        const store::Rule* bounced_by = nullptr;
        const store::Rule* deleted_by = nullptr;
    };
    // Of all recipients, by the rules that the message has not met; in its order. The span holds
    // until the next call. `envelope`: nullptr where it was not read.
    [[nodiscard]] std::span<const Verdict> judge(const Entry& entry,
                                                 const mail::Envelope* envelope);
    // judge(), written down, for who has the entry in hand, up to the first rule that bounces
    // somebody: gives those, which is left to him, and bounced() behind it. Then it may be due()
    // still.
    [[nodiscard]] std::span<const Verdict> carry_out(Entry& entry, const mail::Envelope* envelope);
    // What that rule was to bounce has been.
    void bounced(Entry& entry, std::uint32_t number, std::size_t recipients);
    // In delivery for a rule, and for no attempt.
    [[nodiscard]] bool has_in_hand(const Entry& entry) const;
    // An entry that was in delivery is so no more.
    void back(const Entry& entry);
    // The notification of a bounce could not be stored: none is tried for a moment, or until then.
    void no_room();
    void rest(base::MonoTime until);
    [[nodiscard]] bool rests() const;

  private:
    static constexpr std::size_t kEntriesPerTurn = 512;
    static constexpr std::size_t kClerks = 8;
    static constexpr std::size_t kFinishedKept = 1024;
    // Of those that are looked at again one by one: more cost another walk over all.
    static constexpr std::size_t kBusyMost = 1024;
    // Of records that wait for the log, so that deliveries find room for theirs.
    static constexpr std::size_t kWaitingMost = 256U << 10U;

    struct UnderWay {
        [[nodiscard]] std::uint32_t number() const { return progress.rule.number; }
        RuleProgress progress;
        bool walks = true;
        std::uint64_t until = 0;       // of looked_at_, when all has been looked at
        std::uint64_t first_walk = 0;  // the same, for the first time
    };

    [[nodiscard]] rt::Task<void> walk();
    void wake() {
        wakeup_.wake();
        sleep_.interrupt();
    }
    [[nodiscard]] rt::Task<void> clerk(Entry& entry);
    [[nodiscard]] bool all_looked_at() const;
    void look_at_next();
    void again();
    void look_again();
    void once_more();
    void end_is(std::size_t end);
    [[nodiscard]] bool passed_over() const;
    void pass_over() { passed_over_at_ = looked_at_; }
    [[nodiscard]] bool is_on_first_walk(const store::Rule& rule);
    void carry_out_without_envelope(Entry& entry);
    void count_deleted();
    void remember(const Entry& entry);
    void look_at(Entry& entry, bool walks);
    [[nodiscard]] bool deletes_all(const Entry& entry);
    void end_those_done();
    void begin(const store::Rule& rule);
    [[nodiscard]] std::span<const store::Rule> unmet(const Entry& entry) const;
    // Fills meant_.
    void choose(const Entry& entry, const mail::Envelope* envelope);
    void apply(const Entry& entry, const mail::Envelope* envelope,
               std::span<const Verdict> but = {});
    void judge_recipient(const Entry& entry, std::uint32_t recipient, std::string_view path);
    [[nodiscard]] UnderWay* find(std::uint32_t number);
    void count();
    void count(std::uint32_t number, std::size_t recipients);
    [[nodiscard]] bool waited_for(const store::Rule& rule);
    [[nodiscard]] bool may_be_unmet(const UnderWay& one);

    Scheduler& scheduler_;
    rt::Scope scope_;
    std::vector<UnderWay> under_way_;  // ascending
    std::deque<RuleProgress> finished_;
    std::uint64_t looked_at_ = 0;
    std::size_t cursor_ = 0;
    std::size_t end_ = 0;             // of the slots that are looked at
    std::deque<mail::QueueId> busy_;  // in delivery when they were looked at, or with a clerk
    std::size_t again_left_ = 0;      // of the first of these, to be looked at now
    // Of looked_at_, when one was passed over that has not met all rules.
    std::optional<std::uint64_t> passed_over_at_;
    base::MonoTime rests_until_{};       // no room for notifications, or too many of them
    std::vector<mail::QueueId> clerks_;  // what is in their hands
    rt::Wakeup wakeup_;
    rt::Sleep sleep_;
    rt::Wakeup written_;
    bool takes_more_ = true;
    std::vector<rt::Sleep*> givers_;  // who waits in add()

    // Of one judgement; they keep their memory.
    struct Meant {
        const store::Rule* rule;
        bool touched;  // a recipient
        std::uint32_t recipients;
    };
    std::vector<Meant> meant_;
    std::vector<Verdict> verdicts_;
    std::vector<Verdict> deleted_;
    std::vector<store::RecipientChange> changes_;
    bool releases_ = false;
};

}  // namespace queue
