// Fills a spool with deferred messages, for bench/scale: the real store, a thread for each
// partition, no session before it.
//
//   fill_bench SPOOL [--shards 2] [--messages N] [--domains 100000] [--content-bytes 1024]
//              [--outcomes N] [--log-bytes N] [--from S] [--to S] [--kill]
//
// --messages: so many new ones, of one recipient each, deferred at once. --outcomes: so many of
// those that are there are deferred anew. --log-bytes: each partition defers what is there anew
// until it has written so much log. Next attempts lie S to S seconds ahead, by chance. At the end
// the store is closed; with --kill the process kills itself instead.
#include <algorithm>
#include <barrier>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/decimal.h"
#include "base/prng.h"
#include "io/uring/uring_driver.h"
#include "mail/log_event.h"
#include "rt/awaiters.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "store/store.h"

namespace {

// Messages under way in each partition, and so in a batch: as many as a busy relay has.
constexpr std::uint32_t kWriters = 64;
constexpr std::uint32_t kOutcomesPerTurn = 512;

struct Work {
    std::string spool;
    std::uint32_t shards = 2;
    std::uint64_t messages = 0;
    std::uint64_t domains = 100000;
    std::uint64_t content_bytes = 1024;
    std::uint64_t outcomes = 0;
    std::uint64_t log_bytes = 0;
    std::uint64_t from_s = 6 * 3600;
    std::uint64_t to_s = 30 * 3600;
    bool kill = false;
};

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "fill_bench: %s\n", what.c_str());
    std::exit(1);
}

// One partition: as a store's listener, and at work on it.
class Partition final : public store::StoreListener, public mail::EventLog {
  public:
    Partition(const Work& work, std::uint32_t number, store::SpoolIdentity identity,
              std::barrier<>& written)
        : work_(work), number_(number), written_(written), prng_(number + 1) {
        options_.spool = work.spool;
        options_.identity = identity;
        options_.shards = work.shards;
        options_.transactions_max = 2 * kWriters;
        options_.batch_bytes_max = 4U << 20U;
        options_.outcome_delay = base::Duration::zero();
        content_ = "From: <sender@example.test>\r\nSubject: scale\r\n\r\n";
        while (content_.size() < work.content_bytes) {
            content_ += std::string(std::min<std::size_t>(76, work.content_bytes), 'x') + "\r\n";
        }
        content_.resize(work.content_bytes - 2);
        content_ += "\r\n";
    }

    void run() {
        auto driver = io::UringDriver::create({});
        if (!driver) {
            fail(driver.error().describe());
        }
        rt::Shard shard(number_, **driver);
        shard_ = &shard;
        wall_ = shard.wall_now();
        {
            rt::Scope scope(shard, "fill");
            scope.spawn(fill());
            while (scope.size() > 0) {
                shard.turn();
            }
        }
        store_.reset();
    }

    void recovered(store::Message& message) override { alive_.push_back(&message); }
    void committed(store::Message& message, const mail::Envelope& /*envelope*/,
                   const mail::ContentFacts& /*facts*/) override {
        defer(message, 1);
    }
    void rule_durable() override {}
    void reception(const mail::ReceptionEvent& /*event*/) override {}
    void attempt(const mail::AttemptEvent& /*event*/) override {}
    void removal(const mail::RemovalEvent& /*event*/) override {}
    void notification(const mail::NotificationEvent& /*event*/) override {}
    void notice(mail::Severity /*severity*/, std::string_view text) override {
        std::fprintf(stderr, "fill_bench: %.*s\n", static_cast<int>(text.size()), text.data());
    }

  private:
    rt::Task<void> fill() {
        store_ = std::make_unique<store::Store>(*shard_, *this, *this, options_);
        const base::Status opened = co_await store_->open();
        if (!opened) {
            fail(opened.error().describe());
        }
        left_ = share_of(work_.messages);
        rt::Scope writers(*shard_, "writers");
        for (std::uint32_t i = 0; i < kWriters && i < share_of(work_.messages); ++i) {
            writers.spawn(write());
        }
        co_await writers.join();
        co_await defer_anew();
        if (work_.kill) {
            written_.arrive_and_wait();
            static_cast<void>(std::raise(SIGKILL));
        }
        co_await store_->close();
    }

    rt::Task<void> write() {
        mail::Envelope envelope;
        rt::Wakeup wakeup;
        mail::Origin origin;
        origin.client_address = "192.0.2.1";
        origin.helo = "client.example.test";
        origin.protocol = "ESMTP";
        mail::ContentFacts facts;
        facts.stored_bytes = content_.size();
        while (left_ > 0) {
            const std::uint64_t number = --left_ * work_.shards + number_;
            std::string path = "user";
            base::append_decimal(path, number);
            path += "@d";
            base::append_decimal(path, number % work_.domains);
            path += ".example.test";
            envelope.clear();
            envelope.set_reverse_path("sender@example.test");
            envelope.add_recipient(path);
            const mail::IncomingMessageHandle message = store_->begin(origin);
            if (message == nullptr) {
                fail("the store takes no more messages at a time");
            }
            const mail::SinkState state = message->append(content_, wakeup);
            if (state == mail::SinkState::wait) {
                co_await wakeup.woken("append");
            }
            message->commit(envelope, facts, "Received: by relay.example.test\r\n", wakeup);
            co_await wakeup.woken("commit");
            if (message->state() != mail::SinkState::ready) {
                fail("a message was not stored; is the disk full?");
            }
        }
    }

    rt::Task<void> defer_anew() {
        const std::uint64_t count = share_of(work_.outcomes);
        const std::uint64_t bytes = store_->counters().batch_bytes + work_.log_bytes;
        std::uint64_t done = 0;
        while (!alive_.empty() &&
               (done < count || (work_.log_bytes > 0 && store_->counters().batch_bytes < bytes))) {
            for (std::uint32_t i = 0; i < kOutcomesPerTurn && store_->takes_outcomes() &&
                                      (done < count || work_.log_bytes > 0);
                 ++i, ++done) {
                // Across all of them, not one behind the other: as retries come.
                defer(*alive_[done * 7919 % alive_.size()], 2);
            }
            co_await rt::NextTurn();
        }
    }

    [[nodiscard]] std::uint64_t share_of(std::uint64_t all) const {
        return all / work_.shards + (number_ < all % work_.shards ? 1 : 0);
    }

    void defer(store::Message& message, std::uint32_t attempts) {
        store::Outcome outcome;
        outcome.status = store::RecipientStatus::deferred;
        outcome.attempts = attempts;
        outcome.at = wall_;
        outcome.next_attempt =
            shard_->wall_now() +
            std::chrono::seconds(work_.from_s + prng_.below(work_.to_s - work_.from_s + 1));
        outcome.code = 451;
        outcome.dsn = {4, 3, 0};
        outcome.reply = "try again later";
        outcome.relay = "127.0.0.1:25";
        store_->record_outcome(message, outcome);
    }

    const Work& work_;
    std::uint32_t number_;
    std::barrier<>& written_;
    base::Prng prng_;
    store::StoreOptions options_;
    std::string content_;
    rt::Shard* shard_ = nullptr;
    base::WallTime wall_{};
    std::unique_ptr<store::Store> store_;
    std::vector<store::Message*> alive_;
    std::uint64_t left_ = 0;
};

rt::Task<void> make_spool(rt::Shard& shard, const Work& work, store::SpoolIdentity& identity) {
    const base::Result<store::SpoolIdentity> made =
        co_await store::open_spool(shard, work.spool, work.shards);
    if (!made) {
        fail(made.error().describe());
    }
    identity = *made;
}

store::SpoolIdentity spool_of(const Work& work) {
    auto driver = io::UringDriver::create({});
    if (!driver) {
        fail(driver.error().describe());
    }
    store::SpoolIdentity identity;
    rt::Shard shard(0, **driver);
    rt::Scope scope(shard, "spool");
    scope.spawn(make_spool(shard, work, identity));
    while (scope.size() > 0) {
        shard.turn();
    }
    return identity;
}

std::uint64_t number_of(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
        fail("not a number: " + std::string(text));
    }
    return number;
}

Work parse(const std::vector<std::string_view>& arguments) {
    Work work;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view name = arguments[i];
        if (name == "--kill") {
            work.kill = true;
        } else if (!name.starts_with("--")) {
            work.spool = name;
        } else if (++i == arguments.size()) {
            fail(std::string(name) + " needs a number");
        } else if (name == "--shards") {
            work.shards = static_cast<std::uint32_t>(number_of(arguments[i]));
        } else if (name == "--messages") {
            work.messages = number_of(arguments[i]);
        } else if (name == "--domains") {
            work.domains = number_of(arguments[i]);
        } else if (name == "--content-bytes") {
            work.content_bytes = number_of(arguments[i]);
        } else if (name == "--outcomes") {
            work.outcomes = number_of(arguments[i]);
        } else if (name == "--log-bytes") {
            work.log_bytes = number_of(arguments[i]);
        } else if (name == "--from") {
            work.from_s = number_of(arguments[i]);
        } else if (name == "--to") {
            work.to_s = number_of(arguments[i]);
        } else {
            fail("no option is called " + std::string(name));
        }
    }
    if (work.spool.empty() || work.shards == 0 || work.domains == 0 || work.to_s < work.from_s ||
        work.content_bytes < 128) {
        fail("usage: fill_bench SPOOL [--messages N] …; see the head of fill_bench.cc");
    }
    return work;
}

}  // namespace

int main(int argc, char** argv) {
    const Work work = parse({argv + 1, argv + argc});
    const store::SpoolIdentity identity = spool_of(work);
    std::barrier<> written(work.shards);
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < work.shards; ++i) {
        threads.emplace_back(
            [&work, identity, &written, i] { Partition(work, i, identity, written).run(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    return 0;
}
