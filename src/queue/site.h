// Site: a next hop as the queue sees it: what waits for it, and the deliveries (one per connection)
// that serve it.
//
// A delivery takes entries while there are any, then rests with its connection open; the one that
// rested last is woken first, so that connections in excess end by themselves. Strategies:
//   new work        wakes a resting delivery, else starts one while fewer than connections_max run.
//   dead site       after a connection that no target took, or that broke before the first MAIL was
//                   answered, the site cools down. Only what was to go over that connection is
//                   deferred: what is due meanwhile stays ready and untried, so that its backlog is
//                   not drained through the retry times. Then one delivery tries it at a time,
//                   until a MAIL was answered. What expires meanwhile is looked for once a second.
//   bad luck        what breaks a connection behind MAIL's answer has had its attempt, and says
//                   nothing of the site: else a few recipients who break them would stall it.
//   doubt           a next hop that keeps its replies to pipelined commands until it has seen all
//                   may break without one. Then, for a while, MAIL is sent alone in the first
//                   transaction of each connection, which tells the one case from the other.
//   own shortage    where we lack descriptors, memory or ports for a connection, nobody is to
//                   blame: nothing counts as tried, and connecting rests for a second. What is
//                   connected goes on.
//
// Lives on its shard, owned by the scheduler.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/list.h"
#include "base/prng.h"
#include "base/time.h"
#include "mail/status_code.h"
#include "queue/delivery.h"
#include "queue/entry.h"
#include "queue/options.h"
#include "queue/site_state.h"
#include "rt/timer_wheel.h"

namespace queue {

class Scheduler;

class Site {
  public:
    // `route` and `options` are borrowed.
    Site(Scheduler& scheduler, const Route& route, const Options& options, std::uint16_t number);
    Site(const Site&) = delete;
    Site& operator=(const Site&) = delete;
    // REQUIRES: no delivery runs.
    ~Site();

    [[nodiscard]] const Route& route() const { return route_; }
    [[nodiscard]] std::uint16_t number() const { return number_; }
    [[nodiscard]] const RetryPolicy& retry() const { return retry_; }

    // Behind all that waits. REQUIRES: the entry is on no list.
    void push(Entry& entry);
    // Wakes or starts deliveries for what waits.
    void pump();
    // For a delivery: the next entry, now in its hands; nullptr when there is none, or none may be
    // begun. `connected`: it has a connection, and so need not wait for the end of a cool-down.
    [[nodiscard]] Entry* take(bool connected);
    // Takes it off its list again. REQUIRES: it is ready.
    void withdraw(Entry& entry);
    // What the rules say, by a delivery that tries nobody. REQUIRES: withdrawn, and in nobody's
    // hands.
    [[nodiscard]] rt::Task<void> carry_out_rules(Entry& entry);
    // The operator asks: no cool-down is waited for.
    void try_now();
    // A delivery that was woken, or has started, looks for work.
    void arrived();
    // A delivery without work waits to be woken; it leaves the list when it was.
    void rest(Delivery& delivery) { resting_.push_front(delivery); }
    void ended(Delivery& delivery);

    // For a shutdown.
    void stop_resting();
    void break_off();

    // Deliveries tell how each target that they try does, in the route's order: so the log tells of
    // a host that fails while another serves.
    void passed_over(std::size_t target, const mail::Reply& reply);
    void serves(std::size_t target, base::MonoTime now);
    // Nobody answered; `reply` is the last word. The site cools down.
    void failed(const mail::Reply& reply, base::MonoTime now, base::Prng& prng);
    // Nobody answered its last connection, or MAIL on it: what is due waits until somebody does.
    [[nodiscard]] bool dead() const { return failures_ > 0; }
    // Why the site was last found dead; "" when it never was.
    [[nodiscard]] const std::string& last_words() const { return last_words_; }
    // A connection failed for want of something of our own, as `reply` says.
    void short_of_means(const mail::Reply& reply, base::MonoTime now);
    // Nobody answered one connection while there are others, `others` of them.
    void crowded(std::size_t others, base::MonoTime now);
    void succeeded(base::MonoTime now);
    // A connection broke before the first of several commands was answered.
    void doubt(base::MonoTime now);
    [[nodiscard]] bool in_doubt(base::MonoTime now) const { return now < doubt_until_; }
    // No connection is to be made now.
    [[nodiscard]] bool holds(base::MonoTime now) const {
        return now < std::max(cool_until_, short_until_);
    }

    // … or all that there may be are made: what gives up the expired ones while the site is dead
    // runs beside the delivery that tries it.
    [[nodiscard]] bool may_connect(base::MonoTime now) const {
        return !holds(now) && engaged_ < route_.connections_max;
    }
    // Deliveries tell when they connect, and when they have no connection any more.
    void engage() { ++engaged_; }
    void disengage() { --engaged_; }
    [[nodiscard]] std::size_t engaged() const { return engaged_; }
    [[nodiscard]] std::size_t running() const { return running_; }
    // Messages that wait for a delivery.
    [[nodiscard]] std::size_t ready_count() const { return ready_count_ + expired_count_; }
    // For who asks why something waits.
    [[nodiscard]] SiteState state() const;
    // Word of a delay is due to the sender of some recipient.
    [[nodiscard]] bool owes_word(const Entry& entry, base::WallTime now) const;

  private:
    class HoldTimer : public rt::Timer {
      public:
        explicit HoldTimer(Site& site) : rt::Timer(&Site::hold_ticks), site_(site) {}
        [[nodiscard]] Site& site() { return site_; }

      private:
        Site& site_;
    };

    // What is known of a target, for notices: a failure is told when another target is used, and
    // its end when it was told, at most once a minute.
    struct TargetState {
        bool failing = false;
        bool told = false;
        base::MonoTime next_notice = base::MonoTime::min();
        std::string reason;
    };

    [[nodiscard]] Delivery& unused_delivery();
    void start_delivery();
    void hold();
    void find_expired();
    static void hold_ticks(rt::Timer& timer);

    Scheduler& scheduler_;
    const Route& route_;
    const Options& options_;
    const RetryPolicy& retry_;
    std::uint16_t number_;
    base::List<rt::Timer> ready_;
    std::size_t ready_count_ = 0;
    // Ready, and found in a cool-down to have expired, or that word of its delay is due.
    base::List<rt::Timer> expired_;
    std::size_t expired_count_ = 0;
    std::size_t coming_ = 0;  // deliveries woken or started that have not looked yet
    std::vector<std::unique_ptr<Delivery>> deliveries_;
    base::List<Delivery> unused_;
    base::List<Delivery> resting_;
    std::size_t running_ = 0;  // resting ones included
    std::size_t engaged_ = 0;  // of them, those that connect or are connected
    std::size_t limit_;        // of running_
    base::MonoTime grow_at_ = base::MonoTime::min();
    base::MonoTime cool_until_ = base::MonoTime::min();   // it is dead
    base::MonoTime short_until_ = base::MonoTime::min();  // we are short of means
    base::MonoTime doubt_until_ = base::MonoTime::min();
    base::MonoTime next_shortage_notice_ = base::MonoTime::min();
    base::MonoTime next_dead_notice_ = base::MonoTime::min();
    std::string last_words_;
    bool dead_told_ = false;
    std::vector<TargetState> targets_;  // as route_.targets
    HoldTimer hold_timer_;              // while it is dead, or holds, and entries wait
    std::uint32_t failures_ = 0;        // in a row; above 0 the site is dead
};

}  // namespace queue
