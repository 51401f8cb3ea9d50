// Program: the relay itself on a simulated host: app::RelayShard on each of its shards, brought up
// and down in the order that app::Relay has, by letters as the main thread posts them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/relay_shard.h"
#include "mail/log_event.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "sim/host.h"
#include "sim/relay/journal.h"
#include "sim/relay/oracle.h"
#include "sim/relay/plan.h"
#include "sim/sim_driver.h"
#include "sim/world.h"

namespace sim::relay {

class Program {
  public:
    enum class Stage : std::uint8_t { down, opening, up, closing, closed };

    // All are borrowed; the host's program is set.
    Program(Host& host, const Plan& plan, Oracle& oracle, Journal& journal);
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program();

    [[nodiscard]] Stage stage() const { return host_.running() ? stage_ : Stage::down; }
    [[nodiscard]] bool up() const { return stage() == Stage::up; }
    // As SIGTERM does. When it has come to its end it is taken down, and not started again.
    // REQUIRES: up().
    void stop();
    // Of this start; its number of shards may be another than the plan's.
    [[nodiscard]] const app::RelaySettings& settings() const { return settings_; }
    // That the spool has.
    [[nodiscard]] std::uint32_t partitions() const { return identity_.partitions; }
    // Gives the rule, under the next number, to all shards; `durable` is called once it is so in
    // all of them, if it ever is. REQUIRES: up().
    void give(store::Rule rule, std::function<void()> durable);
    // Rules that are still being carried out. REQUIRES: up().
    [[nodiscard]] std::size_t rules_under_way();
    // Ids of all that is queued. REQUIRES: up().
    [[nodiscard]] std::set<std::string> queued();
    [[nodiscard]] std::size_t queue_size();
    // The store's count of durable outcomes, by shard.
    [[nodiscard]] std::vector<std::uint64_t> durable_outcomes();
    // Of all shards of this start.
    [[nodiscard]] store::StoreCounters store_counters();
    // Some partition's newest one was void at this start.
    [[nodiscard]] bool took_older_checkpoint() const { return took_older_checkpoint_; }
    // Programs that have ended, one way or the other, and starts of an orderly end: what breaks at
    // its clients is its own doing.
    [[nodiscard]] const std::uint64_t& disturbances() const { return disturbances_; }
    std::function<void()> on_start;    // begins
    std::function<void()> on_up;       // accepts and delivers
    std::function<void()> on_stopped;  // has come to an orderly end, and is down

  private:
    class Log;
    class Job;
    struct Shard {
        std::unique_ptr<Log> log;
        std::unique_ptr<rt::Shard> shard;
        std::unique_ptr<rt::Scope> scope;
        std::unique_ptr<app::RelayShard> relay;
        base::Status status;
        bool opened = false;
        bool closed = false;
    };

    void build();
    void tear_down();
    void unwind();
    void post(std::size_t shard, std::function<void()> work);
    void finished_one();
    void go_on();
    void look_all();
    void resume_all();
    void listen_all();
    // Of all shards; not where one has failed.
    [[nodiscard]] bool started_well();
    void close_all();
    void could_not_start(const base::Error& error);
    void ended();

    static rt::Task<void> open_spool(Program& program);
    static rt::Task<void> look(Program& program, Shard& shard);
    static rt::Task<void> resume(Program& program, Shard& shard);
    static rt::Task<void> close(Program& program, Shard& shard);
    // A rule that shards are given.
    struct Given {
        std::size_t waits_for = 0;
        bool refused = false;
        std::function<void()> durable;
    };
    static rt::Task<void> give_one(Shard& shard, store::Rule rule, std::shared_ptr<Given> given);

    Host& host_;
    const Plan& plan_;
    Oracle& oracle_;
    Journal& journal_;
    app::RelaySettings settings_;
    base::Prng prng_;
    Stage stage_ = Stage::down;
    std::vector<std::unique_ptr<Shard>> shards_;
    std::vector<std::unique_ptr<Job>> jobs_;
    base::Status spool_;
    store::SpoolIdentity identity_;
    enum class Opening : std::uint8_t { spool, looking, resuming };
    Opening opening_ = Opening::spool;
    bool took_older_checkpoint_ = false;
    std::size_t waits_for_ = 0;
    std::uint64_t disturbances_ = 0;
    std::uint32_t newest_rule_ = 0;
};

[[nodiscard]] const char* name_of(Program::Stage stage);

}  // namespace sim::relay
