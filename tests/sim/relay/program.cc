#include "sim/relay/program.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "store/spool.h"

namespace sim::relay {
namespace {

constexpr int kUnwindTurnsMax = 20'000;

}  // namespace

// What a dead program says no longer counts.
class Program::Log final : public mail::EventLog {
  public:
    Log(Program& program, std::uint32_t shard, SimDriver& driver)
        : program_(program), shard_(shard), driver_(driver) {}
    void reception(const mail::ReceptionEvent& event) override {
        if (!driver_.dead()) {
            program_.oracle_.reception(event);
        }
    }
    void attempt(const mail::AttemptEvent& event) override {
        if (!driver_.dead()) {
            program_.oracle_.attempt(shard_, event);
        }
    }
    void removal(const mail::RemovalEvent&) override {}
    void notification(const mail::NotificationEvent&) override {}
    void notice(mail::Severity, std::string_view text) override {
        if (driver_.dead()) {
            return;
        }
        program_.journal_.note("shard " + std::to_string(shard_) + ": " + std::string(text));
        const bool unreadable = text.find("cannot be read from the spool") != text.npos ||
                                text.find("cannot be read at block") != text.npos ||
                                text.find(" is held: ") != text.npos;
        if (text.find("not even in the reserve") != text.npos) {
            program_.oracle_.gave_up_outcomes(shard_);
        }
        if (text.find("the start goes on with the one before it") != text.npos) {
            program_.took_older_checkpoint_ = true;
        }
        if (text.find("report this as a fault") != text.npos ||
            (unreadable && !program_.plan_.on(Fault::read_error))) {
            program_.journal_.fault(std::string(text));
        }
    }

  private:
    Program& program_;
    std::uint32_t shard_;
    SimDriver& driver_;
};

// A piece of work that the main thread hands to a shard.
class Program::Job final : public rt::Letter {
  public:
    Job(Host& host, std::function<void()> work) : host_(host), work_(std::move(work)) {}
    void open() override {
        if (host_.running()) {
            work_();
        }
    }

  private:
    Host& host_;
    std::function<void()> work_;
};

Program::Program(Host& host, const Plan& plan, Oracle& oracle, Journal& journal)
    : host_(host),
      plan_(plan),
      oracle_(oracle),
      journal_(journal),
      settings_(plan.settings),
      prng_(plan.seed ^ 0x736861726473U) {
    host_.set_program({.start = [this] { build(); },
                       .end = [this] { tear_down(); },
                       .unwound = {},
                       .end_unwinds = true});
}

Program::~Program() = default;

void Program::build() {
    journal_.note("the relay starts");
    stage_ = Stage::opening;
    opening_ = Opening::spool;
    took_older_checkpoint_ = false;
    if (plan_.shards_change && host_.starts() > 1) {
        settings_.store.shards = static_cast<std::uint32_t>(1 + prng_.below(3));
        journal_.note("with " + std::to_string(settings_.store.shards) + " shards");
    }
    const std::uint32_t count = settings_.store.shards;
    oracle_.started(count);
    if (on_start) {
        on_start();
    }
    for (std::uint32_t i = 0; i < count; ++i) {
        SimDriver& driver = host_.add_driver();
        auto one = std::make_unique<Shard>();
        one->log = std::make_unique<Log>(*this, i, driver);
        one->shard = std::make_unique<rt::Shard>(i, driver);
        one->scope = std::make_unique<rt::Scope>(*one->shard, "control");
        driver.set_turn([shard = one->shard.get()] { shard->turn(); });
        shards_.push_back(std::move(one));
    }
    waits_for_ = 1;
    post(0, [this] { shards_[0]->scope->spawn(open_spool(*this)); });
}

void Program::post(std::size_t shard, std::function<void()> work) {
    jobs_.push_back(std::make_unique<Job>(host_, std::move(work)));
    const bool posted = shards_[shard]->shard->post(*jobs_.back(), nullptr);
    RP_ASSERT(posted);
}

// The main thread hears of it a moment later.
void Program::finished_one() {
    RP_ASSERT(waits_for_ > 0);
    --waits_for_;
    if (waits_for_ == 0 && host_.running()) {
        host_.world().after({}, "main", [this, starts = host_.starts()] {
            if (host_.running() && host_.starts() == starts) {
                go_on();
            }
        });
    }
}

void Program::go_on() {
    switch (stage_) {
        case Stage::opening:
            if (opening_ == Opening::spool) {
                spool_ ? look_all() : could_not_start(spool_.error());
            } else if (started_well()) {
                opening_ == Opening::looking ? resume_all() : listen_all();
            }
            return;
        case Stage::closing:
            ended();
            return;
        case Stage::down:
        case Stage::up:
        case Stage::closed:
            RP_PANIC("nothing to go on with");
    }
}

rt::Task<void> Program::open_spool(Program& program) {
    base::Result<store::SpoolIdentity> identity =
        co_await store::open_spool(*program.shards_[0]->shard, program.plan_.settings.store.spool,
                                   program.settings_.store.shards);
    program.spool_ = {};
    if (identity) {
        program.identity_ = *identity;
    } else {
        program.spool_ = std::unexpected(identity.error());
    }
    program.finished_one();
}

void Program::look_all() {
    opening_ = Opening::looking;
    waits_for_ = shards_.size();
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        post(i, [this, i] {
            Shard& shard = *shards_[i];
            shard.relay = std::make_unique<app::RelayShard>(*shard.shard, settings_, *shard.log);
            shard.scope->spawn(look(*this, shard));
        });
    }
}

rt::Task<void> Program::look(Program& program, Shard& shard) {
    shard.status = co_await shard.relay->look(program.identity_);
    program.finished_one();
}

void Program::resume_all() {
    opening_ = Opening::resuming;
    waits_for_ = shards_.size();
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        post(i, [this, i] { shards_[i]->scope->spawn(resume(*this, *shards_[i])); });
    }
}

rt::Task<void> Program::resume(Program& program, Shard& shard) {
    shard.status = co_await shard.relay->resume();
    shard.opened = shard.status.has_value();
    program.finished_one();
}

bool Program::started_well() {
    for (const std::unique_ptr<Shard>& shard : shards_) {
        if (!shard->status) {
            could_not_start(shard->status.error());
            return false;
        }
    }
    return true;
}

void Program::listen_all() {
    // Between turns, which is as good as a letter.
    for (const std::unique_ptr<Shard>& shard : shards_) {
        const base::Status listening = shard->relay->listen();
        if (!listening) {
            could_not_start(listening.error());
            return;
        }
    }
    waits_for_ = shards_.size();
    stage_ = Stage::up;
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        post(i, [this, i] { shards_[i]->relay->start(); });
    }
    journal_.note("the relay is up");
    if (on_up) {
        on_up();
    }
}

// The program would end with that sentence; whoever watches it starts it again.
void Program::could_not_start(const base::Error& error) {
    const int number = error.number();
    journal_.note("the relay cannot start: " + error.describe());
    const bool excused =
        (number == EIO && (plan_.on(Fault::read_error) || plan_.on(Fault::write_error) ||
                           plan_.on(Fault::sync_error) || plan_.on(Fault::short_write))) ||
        (error.describe().find("No space left") != std::string::npos && plan_.disk_may_be_full());
    if (!excused) {
        journal_.fault("the relay cannot start: " + error.describe());
    }
    host_.drivers().front()->fatal(error.describe());
}

void Program::stop() {
    RP_ASSERT(up());
    journal_.note("the relay is stopped");
    ++disturbances_;
    close_all();
}

void Program::close_all() {
    stage_ = Stage::closing;
    waits_for_ = shards_.size();
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        post(i, [this, i] { shards_[i]->scope->spawn(close(*this, *shards_[i])); });
    }
}

rt::Task<void> Program::close(Program& program, Shard& shard) {
    co_await shard.relay->close();
    shard.closed = true;
    program.finished_one();
}

void Program::ended() {
    stage_ = Stage::closed;
    host_.stop();
    if (on_stopped) {
        on_stopped();
    }
}

std::vector<std::uint64_t> Program::durable_outcomes() {
    std::vector<std::uint64_t> counts;
    for (const std::unique_ptr<Shard>& shard : shards_) {
        counts.push_back(shard->opened ? shard->relay->store().counters().outcomes : 0);
    }
    return counts;
}

store::StoreCounters Program::store_counters() {
    store::StoreCounters sum;
    for (const std::unique_ptr<Shard>& shard : shards_) {
        if (shard->opened) {
            sum += shard->relay->store().counters();
        }
    }
    return sum;
}

// The world calls it: the program is dead, or has closed.
void Program::tear_down() {
    if (stage_ == Stage::closed) {
        ++disturbances_;
        oracle_.stopped(durable_outcomes(), identity_.partitions <= settings_.store.shards);
        for (const std::unique_ptr<Shard>& shard : shards_) {
            const auto& driver = static_cast<SimDriver&>(shard->shard->driver());
            if (driver.leases_out() != 0 || driver.in_flight() != 0) {
                journal_.fault("a stopped shard holds buffers or operations");
            }
        }
    } else {
        journal_.note("the relay is dead: " + host_.fatal_sentence());
        oracle_.died(durable_outcomes(), identity_.partitions <= settings_.store.shards);
        ++disturbances_;
    }
    unwind();
    for (const std::unique_ptr<Shard>& shard : shards_) {
        shard->relay.reset();
    }
    for (const std::unique_ptr<Shard>& shard : shards_) {
        shard->scope.reset();
        shard->shard.reset();
    }
    shards_.clear();
    jobs_.clear();
    stage_ = Stage::down;
}

// All tasks come to their end: first those that open, since close() needs that; then close().
void Program::unwind() {
    for (const std::unique_ptr<Shard>& shard : shards_) {
        if (shard->opened && !shard->closed) {
            shard->relay->scheduler().rules().take_no_more();
        }
    }
    const auto turn_until_quiet = [this] {
        for (int turn = 0;; ++turn) {
            const bool quiet = std::ranges::all_of(
                shards_, [](const auto& shard) { return shard->scope->size() == 0; });
            if (quiet) {
                return;
            }
            RP_ASSERT(turn < kUnwindTurnsMax);
            for (const std::unique_ptr<Shard>& shard : shards_) {
                shard->shard->turn();
            }
        }
    };
    turn_until_quiet();
    if (stage_ != Stage::closed) {
        for (const std::unique_ptr<Shard>& shard : shards_) {
            if (shard->relay != nullptr && !shard->closed) {
                waits_for_ = shards_.size();
                shard->scope->spawn(close(*this, *shard));
            }
        }
        turn_until_quiet();
    }
}

rt::Task<void> Program::give_one(Shard& shard, store::Rule rule, std::shared_ptr<Given> given) {
    std::vector<store::Rule> rules{std::move(rule)};
    const base::Status status = co_await shard.relay->scheduler().rules().add(std::move(rules));
    given->refused = given->refused || !status.has_value() || shard.shard->driver().dead();
    if (--given->waits_for == 0 && !given->refused) {
        given->durable();
    }
}

void Program::give(store::Rule rule, std::function<void()> durable) {
    RP_ASSERT(up());
    rule.at_ms = base::unix_ms(shards_.front()->shard->wall_now());
    for (const std::unique_ptr<Shard>& shard : shards_) {
        newest_rule_ = std::max(newest_rule_, shard->relay->scheduler().rules().newest());
    }
    rule.number = ++newest_rule_;  // those under way have not all reached their shards
    const auto given = std::make_shared<Given>(shards_.size(), false, std::move(durable));
    for (const std::unique_ptr<Shard>& shard : shards_) {
        shard->scope->spawn(give_one(*shard, rule, given));
    }
}

std::size_t Program::rules_under_way() {
    std::size_t count = 0;
    for (const std::unique_ptr<Shard>& shard : shards_) {
        count += shard->relay->scheduler().rules().under_way().size();
    }
    return count;
}

std::set<std::string> Program::queued() {
    RP_ASSERT(up());
    std::set<std::string> ids;
    for (const std::unique_ptr<Shard>& shard : shards_) {
        queue::Scheduler& scheduler = shard->relay->scheduler();
        for (std::size_t i = 0; i < scheduler.slots(); ++i) {
            if (const queue::Entry* entry = scheduler.slot(i)) {
                ids.emplace(mail::view(entry->id().text()));
            }
        }
    }
    return ids;
}

std::size_t Program::queue_size() {
    RP_ASSERT(up());
    std::size_t sum = 0;
    for (const std::unique_ptr<Shard>& shard : shards_) {
        sum += shard->relay->scheduler().counts().total();
    }
    return sum;
}

const char* name_of(Program::Stage stage) {
    switch (stage) {
        case Program::Stage::down:
            return "down";
        case Program::Stage::opening:
            return "opening";
        case Program::Stage::up:
            return "up";
        case Program::Stage::closing:
        case Program::Stage::closed:
            return "closing";
    }
    RP_PANIC("no such Stage");
}

}  // namespace sim::relay
