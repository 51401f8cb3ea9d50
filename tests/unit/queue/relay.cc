#include "unit/queue/relay.h"

#include <gtest/gtest.h>

#include "base/assert.h"
#include "queue/content_reading.h"
#include "rt/awaiters.h"
#include "store/spool.h"

namespace queue::test {

void RecordingLog::attempt(const mail::AttemptEvent& event) {
    attempts.push_back({event.status, event.id, std::string(event.from), std::string(event.to),
                        std::string(event.relay), std::string(event.reply), event.dsn,
                        event.attempts, event.next_attempt, event.possible_duplicate,
                        world_.now()});
}
void RecordingLog::removal(const mail::RemovalEvent& event) {
    removals.push_back({event.id, event.delivered, event.failed, event.deleted});
}
void RecordingLog::notification(const mail::NotificationEvent& event) {
    notifications.push_back(
        {event.kind, event.id, event.notification, std::string(event.to), event.recipients});
}
void RecordingLog::notice(mail::Severity severity, std::string_view text) {
    if (severity == mail::Severity::error) {
        errors.emplace_back(text);
    } else if (severity == mail::Severity::warning) {
        warnings.emplace_back(text);
    } else if (severity == mail::Severity::info) {
        infos.emplace_back(text);
    }
}

Relay::Relay(sim::World& world, const Options& options)
    : world_(world), options_(options), host_(world.add_host("relay")), log_(world) {
    host_.set_program({.start = [this] { build(); }, .end = [this] { tear_down(); }});
}

Relay::~Relay() {
    if (program_ != nullptr) {
        stop();
    }
}

void Relay::build() {
    sim::SimDriver& driver = host_.add_driver();
    program_ = std::make_unique<Program>();
    program_->shard = std::make_unique<rt::Shard>(0, driver);
    driver.set_turn([shard = program_->shard.get()] { shard->turn(); });
    program_->net = *net::ShardNet::create(*program_->shard, {.buffers = 64, .buffer_bytes = 4096});
    program_->scope = std::make_unique<rt::Scope>(*program_->shard, "test");
    program_->scope->spawn(bring_up(*this));
}

rt::Task<void> Relay::bring_up(Relay& relay) {
    Program& program = *relay.program_;
    base::Result<store::SpoolIdentity> spool =
        co_await store::open_spool(*program.shard, "/spool", 1);
    if (!spool) {
        co_return;
    }
    program.scheduler = std::make_unique<Scheduler>(*program.net, relay.log_, relay.options_);
    store::StoreOptions options;
    options.spool = "/spool";
    options.identity = *spool;
    options.transactions_max = 1000;
    options.segment_bytes = 256U << 10U;
    options.checkpoint_bytes = relay.checkpoint_bytes;
    program.store =
        std::make_unique<store::Store>(*program.shard, *program.scheduler, relay.log_, options);
    program.scheduler->use(*program.store);
    const base::Status opened = co_await program.store->open();
    if (!opened) {
        if (!program.shard->driver().dead()) {
            ADD_FAILURE() << opened.error().describe();
        }
        co_return;
    }
    program.scheduler->start();
    program.up = true;
}

rt::Task<void> Relay::bring_down(Relay& relay) {
    Program& program = *relay.program_;
    if (program.up) {
        co_await program.scheduler->stop();
        co_await program.store->close();
    }
    program.stopped = true;
}

// Also after a death: then every operation fails at once, and all tasks come to their end.
void Relay::tear_down() {
    if (!program_->stopped) {
        program_->scope->spawn(bring_down(*this));
        for (int turn = 0; program_->scope->size() > 0; ++turn) {
            RP_ASSERT(turn < 10'000);
            program_->shard->turn();
        }
    }
    program_->store.reset();
    program_->scheduler.reset();
    program_->scope.reset();
    program_->net.reset();
    program_.reset();
}

void Relay::spawn(rt::Task<void> task) {
    program_->scope->spawn(std::move(task));
    program_->shard->driver().wake();
}

void Relay::start() {
    host_.start();
    ASSERT_TRUE(world_.run_until([this] { return up(); }, std::chrono::minutes(1)));
}

void Relay::stop() {
    spawn(bring_down(*this));
    ASSERT_TRUE(
        world_.run_until([this] { return program_->scope->size() == 0; }, std::chrono::minutes(1)));
    host_.stop();
}

rt::Task<void> Relay::submitting(Relay& relay, Submission submission) {
    store::Store& store = *relay.program_->store;
    mail::Envelope envelope;
    envelope.set_reverse_path(submission.from);
    for (const std::string& path : submission.to) {
        envelope.add_recipient(path);
        envelope.set_notify(envelope.recipient_count() - 1, submission.notify);
    }
    envelope.parameters.ret = submission.ret;
    if (!submission.envelope_id.empty()) {
        envelope.set_envelope_id(submission.envelope_id);
    }
    mail::ContentFacts facts;
    facts.stored_bytes = submission.content.size();
    facts.dot_stuffed = true;
    facts.has_8bit = submission.has_8bit;
    for (std::size_t at = 0; (at = submission.content.find("\r\n..", at)) != std::string::npos;
         ++at) {
        ++facts.stuffed_dots;
    }
    const mail::Origin origin{.client_address = "127.0.0.1", .helo = "test", .protocol = "ESMTP"};
    mail::IncomingMessageHandle message = store.begin(origin);
    if (!message) {
        co_return;
    }
    rt::Wakeup wakeup;
    const mail::SinkState state = message->append(submission.content, wakeup);
    if (state == mail::SinkState::wait) {
        co_await wakeup.woken("append");
    }
    message->commit(envelope, facts, "Received: by relay.test\r\n", wakeup);
    co_await wakeup.woken("commit");
    if (message->state() == mail::SinkState::ready && !relay.program_->shard->driver().dead()) {
        ++relay.durable_;
    }
}

void Relay::fill_up(bool on) {
    spawn(filling(*this, on));
    ASSERT_TRUE(world_.run_until([this] { return program_->scope->size() == 0; },
                                 std::chrono::seconds(10)));
}

rt::Task<void> Relay::filling(Relay& relay, bool on) {
    relay.program_->places.clear();
    while (on) {
        mail::IncomingMessageHandle place = relay.program_->store->begin({});
        if (!place) {
            break;
        }
        relay.program_->places.push_back(std::move(place));
    }
    co_return;
}

void Relay::submit(const Submission& submission) {
    spawn(submitting(*this, submission));
}

void Relay::submit_now(const Submission& submission) {
    const std::uint64_t before = durable_;
    submit(submission);
    ASSERT_TRUE(world_.run_until([&] { return durable_ > before; }, std::chrono::seconds(10)));
}

namespace {

rt::Task<void> listing(Relay& relay, std::uint64_t cursor, const store::Rule& filter,
                       PageLimits limits, ListedPage& page) {
    co_await list_messages(relay.scheduler(), cursor, filter, limits, relay.call_off, page);
}
rt::Task<void> showing(Relay& relay, mail::QueueId id, ListedMessage& message, bool& found) {
    found = co_await show_message(relay.scheduler(), id, relay.call_off, message);
}
rt::Task<void> detailing(Relay& relay, mail::QueueId id, MessageDetail& detail) {
    const bool found = co_await detail_message(relay.scheduler(), id, relay.call_off, detail);
    EXPECT_TRUE(found);
}
rt::Task<void> explaining(Relay& relay, mail::QueueId id, Explanation& explanation) {
    const bool found = co_await explain_message(relay.scheduler(), id, relay.call_off, explanation);
    EXPECT_TRUE(found);
}
rt::Task<void> reading(Relay& relay, mail::QueueId id, std::string& content) {
    ContentReading reading;
    const base::Status opened = co_await reading.open(relay.scheduler(), id);
    for (std::size_t before = 1; opened && before != content.size();) {
        before = content.size();
        const base::Status read = co_await reading.read(content, 100);
        EXPECT_TRUE(read);
    }
}

}  // namespace

ListedPage Relay::list(std::uint64_t cursor, PageLimits limits, const store::Rule& filter) {
    ListedPage page;
    spawn(listing(*this, cursor, filter, limits, page));
    EXPECT_TRUE(
        world_.run_until([this] { return program_->scope->size() == 0; }, std::chrono::minutes(1)));
    return page;
}

MessageDetail Relay::detail(mail::QueueId id) {
    MessageDetail detail;
    spawn(detailing(*this, id, detail));
    EXPECT_TRUE(
        world_.run_until([this] { return program_->scope->size() == 0; }, std::chrono::minutes(1)));
    return detail;
}

Explanation Relay::explain(mail::QueueId id) {
    Explanation explanation;
    spawn(explaining(*this, id, explanation));
    EXPECT_TRUE(
        world_.run_until([this] { return program_->scope->size() == 0; }, std::chrono::minutes(1)));
    return explanation;
}

std::string Relay::content(mail::QueueId id) {
    std::string content;
    spawn(reading(*this, id, content));
    EXPECT_TRUE(
        world_.run_until([this] { return program_->scope->size() == 0; }, std::chrono::minutes(1)));
    return content;
}

bool Relay::show(mail::QueueId id, ListedMessage& message) {
    bool found = false;
    spawn(showing(*this, id, message, found));
    EXPECT_TRUE(
        world_.run_until([this] { return program_->scope->size() == 0; }, std::chrono::minutes(1)));
    return found;
}

rt::Task<void> Relay::ruling(Relay& relay, store::Rule rule, base::Status& status) {
    rule.number = relay.scheduler().rules().newest() + 1;
    rule.at_ms = base::unix_ms(relay.shard().wall_now());
    std::vector<store::Rule> rules{std::move(rule)};
    status = co_await relay.scheduler().rules().add(std::move(rules));
}

void Relay::give(store::Rule rule, base::Status& status) {
    spawn(ruling(*this, std::move(rule), status));
}

bool Relay::rule(store::Rule rule) {
    base::Status status = base::fail(EAGAIN);
    give(std::move(rule), status);
    EXPECT_TRUE(
        world_.run_until([this] { return program_->scope->size() == 0; }, std::chrono::minutes(1)));
    return status.has_value();
}

bool Relay::drain(base::Duration longest) {
    return world_.run_until([this] { return up() && scheduler().counts().total() == 0; }, longest);
}

}  // namespace queue::test
