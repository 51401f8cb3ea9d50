// Oracle: what must be true of the relay, judged from outside: by what clients sent and were told,
// what next hops were offered and answered, and what the disk holds. It computes with the plan's
// waits, expiry and limits. Of the relay itself it believes these, and holds them against the rest:
// the log's lines of attempts, one per recorded outcome and in the same order; the store's count of
// outcomes that are durable; the ids in its queue, until the queue is empty. It survives crashes;
// it is told of each instant as it happens, and says what is wrong to the journal.
//
//  - what got 250 was durable before the 250 left, and is delivered, bounced or queued ever after,
//    with its bytes, its sender and its recipients;
//  - what was refused, broken off or not ended is never offered to anyone;
//  - a final recipient is not tried again, unless a power cut or kill came before that was durable,
//    or the next hop's answer could have been lost. An orderly stop excuses nothing;
//  - an outcome is durable soon, where the disk is not slow;
//  - nobody is tried before the wait is over (where the wall clock jumps: before as much time has
//    passed as the log announced), or long after the message expired;
//  - who was refused for good has failed; nobody else has, unless the time is over;
//  - who failed is named by one notification, with the reason and the letter's own header (or all
//    of it, where that was asked for); who was handed to a next hop that does not speak DSN, by one
//    that says so, where the sender asked; who waits for long, by one at most. None is sent that
//    the sender forbade, none goes to the null path;
//  - what the sender asked for by RFC 3461 is passed on as it came where a next hop offers DSN;
//  - the trace header is the letter's, and names no recipient where there are several;
//  - the counts of attempts survive; ids never recur;
//  - a hold or a delete that is durable is in force for all that was acknowledged before it, over
//    crashes, and for nothing that was sent after it; nobody fails by a rule that does not mean
//    him.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "mail/log_event.h"
#include "sim/network.h"
#include "sim/relay/journal.h"
#include "sim/relay/letter.h"
#include "sim/relay/plan.h"
#include "sim/world.h"
#include "store/rule.h"

namespace sim::relay {

// A message that a next hop was given to its last byte.
struct Given {
    std::string reverse_path;
    std::vector<std::string> recipients;  // those that it accepted
    std::string content;
    bool eight_bit = false;  // it offered 8BITMIME
    bool dsn = false;        // … and DSN
    EndpointId connection = kNoEndpoint;
    base::MonoTime sent{};  // when its last byte was
};

class Oracle {
  public:
    Oracle(World& world, const Plan& plan, Journal& journal)
        : world_(world), plan_(plan), journal_(journal) {}
    Oracle(const Oracle&) = delete;
    Oracle& operator=(const Oracle&) = delete;

    // Clients. `client` is the address that the relay sees.
    void composing(const Letter& letter, const std::string& client);
    void recipient_answered(std::uint64_t letter, const std::string& path, bool accepted);
    // All of it has been sent: from now on the relay may take it.
    void end_sent(std::uint64_t letter);
    void acknowledged(std::uint64_t letter, const std::string& id);
    void refused(std::uint64_t letter);
    // It will not be ended. Says nothing of one whose end was sent.
    void withdrawn(std::uint64_t letter);

    // The program. `durable`: the store's count of durable outcomes, by shard; `in_line`: they
    // become durable in the order of the log's lines, as they do in one partition.
    void started(std::uint32_t shards);
    void died(const std::vector<std::uint64_t>& durable, bool in_line);
    void stopped(const std::vector<std::uint64_t>& durable, bool in_line);
    // The program has said that the disk has no room for its last outcomes.
    void gave_up_outcomes(std::uint32_t shard);
    // What was logged a while ago must be durable by now.
    void check_recorded(const std::vector<std::uint64_t>& durable);
    void attempt(std::uint32_t shard, const mail::AttemptEvent& event);
    void reception(const mail::ReceptionEvent& event);
    // A 250 with that id is handed to the kernel; `durable` is what the worst power cut would
    // leave.
    void ack_leaves(const std::string& client, const std::string& id, const std::string& durable);
    // Ids of all that is queued.
    void check_queue(const std::set<std::string>& ids);

    // Next hops. `sent`: when the relay sent the command.
    void offered(const std::string& path, base::MonoTime sent);
    // Of the commands that gave them; `dsn`: it may be sent RFC 3461's.
    void mail_parameters(const std::string& reverse_path, std::string_view line, bool dsn);
    void recipient_parameters(const std::string& path, std::string_view line, bool dsn);
    void never(const std::vector<std::string>& paths, const std::string& reply);  // 5xx
    // … to MAIL, of whose recipients nothing is known.
    void never_from(const std::string& reverse_path, const std::string& reply);
    // … and the next hop ends the connection in that transaction.
    void left_after_refusal(const std::string& reverse_path);
    void part(const std::vector<std::string>& paths, std::string_view content, bool eight_bit);
    // Checks what was given, whatever the answer.
    void given(const Given& message);
    // It is taken: the next hop has it. `withheld`: no answer will leave.
    void taken(const Given& message, bool withheld);
    // Another command came behind the answer: the relay has seen it. Or none came: it ended.
    void confirmed(EndpointId connection);
    void broken(EndpointId connection);

    // The operator. Gives the number to tell when it is durable.
    [[nodiscard]] std::size_t rule_given(const store::Rule& rule);
    void rule_durable(std::size_t number);
    // The number of any letter; 0 where there is none yet.
    [[nodiscard]] std::uint64_t any_letter(base::Prng& prng) const;
    [[nodiscard]] const Letter& letter(std::uint64_t number) const {
        return messages_.at(number).letter;
    }
    [[nodiscard]] const std::string& id_of(std::uint64_t letter) const {
        return messages_.at(letter).id;
    }

    // From now on nothing fails, and nobody and nothing is slow.
    void quiet() { quiet_ = true; }
    // At the end: the queue is empty.
    void settle();

    [[nodiscard]] std::size_t acknowledged_count() const { return acknowledged_; }
    [[nodiscard]] std::size_t taken_count() const { return taken_; }
    [[nodiscard]] std::size_t notified_count() const { return notified_; }
    [[nodiscard]] std::size_t copies() const { return copies_; }
    // Every acknowledged letter from that number on has reached all its recipients.
    [[nodiscard]] bool all_taken_from(std::uint64_t letter) const;
    [[nodiscard]] std::size_t recipients_from(std::uint64_t letter) const;
    [[nodiscard]] bool has_failed(const std::string& path) const;
    // By a notification that a next hop was given.
    [[nodiscard]] bool is_named(const std::string& path) const;
    [[nodiscard]] bool is_told_of_delay(const std::string& path) const;
    [[nodiscard]] bool outcome_waits() const;

  private:
    using Status = mail::AttemptEvent::Status;
    enum class Phase : std::uint8_t { composing, ended, acknowledged, refused, withdrawn };
    enum class Fate : std::uint8_t { open, durable, uncertain };
    struct Outcome {
        Status status;
        Fate fate = Fate::open;
        std::uint32_t attempts = 0;
        std::uint32_t shard = 0;
        std::uint64_t index = 0;  // among those of its shard since the start, from 1
        base::MonoTime at{};
        base::WallTime wall{};
        base::Duration announced{};  // the wait that the log told
    };
    struct Take {
        EndpointId connection;
        std::uint64_t generation;  // of the program that sent it
        bool forgotten;            // that program has died since: its claim, if any, is uncertain
        base::MonoTime at{};
        bool withheld = false;
        bool confirmed = false;
        bool broken = false;
        bool claimed = false;  // the log has told of it
        bool dsn = false;      // the next hop speaks DSN
    };
    struct Recipient {
        bool accepted = false;
        bool refused = false;
        std::set<std::string> never;  // each 5xx that it was answered with
        std::uint64_t never_in = 0;   // the last program that was
        std::vector<Outcome> outcomes;
        std::vector<Take> takes;
        std::set<std::string> notifications;
        std::set<std::string> delays;  // notifications of that, and of hand-overs
        std::set<std::string> relays;
        // Of programs that may have told of its end, and had not recorded it; or of a delay; or of
        // a hand-over.
        std::uint32_t open_deaths = 0;
        std::uint32_t delay_deaths = 0;
        std::uint32_t relay_deaths = 0;
    };
    struct Message {
        Letter letter;
        std::string client;
        Phase phase = Phase::composing;
        std::string id;
        bool seen = false;  // by a next hop, or in the log
        bool left_after_refusal = false;
        base::WallTime composed{};
        base::WallTime ended{};
        base::MonoTime end_sent{};
        base::MonoTime acknowledged = base::kNever;
        std::string trace;  // header, as it was first seen
    };

    struct GivenRule {
        store::Rule rule;
        base::MonoTime given{};
        base::MonoTime durable = base::kNever;
    };
    // It may mean that recipient: some of the message may have been accepted before it.
    [[nodiscard]] static bool may_mean(const GivenRule& given, const Message& message,
                                       const std::string& path);
    [[nodiscard]] bool may_mean(store::RuleAction action, const Message& message,
                                const std::string& path) const;
    // It means him, and was durable.
    [[nodiscard]] static bool means(const GivenRule& given, const Message& message,
                                    const std::string& path);
    void check_rules(const Message& message, const std::string& path, base::MonoTime sent);
    [[nodiscard]] bool under_way_since(const Recipient& recipient, base::MonoTime since,
                                       base::MonoTime sent, bool sooner) const;
    // He failed, and the operator's words are the reason.
    [[nodiscard]] static bool by_rule(const mail::AttemptEvent& event) {
        return event.status == Status::bounced && event.code == 0 &&
               event.reply.starts_with("given up by the postmaster");
    }

    [[nodiscard]] Message* known(std::string_view path, const char* what);
    // A letter's recipients go by their path; those of notifications by id and path.
    [[nodiscard]] static std::string key_of(const std::string& id, const std::string& path);
    [[nodiscard]] Recipient& recipient(const std::string& key) { return recipients_[key]; }
    void bind(const std::string& id, const std::string& owner);
    [[nodiscard]] static bool is_final(Status status) {
        return status != Status::deferred && status != Status::delayed;
    }
    // The last outcome that surely stands; nullptr when there is none.
    [[nodiscard]] static const Outcome* certain(const Recipient& recipient);
    [[nodiscard]] bool has_final(const Recipient& recipient) const;
    void check_count(const std::string& key, const Recipient& recipient,
                     const mail::AttemptEvent& event);
    void check_sent(const std::string& key, Recipient& recipient);
    [[nodiscard]] bool said_never(const std::string& path, const mail::AttemptEvent& event);
    [[nodiscard]] bool may_have_expired(const Message& message) const;
    // For some next hop, by its own SIZE.
    [[nodiscard]] bool may_be_too_large(const Message& message) const;
    [[nodiscard]] base::Duration ack_most() const;
    void check_copy(const std::string& key, const Recipient& recipient, base::MonoTime sent);
    void check_steady_wait(const Message& message, const std::string& path, base::MonoTime sent);
    void check_letter(const Given& message);
    void check_trace(Message& message, std::string_view header);
    void check_trace_recipient(const Message& message);
    void check_notification(const Given& message);
    void check_fields(const std::string& path, const std::string& id, std::string_view fields);
    void check_failure(const std::string& path, std::string_view fields);
    void check_delay(const std::string& path, std::string_view fields);
    void check_relay(const std::string& path, std::string_view fields);
    void check_returned(Message& message, const Given& given, const std::string& id,
                        std::string_view rest);
    void named(const std::string& path, const std::string& id, std::set<std::string>& before,
               std::uint32_t deaths);
    [[nodiscard]] bool may_be_delayed(const Message& message) const;
    void settle_relayed(const Message& message, const std::string& path, const Recipient& one);
    [[nodiscard]] bool is_durable(const Message& message, const std::string& id,
                                  const std::string& durable) const;
    void settle_recipient(const Message& message, const std::string& path);
    void decide_fates(const std::vector<std::uint64_t>& durable, bool in_line);
    void forget();

    World& world_;
    const Plan& plan_;
    Journal& journal_;
    std::map<std::uint64_t, Message> messages_;
    std::map<std::string, Recipient> recipients_;
    std::map<std::string, std::string> owners_;         // of ids
    std::set<std::string> accepted_;                    // ids that the log said were accepted
    std::map<std::string, std::string> notifications_;  // their content by id
    std::set<std::string> lost_senders_;                // whose notification was refused for good
    std::map<std::string, std::set<std::uint64_t>>
        leaves_;  // letters that were durable then, by id
    std::vector<GivenRule> rules_;
    std::vector<std::vector<base::MonoTime>> logged_;  // outcomes of this program, by shard
    std::uint64_t generation_ = 0;
    base::MonoTime started_{};
    bool running_ = false;
    std::set<std::uint32_t> gave_up_;  // shards of this program that gave outcomes up
    bool quiet_ = false;
    std::size_t acknowledged_ = 0;
    std::size_t taken_ = 0;
    std::size_t notified_ = 0;
    std::size_t copies_ = 0;
};

// What the relay puts before the content, and the id in it; the rest of `content` behind it. ""
// where it is not whole.
struct TraceHeader {
    std::string_view text;
    std::string id;
    std::string_view rest;
};
[[nodiscard]] TraceHeader trace_header(std::string_view content);
[[nodiscard]] std::string notification_id(std::string_view content);

}  // namespace sim::relay
