// Delivery: one connection to a site and the coroutine that runs it: it takes entries from the
// site's queue, sends them on, and writes down how each recipient fared.
//
// One attempt at an entry tries all its recipients that are due, in as many transactions as the
// limit asks for. An outcome is recorded as soon as it is known, except one of which the sender is
// told: failures for good, and deliveries of which he wants to know and the next hop will not tell
// (RFC 3461 §5.2.2). Those wait until the attempt's end, when one notification for all of them has
// become durable, so that none is lost in a crash (then the attempt is made again, and at worst two
// notifications leave). Word of a delay is sent once for each recipient, with the first attempt
// behind its time or, where none comes, at that time; that it was sent is a record of its own.
//
// What is recorded of a retry carries the attempts before it, which are read from the store before
// the transaction begins. Where they cannot be read, there is a gap in what is told of them.
//
// Lives on its shard, owned by its site, reused; it allocates nothing per message once it is warm.
// Failures: a message that cannot be read from the spool stays there, with a notice to the
// operator. Warning: content that had to be put right on its way out, which the spool should not
// hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/list.h"
#include "base/result.h"
#include "base/time.h"
#include "mail/log_event.h"
#include "mail/status_code.h"
#include "queue/bounce.h"
#include "queue/entry.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "smtp/client.h"
#include "store/attempt_history.h"
#include "store/store.h"

namespace queue {

class Scheduler;
class Site;

class Delivery : public base::ListNode<Delivery> {
  public:
    Delivery(Scheduler& scheduler, Site& site);
    Delivery(const Delivery&) = delete;
    Delivery& operator=(const Delivery&) = delete;
    ~Delivery() = default;

    // Until there was no work for a while, or the scheduler stops.
    [[nodiscard]] rt::Task<void> run();
    // What the rules say of it, and nothing is tried.
    [[nodiscard]] rt::Task<void> carry_out_rules(Entry& entry);
    // Ends a rest.
    void wake() { rest_.interrupt(); }
    // Breaks off what is under way.
    void stop() { client_.stop(); }

  private:
    [[nodiscard]] rt::Task<void> attempt(Entry& entry, bool tries);
    void put_off(Entry& entry);
    [[nodiscard]] rt::Task<void> try_due(Entry& entry);
    [[nodiscard]] rt::Task<void> try_recipients(Entry& entry);
    [[nodiscard]] rt::Task<bool> reach_site();
    [[nodiscard]] rt::Task<bool> connect();
    [[nodiscard]] rt::Task<bool> transact();
    [[nodiscard]] rt::Task<void> offer();
    void tell_repairs();
    [[nodiscard]] rt::Task<void> close_if_worn();
    [[nodiscard]] rt::Task<void> disconnect();

    void collect_due(const Entry& entry);
    void collect_slice(bool has_dsn);

    // delivery_settle.cc
    void ask_rules(Entry& entry);
    void take_results(Entry& entry);
    void judge_site();
    [[nodiscard]] rt::Task<void> expire(Entry& entry);
    [[nodiscard]] rt::Task<void> read_last_outcome(Entry& entry, std::uint32_t recipient);
    [[nodiscard]] rt::Task<void> settle(Entry& entry);
    [[nodiscard]] rt::Task<bool> settle_failed(Entry& entry);
    [[nodiscard]] rt::Task<void> settle_relayed(Entry& entry);
    [[nodiscard]] rt::Task<void> tell_of_delay(Entry& entry);
    void defer_slice(Entry& entry);
    void delivered(Entry& entry, std::uint32_t recipient, const mail::Reply& reply);
    void deferred(Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                  bool possible_duplicate);
    void postponed(Entry& entry, const Bounce::Fate& fate);
    // `tried`: it counts as an attempt.
    void record(Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                std::string_view relay, base::Bytes history, bool tried = true);
    void record_told(Entry& entry, const Bounce::Fate& fate);
    void log_attempt(const Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                     std::string_view relay, mail::AttemptEvent::Status status,
                     bool possible_duplicate);
    [[nodiscard]] std::string_view relay() const;

    // delivery_history.cc
    [[nodiscard]] bool was_tried(const Entry& entry) const;
    [[nodiscard]] rt::Task<void> read_histories(Entry& entry);
    [[nodiscard]] base::Bytes history_of(std::uint32_t recipient) const;
    void carry_history(Bounce::Fate& fate) const;

    Scheduler& scheduler_;
    Site& site_;
    smtp::Client client_;
    rt::Sleep rest_;
    Bounce bounce_;

    // The attempt under way. The vectors keep their memory.
    store::ReaderHandle reader_;
    std::vector<std::uint32_t> due_;  // recipients that are left to try
    std::size_t due_at_ = 0;
    std::vector<std::uint32_t> slice_;              // those of this transaction
    std::vector<std::string_view> paths_;           // and their paths
    std::vector<smtp::Request::RecipientDsn> dsn_;  // … and parameters; empty where none has any
    smtp::Request request_;
    store::StoredOutcome stored_outcome_;
    std::uint32_t rules_asked_ = 0;     // the newest
    std::uint32_t bounced_by_ = 0;      // the rule of this attempt's bounces; 0: they are no rule's
    store::AttemptHistory history_;     // of what was read last
    std::vector<std::byte> histories_;  // of the slice, one behind another; empty at first attempts
    std::vector<std::size_t> history_ends_;  // as slice_
    bool engaged_ = false;                   // counted by the site
    bool crowded_ = false;  // the site takes no further connection beside those it has
    bool untried_ = false;  // no connection was to be had, by no fault of what was to go over it
    // Word of a rule's bounce, of an expiry or of a delay waits for room; or, behind now, until
    // then.
    bool untold_ = false;
    base::MonoTime told_at_{};
    bool content_bad_ = false;  // the content cannot be read: what is left of the entry is held

    base::MonoTime connected_at_{};
    std::uint32_t transactions_ = 0;  // on this connection
};

}  // namespace queue
