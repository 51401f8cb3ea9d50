// StoreProgram: a program of one shard that is nothing but a store and a script that uses it; and
// StoreWorld: a simulated machine that runs it, through crashes and restarts.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crash/oracle.h"
#include "rt/awaiters.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "sim/host.h"
#include "sim/sim_driver.h"
#include "sim/world.h"
#include "store/store.h"

namespace crash {

class StoreProgram final : private store::StoreListener, private mail::EventLog {
  public:
    // What it does once the store is open and what came back was verified.
    using Script = rt::Task<void> (*)(StoreProgram&);

    StoreProgram(std::uint32_t shard, sim::SimDriver& driver, const store::StoreOptions& options,
                 Oracle& oracle, Script script, std::vector<std::string>& log);
    StoreProgram(const StoreProgram&) = delete;
    StoreProgram& operator=(const StoreProgram&) = delete;
    ~StoreProgram() override;

    void turn() { shard_.turn(); }
    // The script has ended and the store is closed; or it could not be opened.
    [[nodiscard]] bool over() const { return scope_.size() == 0; }
    [[nodiscard]] const base::Status& opened() const { return opened_; }

    // For scripts. Each is a task of its own and keeps the oracle informed.
    [[nodiscard]] rt::Task<void> put(Letter letter, std::size_t piece_bytes);
    // Begins a message, appends, and lets it go.
    [[nodiscard]] rt::Task<void> abort(std::string content);
    void record(mail::QueueId message, std::uint32_t recipient, store::RecipientStatus status);
    [[nodiscard]] rt::Task<void> record_and_wait(mail::QueueId message, std::uint32_t recipient,
                                                 store::RecipientStatus status);
    [[nodiscard]] rt::Task<void> finish(mail::QueueId message);
    [[nodiscard]] rt::Task<void> finish_all();
    // Reads everything that is alive and shows it to the oracle.
    [[nodiscard]] rt::Task<void> verify();
    // Opens the same spool with another store; gives why not.
    [[nodiscard]] rt::Task<std::string> open_again();
    [[nodiscard]] rt::Task<void> pause(base::Duration time);
    // As kill -9, here and now. What the script still does is done by a dead program.
    void kill() { static_cast<sim::SimDriver&>(shard_.driver()).host().kill(); }

    [[nodiscard]] store::Store& store() { return *store_; }
    [[nodiscard]] rt::Shard& shard() { return shard_; }
    [[nodiscard]] Oracle& oracle() { return oracle_; }
    [[nodiscard]] sim::Disk& disk() {
        return static_cast<sim::SimDriver&>(shard_.driver()).host().disk();
    }
    [[nodiscard]] rt::Scope& scope() { return tasks_; }
    [[nodiscard]] bool dead() { return shard_.driver().dead(); }
    [[nodiscard]] std::uint64_t refusals() const { return refusals_; }

  private:
    // Tells the oracle when an outcome is durable.
    class OutcomeWatch : public base::Waiter {
      public:
        OutcomeWatch(StoreProgram& program, mail::QueueId id, std::uint32_t recipient,
                     std::size_t number);

      private:
        static void on_wake(base::Waiter& waiter);
        StoreProgram& program_;
        mail::QueueId id_;
        std::uint32_t recipient_;
        std::size_t number_;
    };

    void recovered(store::Message& message) override;
    void committed(store::Message& message, const mail::Envelope& envelope,
                   const mail::ContentFacts& facts) override;
    void rule_durable() override {}
    void reception(const mail::ReceptionEvent&) override {}
    void attempt(const mail::AttemptEvent&) override {}
    void removal(const mail::RemovalEvent&) override {}
    void notification(const mail::NotificationEvent&) override {}
    void notice(mail::Severity severity, std::string_view text) override;

    [[nodiscard]] rt::Task<void> main();
    [[nodiscard]] rt::Task<void> verify_one(mail::QueueId message);

    rt::Shard shard_;
    store::StoreOptions options_;
    Oracle& oracle_;
    Script script_;
    std::vector<std::string>& log_;
    rt::Scope scope_;
    rt::Scope tasks_;
    std::vector<std::unique_ptr<OutcomeWatch>> watches_;
    std::unique_ptr<store::Store> store_;
    base::Status opened_;
    std::uint64_t refusals_ = 0;
};

struct StoreWorldOptions {
    std::uint64_t seed = 1;
    sim::Options sim;
    store::StoreOptions store;  // identity.partitions: how many to make at least
    std::uint32_t shard = 0;    // the number of the one that runs
    // The script of each start; the last one repeats.
    std::vector<StoreProgram::Script> scripts;
};

// Options with segments of the smallest size, and delays that suit the simulated clock.
[[nodiscard]] store::StoreOptions small_store();

class StoreWorld {
  public:
    explicit StoreWorld(StoreWorldOptions options);

    [[nodiscard]] sim::World& world() { return world_; }
    [[nodiscard]] sim::Host& host() { return host_; }
    [[nodiscard]] Oracle& oracle() { return oracle_; }
    // For the next start.
    [[nodiscard]] StoreWorldOptions& options() { return options_; }
    [[nodiscard]] const std::vector<std::string>& log() const { return log_; }

    // Runs until as many programs as there are scripts have come to their end (crashes not
    // counted). False when that does not happen in an hour of simulated time.
    [[nodiscard]] bool run();
    // Runs until the next program has ended, with that script. Gives why it did not open, or "".
    [[nodiscard]] std::string run_once(StoreProgram::Script script);
    // Runs a task to its end on a shard of its own, with no store around it.
    void run_beside(const std::function<rt::Task<void>(rt::Shard&)>& task);
    // Goes on to just before that event, and kills the process there: what it has handed to the
    // kernel still happens.
    void kill_at_event(std::uint64_t event);
    [[nodiscard]] std::size_t ended() const { return ended_; }
    // Events that there were when the program started for the n-th time.
    [[nodiscard]] const std::vector<std::uint64_t>& starts() const { return starts_; }

  private:
    void start();
    void end();
    [[nodiscard]] bool run_one();

    StoreWorldOptions options_;
    sim::World world_;
    sim::Host& host_;
    Oracle oracle_;
    std::unique_ptr<StoreProgram> program_;
    std::vector<std::string> log_;
    std::vector<std::uint64_t> starts_;
    std::size_t ended_ = 0;
    std::string refusal_;
};

}  // namespace crash
