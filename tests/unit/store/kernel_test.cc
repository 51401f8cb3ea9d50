// The store over the kernel's own ring and file system: that both drivers keep the same store, and
// that a warm store allocates nothing for a message.
#include <filesystem>

#include <unistd.h>

#include <gtest/gtest.h>

#include "io/uring/uring_driver.h"
#include "rt/awaiters.h"
#include "rt/frame_pool.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "store/store.h"
#include "unit/store/counting_allocator.h"

namespace store {
namespace {

// Keeps what is alive, in memory that it took beforehand.
class Queue final : public StoreListener, public mail::EventLog {
  public:
    Queue() { alive.reserve(10000); }
    void recovered(Message& message) override { alive.push_back(message.id()); }
    void committed(Message& message, const mail::Envelope&, const mail::ContentFacts&) override {
        alive.push_back(message.id());
    }
    void rule_durable() override {}
    void reception(const mail::ReceptionEvent&) override {}
    void attempt(const mail::AttemptEvent&) override {}
    void removal(const mail::RemovalEvent&) override {}
    void notification(const mail::NotificationEvent&) override {}
    void notice(mail::Severity, std::string_view) override {}

    std::vector<mail::QueueId> alive;
};

struct Machine {
    explicit Machine(const std::string& path) {
        options.spool = path;
        options.segment_bytes = 8U << 20U;
        base::Result<std::unique_ptr<io::UringDriver>> made = io::UringDriver::create({});
        if (made.has_value()) {
            driver = std::move(*made);
            shard = std::make_unique<rt::Shard>(0, *driver);
        }
    }
    void run(rt::Task<void> task) {
        rt::Scope scope(*shard, "test");
        scope.spawn(std::move(task));
        while (scope.size() > 0) {
            shard->turn();
        }
    }

    StoreOptions options;
    Queue queue;
    std::unique_ptr<io::UringDriver> driver;
    std::unique_ptr<rt::Shard> shard;
    std::unique_ptr<Store> store;
    std::string content;
    mail::Envelope envelope;
    StoredMessage stored;
    std::uint64_t bytes_read = 0;
};

rt::Task<void> open(Machine& machine) {
    base::Result<SpoolIdentity> identity =
        co_await open_spool(*machine.shard, machine.options.spool, 1);
    EXPECT_TRUE(identity.has_value()) << identity.error().describe();
    machine.options.identity = *identity;
    machine.store =
        std::make_unique<Store>(*machine.shard, machine.queue, machine.queue, machine.options);
    const base::Status status = co_await machine.store->open();
    EXPECT_TRUE(status.has_value()) << status.error().describe();
}

rt::Task<void> close(Machine& machine) {
    co_await machine.store->close();
    machine.store.reset();
}

rt::Task<void> put(Machine& machine) {
    rt::Wakeup wakeup;
    mail::Origin origin;
    origin.client_address = "192.0.2.1";
    origin.helo = "a.client.with.a.long.name.example.test";
    origin.protocol = "ESMTP";
    const mail::IncomingMessageHandle message = machine.store->begin(origin);
    EXPECT_NE(message, nullptr);
    const mail::SinkState state = message->append(machine.content, wakeup);
    if (state == mail::SinkState::wait) {
        co_await wakeup.woken("append");
    }
    mail::ContentFacts facts;
    facts.stored_bytes = machine.content.size();
    message->commit(machine.envelope, facts, "Received: x\r\n", wakeup);
    co_await wakeup.woken("commit");
    EXPECT_EQ(message->state(), mail::SinkState::ready);
}

rt::Task<void> read(Machine& machine, mail::QueueId ref) {
    const base::Result<ReaderHandle> reader = co_await machine.store->open_source(ref);
    EXPECT_TRUE(reader.has_value());
    rt::Wakeup wakeup;
    std::size_t at = 0;
    while (true) {
        std::string_view span;
        const mail::SourceState state = (*reader)->next(span, wakeup);
        if (state == mail::SourceState::wait) {
            co_await wakeup.woken("read");
            continue;
        }
        if (state != mail::SourceState::ready) {
            EXPECT_EQ(state, mail::SourceState::end);
            break;
        }
        EXPECT_EQ(span, std::string_view(machine.content).substr(at, span.size()));
        at += span.size();
    }
    EXPECT_EQ(at, machine.content.size());
    machine.bytes_read += at;
}

rt::Task<void> put_read_and_finish(Machine& machine) {
    co_await put(machine);
    const mail::QueueId ref = machine.queue.alive.back();
    machine.queue.alive.pop_back();
    co_await read(machine, ref);
    Outcome outcome;
    outcome.status = RecipientStatus::delivered;
    outcome.reply = "2.0.0 ok";
    Message& message = *machine.store->find(ref);
    machine.store->record_outcome(message, outcome);
    machine.store->finish(message);
}

rt::Task<void> many(Machine& machine, int count) {
    for (int i = 0; i < count; ++i) {
        co_await put_read_and_finish(machine);
    }
}

rt::Task<void> put_many(Machine& machine, int count) {
    for (int i = 0; i < count; ++i) {
        co_await put(machine);
    }
}

rt::Task<void> read_all(Machine& machine) {
    const std::vector<mail::QueueId> alive = machine.queue.alive;
    for (const mail::QueueId ref : alive) {
        co_await read(machine, ref);
    }
}

class KernelTest : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override {
        path_ = std::filesystem::current_path() /
                ("spool-" + std::to_string(::getpid()) + (GetParam() ? "-direct" : "-buffered"));
        std::filesystem::remove_all(path_);
    }
    void TearDown() override { std::filesystem::remove_all(path_); }

    std::unique_ptr<Machine> machine() {
        auto made = std::make_unique<Machine>(path_.string());
        made->options.direct_io = GetParam();
        made->content.assign(10'000, 'm');
        made->envelope.set_reverse_path("sender@src.test");
        made->envelope.add_recipient("recipient@dst.test");
        return made;
    }

    std::filesystem::path path_;
};

TEST_P(KernelTest, MessagesComeBackAfterARestart) {
    {
        const auto first = machine();
        ASSERT_NE(first->driver, nullptr);
        first->run(open(*first));
        first->run(put_many(*first, 20));
        first->content.assign(900'000, 'L');
        first->run(put_many(*first, 1));
        first->run(close(*first));
    }
    const auto second = machine();
    second->run(open(*second));
    ASSERT_EQ(second->queue.alive.size(), 21U);
    const mail::QueueId large = second->queue.alive.back();
    second->queue.alive.pop_back();
    second->run(read_all(*second));
    second->content.assign(900'000, 'L');
    second->run(read(*second, large));
    EXPECT_EQ(second->bytes_read, 20U * 10'000 + 900'000);
    second->run(close(*second));
}

TEST_P(KernelTest, ASecondProcessIsKeptOut) {
    const auto first = machine();
    first->run(open(*first));
    const auto second = machine();
    second->options.lock_wait = std::chrono::milliseconds(200);
    second->options.identity = first->options.identity;
    Store store(*second->shard, second->queue, second->queue, second->options);
    base::Status status;
    second->run([](Store& opened, base::Status& result) -> rt::Task<void> {
        result = co_await opened.open();
    }(store, status));
    ASSERT_FALSE(status.has_value());
    EXPECT_NE(status.error().describe().find("in use by another"), std::string::npos);
    first->run(close(*first));
}

TEST_P(KernelTest, AWarmStoreAllocatesNothingPerMessage) {
    const auto warm = machine();
    warm->options.segment_bytes = 32U << 20U;  // none is used up meanwhile
    warm->run(open(*warm));
    warm->run(many(*warm, 100));
    // Beside the active segment, the next one and three in reserve are made in the background.
    while (warm->store->counters().segments_created < 5) {
        warm->shard->turn();
    }
    // A task of its own comes from the allocator; what it does, from the pools.
    rt::Scope scope(*warm->shard, "test");
    scope.spawn(many(*warm, 300));
    warm->shard->turn();
    const std::uint64_t before = allocations();
    while (scope.size() > 0) {
        warm->shard->turn();
    }
    if (rt::FramePool::reuses_frames()) {
        EXPECT_EQ(allocations() - before, 0U);
    } else {
        EXPECT_GE(allocations() - before, 300U);  // a sanitizer's build: each frame is one
    }
    EXPECT_EQ(warm->store->counters().commits, 400U);
    warm->run(close(*warm));
}

INSTANTIATE_TEST_SUITE_P(Store, KernelTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& direct) {
                             return direct.param ? "direct" : "buffered";
                         });

}  // namespace
}  // namespace store
