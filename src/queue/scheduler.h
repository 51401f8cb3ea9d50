// Scheduler: the queue of one shard. It knows every message of the shard's store as an Entry, puts
// it into its site's ready queue or onto the retry wheel, and ends it when all recipients are
// final.
//
// Lives on its shard. Life: construct; construct the store with it as listener; use(store);
// co_await store.open(), which brings back what was queued; start(); …; co_await stop(); close the
// store; destroy. While the store opens nothing is delivered.
//
// What survives a restart is in the store's records alone: recipients' states, attempts and times.
// An attempt that was under way is made again; a retry whose time has passed meanwhile is due at
// once.
//
// Limits: options.h. Memory: entry.h. No failures of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/slab.h"
#include "base/time.h"
#include "mail/log_event.h"
#include "mail/queue_id.h"
#include "net/shard_net.h"
#include "queue/entry.h"
#include "queue/notification_limit.h"
#include "queue/options.h"
#include "queue/rules.h"
#include "queue/site.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "rt/task.h"
#include "store/listener.h"
#include "store/store.h"

namespace queue {

// How many messages there are, by state.
struct QueueCounts {
    std::size_t ready = 0;
    std::size_t in_delivery = 0;
    std::size_t deferred = 0;
    std::size_t held = 0;
    [[nodiscard]] std::size_t total() const { return ready + in_delivery + deferred + held; }
};

class Scheduler final : public store::StoreListener {
  public:
    // All are borrowed.
    Scheduler(net::ShardNet& net, mail::EventLog& log, const Options& options);
    // REQUIRES: stopped, or never started.
    ~Scheduler() override;

    // REQUIRES: before the store is opened.
    void use(store::Store& store);
    void start();
    // Begins no more attempts, lets those under way end for Options::stop_wait, then breaks them
    // off. Ends when no delivery is left.
    [[nodiscard]] rt::Task<void> stop();
    [[nodiscard]] bool stopping() const { return stopping_; }

    void recovered(store::Message& message) override;
    void committed(store::Message& message, const mail::Envelope& envelope,
                   const mail::ContentFacts& facts) override;
    void rule_durable() override { rules_.durable(); }

    [[nodiscard]] const QueueCounts& counts() const { return counts_; }
    [[nodiscard]] std::size_t bytes() const { return slab_.bytes(); }
    // For the listing: slots of entries, nullptr where one is free. An entry keeps its slot.
    [[nodiscard]] std::size_t slots() const { return slab_.slots(); }
    [[nodiscard]] Entry* slot(std::size_t number) { return slab_.slot(number); }
    // nullptr when no such message is queued here.
    [[nodiscard]] Entry* find(mail::QueueId id);
    [[nodiscard]] const Site& site_of(const Entry& entry) const { return *sites_[entry.site]; }

    // For sites and deliveries.
    [[nodiscard]] rt::Shard& shard() { return shard_; }
    [[nodiscard]] net::ShardNet& net() { return net_; }
    [[nodiscard]] store::Store& store() { return *store_; }
    [[nodiscard]] mail::EventLog& log() { return log_; }
    [[nodiscard]] const Options& options() const { return options_; }
    [[nodiscard]] rt::Scope& deliveries() { return deliveries_; }
    [[nodiscard]] NotificationLimit& notification_limit() { return notification_limit_; }
    // From one state to another, with the counts.
    void transition(Entry& entry, EntryState to);
    // An attempt has ended: whatever its recipients say now decides where the entry goes.
    void attempted(Entry& entry, std::string_view reverse_path, std::uint64_t size_bytes);
    // Its bytes cannot be read, so nobody can have it, nor be told: it is held, and an error is
    // logged. What only lacked memory is read again later.
    void unreadable(Entry& entry, const base::Error& error);
    void hold_damaged(Entry& entry, HoldReason reason);
    // Nothing can be done for it now: it rests a while, or until `until`, whatever is due.
    void put_off(Entry& entry, PutOff why);
    void put_off(Entry& entry, PutOff why, base::MonoTime until);

    // For rules. Off whatever list it is on: it is in the hands of the caller, who puts it back.
    // REQUIRES: nobody else has it.
    void withdraw(Entry& entry);
    void put_back(Entry& entry);
    [[nodiscard]] rt::Task<void> carry_out_rules(Entry& entry);
    void try_sites_now();
    [[nodiscard]] Rules& rules() { return rules_; }
    [[nodiscard]] std::size_t sites() const { return sites_.size(); }
    [[nodiscard]] const Site& site(std::size_t number) const { return *sites_[number]; }

  private:
    [[nodiscard]] Entry& add(store::Message& message);
    void place(Entry& entry);
    void make_ready(Entry& entry);
    [[nodiscard]] base::UnixSeconds due_of(const Entry& entry,
                                           const store::RecipientState& recipient) const;
    void defer(Entry& entry, base::UnixSeconds due_s);
    void remove(Entry& entry);
    [[nodiscard]] std::size_t* count_of(EntryState state);
    static void retry_due(rt::Timer& timer);
    static void stop_late(rt::Timer& timer);

    class StopTimer : public rt::Timer {
      public:
        explicit StopTimer(Scheduler& scheduler)
            : rt::Timer(&Scheduler::stop_late), scheduler_(scheduler) {}
        [[nodiscard]] Scheduler& scheduler() { return scheduler_; }

      private:
        Scheduler& scheduler_;
    };

    rt::Shard& shard_;
    net::ShardNet& net_;
    mail::EventLog& log_;
    const Options& options_;
    store::Store* store_ = nullptr;
    rt::Scope deliveries_;
    std::vector<std::unique_ptr<Site>> sites_;
    // Behind the sites: its entries leave their lists before those go.
    base::Slab<Entry> slab_;
    QueueCounts counts_;
    NotificationLimit notification_limit_;
    Rules rules_;
    StopTimer stop_timer_;
    bool started_ = false;
    bool stopping_ = false;
};

}  // namespace queue
