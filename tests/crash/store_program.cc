#include "crash/store_program.h"

#include <algorithm>

#include "base/assert.h"

namespace crash {
namespace {

constexpr int kUnwindTurnsMax = 10000;

store::RecipientState state_after(const std::vector<store::RecipientState>& asked,
                                  store::RecipientStatus status, base::WallTime now) {
    store::RecipientState state;
    state.status = status;
    state.attempts = asked.back().attempts + 1;
    if (status == store::RecipientStatus::deferred) {
        state.next_s = base::unix_seconds(now) + 60;
    }
    return state;
}

}  // namespace

store::StoreOptions small_store() {
    store::StoreOptions options;
    options.spool = "/spool";
    options.segment_bytes = 64U << 10U;
    options.chunk_bytes_max = 8U << 20U;
    options.cache_bytes_max = 1U << 20U;
    options.checkpoint_bytes = 0;  // those who want some say so
    return options;
}

StoreProgram::StoreProgram(std::uint32_t shard, sim::SimDriver& driver,
                           const store::StoreOptions& options, Oracle& oracle, Script script,
                           std::vector<std::string>& log)
    : shard_(shard, driver),
      options_(options),
      oracle_(oracle),
      script_(script),
      log_(log),
      scope_(shard_, "program"),
      tasks_(shard_, "tasks") {
    driver.set_turn([this] { turn(); });
    scope_.spawn(main());
}

StoreProgram::~StoreProgram() {
    for (int i = 0; i < kUnwindTurnsMax && scope_.size() > 0; ++i) {
        turn();
    }
}

rt::Task<void> StoreProgram::main() {
    const std::uint32_t partitions = std::max(1U, options_.identity.partitions);
    base::Result<store::SpoolIdentity> identity =
        co_await store::open_spool(shard_, options_.spool, partitions, options_.salvage);
    if (!identity.has_value()) {
        opened_ = std::unexpected(identity.error());
        co_return;
    }
    options_.identity = *identity;
    store_ = std::make_unique<store::Store>(shard_, static_cast<store::StoreListener&>(*this),
                                            static_cast<mail::EventLog&>(*this), options_);
    opened_ = co_await store_->open();
    if (!opened_.has_value() || dead()) {
        co_return;
    }
    oracle_.all_recovered();
    co_await verify();
    co_await script_(*this);
    co_await tasks_.join();
    co_await store_->close();
}

void StoreProgram::recovered(store::Message& message) {
    if (!dead()) {
        oracle_.recovered(message);
    }
}

void StoreProgram::committed(store::Message& message, const mail::Envelope& /*envelope*/,
                             const mail::ContentFacts& /*facts*/) {
    oracle_.listener_committed(message.id());
}

StoreProgram::OutcomeWatch::OutcomeWatch(StoreProgram& program, mail::QueueId id,
                                         std::uint32_t recipient, std::size_t number)
    : base::Waiter(&OutcomeWatch::on_wake),
      program_(program),
      id_(id),
      recipient_(recipient),
      number_(number) {}

void StoreProgram::OutcomeWatch::on_wake(base::Waiter& waiter) {
    const auto& self = static_cast<OutcomeWatch&>(waiter);
    if (!self.program_.dead()) {
        self.program_.oracle_.outcome_durable(self.id_, self.recipient_, self.number_);
    }
}

void StoreProgram::notice(mail::Severity, std::string_view text) {
    log_.emplace_back(text);
}

// In each of these: what a dead program does no longer counts, so the oracle does not hear of it.
rt::Task<void> StoreProgram::put(Letter letter, std::size_t piece_bytes) {
    if (dead()) {
        co_return;
    }
    rt::Wakeup wakeup;
    mail::Origin origin;
    origin.client_address = "192.0.2.1";
    origin.helo = "client.test";
    origin.protocol = "ESMTP";
    mail::IncomingMessageHandle message = store_->begin(origin);
    if (message == nullptr) {
        ++refusals_;
        co_return;
    }
    const mail::QueueId id = message->id();
    oracle_.begun(id);
    std::string_view left = letter.content;
    while (!left.empty()) {
        const std::string_view piece = left.substr(0, piece_bytes);
        left.remove_prefix(piece.size());
        mail::SinkState state = message->append(piece, wakeup);
        if (state == mail::SinkState::wait) {
            co_await wakeup.woken("append");
            state = message->state();
        }
        if (dead()) {
            co_return;
        }
        if (state != mail::SinkState::ready) {
            ++refusals_;
            oracle_.aborted(id);
            co_return;
        }
        co_await rt::Yield();
        if (dead()) {
            co_return;
        }
    }
    mail::Envelope envelope;
    envelope.set_reverse_path(letter.sender);
    for (const std::string& recipient : letter.recipients) {
        envelope.add_recipient(recipient);
    }
    mail::ContentFacts facts;
    facts.stored_bytes = letter.content.size();
    oracle_.committing(id, letter);
    message->commit(envelope, facts, letter.headers, wakeup);
    co_await wakeup.woken("commit");
    if (dead()) {
        co_return;
    }
    if (message->state() == mail::SinkState::ready) {
        oracle_.acknowledged(id);
    } else {
        ++refusals_;
        oracle_.refused(id);
    }
}

rt::Task<void> StoreProgram::abort(std::string content) {
    if (dead()) {
        co_return;
    }
    rt::Wakeup wakeup;
    mail::IncomingMessageHandle message = store_->begin(mail::Origin());
    if (message == nullptr) {
        co_return;
    }
    oracle_.begun(message->id());
    const mail::SinkState state = message->append(content, wakeup);
    if (state == mail::SinkState::wait) {
        co_await wakeup.woken("append");
    }
}

void StoreProgram::record(mail::QueueId id, std::uint32_t recipient,
                          store::RecipientStatus status) {
    if (dead()) {
        return;
    }
    const std::vector<store::RecipientState>& asked =
        oracle_.message(id).recipients.at(recipient).asked;
    const store::RecipientState state = state_after(asked, status, shard_.wall_now());
    store::Outcome outcome;
    outcome.recipient = recipient;
    outcome.status = status;
    outcome.attempts = state.attempts;
    outcome.at = shard_.wall_now();
    outcome.next_attempt = base::wall_from_unix_seconds(state.next_s);
    outcome.code = 451;
    outcome.reply = "not now";
    outcome.relay = "mx.test:25";
    oracle_.outcome_asked(id, recipient, state);
    watches_.push_back(std::make_unique<OutcomeWatch>(*this, id, recipient, asked.size() - 1));
    store::Message* message = store_->find(id);
    RP_ASSERT(message != nullptr);
    store_->record_outcome(*message, outcome, watches_.back().get());
}

rt::Task<void> StoreProgram::record_and_wait(mail::QueueId id, std::uint32_t recipient,
                                             store::RecipientStatus status) {
    if (dead()) {
        co_return;
    }
    record(id, recipient, status);
    rt::Wakeup wakeup;
    // A second outcome, so that the wait covers the first too.
    const std::vector<store::RecipientState>& asked =
        oracle_.message(id).recipients.at(recipient).asked;
    const store::RecipientState state = state_after(asked, status, shard_.wall_now());
    store::Outcome outcome;
    outcome.recipient = recipient;
    outcome.status = status;
    outcome.attempts = state.attempts;
    outcome.next_attempt = base::wall_from_unix_seconds(state.next_s);
    oracle_.outcome_asked(id, recipient, state);
    store::Message* message = store_->find(id);
    const store::Location before = message->recipients()[recipient].outcome;
    store_->record_outcome(*message, outcome, &wakeup);
    co_await wakeup.woken("outcome");
    if (!dead()) {
        if (message->recipients()[recipient].outcome == before) {
            oracle_.fault("woken before the outcome was durable");
        }
        oracle_.outcome_durable(id, recipient, asked.size() - 1);
    }
}

rt::Task<void> StoreProgram::finish(mail::QueueId id) {
    if (dead()) {
        co_return;
    }
    rt::Wakeup wakeup;
    oracle_.end_asked(id);
    store::Message* message = store_->find(id);
    RP_ASSERT(message != nullptr);
    store_->finish(*message, &wakeup);
    co_await wakeup.woken("finish");
    if (!dead()) {
        oracle_.end_durable(id);
    }
}

rt::Task<void> StoreProgram::finish_all() {
    const std::vector<mail::QueueId> alive = oracle_.alive();
    for (const mail::QueueId message : alive) {
        if (dead()) {
            co_return;
        }
        co_await finish(message);
    }
}

rt::Task<void> StoreProgram::verify() {
    const std::vector<mail::QueueId> alive = oracle_.alive();
    for (const mail::QueueId message : alive) {
        co_await verify_one(message);
    }
}

rt::Task<void> StoreProgram::verify_one(mail::QueueId id) {
    base::Result<store::ReaderHandle> opened = co_await store_->open_source(id);
    if (dead()) {
        co_return;
    }
    if (!opened.has_value()) {
        oracle_.fault("cannot be read: " + opened.error().describe());
        co_return;
    }
    store::Reader& reader = **opened;
    std::string content;
    rt::Wakeup wakeup;
    while (true) {
        std::string_view span;
        const mail::SourceState state = reader.next(span, wakeup);
        if (state == mail::SourceState::end || dead()) {
            break;
        }
        if (state == mail::SourceState::failed) {
            oracle_.fault("its content cannot be read");
            co_return;
        }
        if (state == mail::SourceState::wait) {
            co_await wakeup.woken("read");
            continue;
        }
        content += span;
    }
    if (!dead()) {
        oracle_.read(reader.message(), content);
    }
    const RecipientModel& model = oracle_.message(id).recipients.at(0);
    const store::Message* there = store_->find(id);
    if (dead() || there == nullptr || there->recipients()[0].outcome.nowhere()) {
        co_return;
    }
    store::StoredOutcome stored;
    const base::Status status = co_await store_->read_outcome(id, 0, stored);
    if (!dead() && (!status.has_value() || stored.id != id ||
                    stored.status != model.asked.at(model.durable).status)) {
        oracle_.fault("its outcome cannot be read");
    }
}

rt::Task<std::string> StoreProgram::open_again() {
    store::Store other(shard_, *this, *this, options_);
    const base::Status status = co_await other.open();
    co_return status.has_value() ? std::string() : status.error().describe();
}

rt::Task<void> StoreProgram::pause(base::Duration time) {
    rt::Sleep sleep;
    const base::MonoTime until = shard_.now() + time;
    co_await sleep.until(until);
}

StoreWorld::StoreWorld(StoreWorldOptions options)
    : options_(std::move(options)),
      world_(options_.seed, options_.sim),
      host_(world_.add_host("store")) {
    host_.set_program({.start = [this] { start(); }, .end = [this] { end(); }});
}

void StoreWorld::start() {
    starts_.push_back(world_.events());
    const std::size_t script = std::min(ended_, options_.scripts.size() - 1);
    program_ = std::make_unique<StoreProgram>(options_.shard, host_.add_driver(), options_.store,
                                              oracle_, options_.scripts[script], log_);
}

void StoreWorld::end() {
    program_.reset();
}

bool StoreWorld::run_one() {
    if (host_.drivers().empty()) {
        host_.start();
    }
    const bool over = world_.run_until(
        [this] { return host_.running() && program_ != nullptr && program_->over(); },
        std::chrono::hours(1));
    if (over) {
        ++ended_;
        refusal_ = program_->opened().has_value() ? "" : program_->opened().error().describe();
        host_.stop();
    }
    return over;
}

void StoreWorld::run_beside(const std::function<rt::Task<void>(rt::Shard&)>& task) {
    struct Beside {
        explicit Beside(sim::SimDriver& driver) : shard(0, driver), scope(shard, "beside") {
            driver.set_turn([this] { shard.turn(); });
        }
        rt::Shard shard;
        rt::Scope scope;
    };
    std::unique_ptr<Beside> beside;
    host_.set_program({.start =
                           [&] {
                               beside = std::make_unique<Beside>(host_.add_driver());
                               beside->scope.spawn(task(beside->shard));
                           },
                       .end = [&] { beside.reset(); }});
    host_.start();
    RP_ASSERT(world_.run_until([&] { return beside->scope.size() == 0; }, std::chrono::hours(1)));
    host_.stop();
    host_.set_program({.start = [this] { start(); }, .end = [this] { end(); }});
}

void StoreWorld::kill_at_event(std::uint64_t event) {
    if (host_.drivers().empty()) {
        host_.start();
    }
    world_.run_until([&] { return world_.events() >= event; }, std::chrono::hours(1));
    host_.kill();
}

bool StoreWorld::run() {
    while (ended_ < options_.scripts.size()) {
        if (!run_one()) {
            return false;
        }
        if (!refusal_.empty()) {
            oracle_.fault("did not open: " + refusal_);
        }
    }
    return true;
}

std::string StoreWorld::run_once(StoreProgram::Script script) {
    options_.scripts.assign(ended_ + 1, script);
    return run_one() ? refusal_ : "it does not end";
}

}  // namespace crash
