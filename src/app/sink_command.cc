// `ringpost sink`: the real SMTP engine in front of a store that keeps nothing. One thread per
// core.
//
// Fatal: no io_uring, or the address cannot be used: a sentence on standard error and exit code 1.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "app/sink.h"
#include "io/uring/uring_driver.h"
#include "mail/log_event.h"
#include "mail/message_sink.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "smtp/server.h"

namespace app {
namespace {

constexpr std::uint32_t kSessionsMax = 10000;  // per shard
constexpr base::Duration kPatience = std::chrono::seconds(2);

struct Totals {
    std::uint64_t messages = 0;
    std::uint64_t recipients = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const Totals&, const Totals&) = default;
};

// Written by one shard, read by the main thread.
struct alignas(64) SharedTotals {
    std::atomic<std::uint64_t> messages{0};
    std::atomic<std::uint64_t> recipients{0};
    std::atomic<std::uint64_t> bytes{0};
};

// Counts messages and keeps nothing. Lives on its shard.
class DiscardingSink final : public mail::MessageSink, private rt::TurnHook {
  public:
    DiscardingSink(rt::Shard& shard, SharedTotals& totals) : shard_(shard), totals_(totals) {
        shard.add_hook(*this);
    }
    ~DiscardingSink() override { RP_ASSERT(waiting_.empty()); }

    mail::SinkState admits(std::uint64_t) override { return mail::SinkState::ready; }

    mail::IncomingMessageHandle begin(const mail::Origin&) override {
        if (free_.empty()) {
            messages_.push_back(std::make_unique<Message>(*this));
            free_.push_back(messages_.back().get());
        }
        Message* message = free_.back();
        free_.pop_back();
        message->start(mail::QueueId(shard_.number() % mail::QueueId::kPartitionsMax, 0,
                                     ++sequence_ & mail::QueueId::kSequenceMax));
        return mail::IncomingMessageHandle(message);
    }

  private:
    class Message final : public mail::IncomingMessage {
      public:
        explicit Message(DiscardingSink& sink) : sink_(sink) {}
        void start(mail::QueueId id) { id_ = id; }
        mail::QueueId id() const override { return id_; }
        mail::SinkState append(std::string_view, base::Waiter&) override {
            return mail::SinkState::ready;
        }
        void commit(const mail::Envelope& envelope, const mail::ContentFacts& facts,
                    std::string_view, base::Waiter& waiter) override {
            sink_.count(envelope, facts);
            sink_.waiting_.push_back(waiter);
        }
        mail::SinkState state() const override { return mail::SinkState::ready; }

      private:
        void release() override { sink_.free_.push_back(this); }

        DiscardingSink& sink_;
        mail::QueueId id_;
    };

    base::MonoTime end_of_turn(base::MonoTime) override {
        while (!waiting_.empty()) {
            waiting_.pop_front().wake();
        }
        return base::kNever;
    }

    void count(const mail::Envelope& envelope, const mail::ContentFacts& facts) {
        const auto add = [](std::atomic<std::uint64_t>& to, std::uint64_t number) {
            to.store(to.load(std::memory_order_relaxed) + number, std::memory_order_relaxed);
        };
        add(totals_.messages, 1);
        add(totals_.recipients, envelope.recipient_count());
        add(totals_.bytes, facts.content_bytes());
    }

    rt::Shard& shard_;
    SharedTotals& totals_;
    base::WaiterList waiting_;
    std::vector<std::unique_ptr<Message>> messages_;
    std::vector<Message*> free_;
    std::uint64_t sequence_ = 0;
};

// Keeps no log of messages; says what an operator should know.
class Notices final : public mail::EventLog {
  public:
    void reception(const mail::ReceptionEvent&) override {}
    void attempt(const mail::AttemptEvent&) override {}
    void removal(const mail::RemovalEvent&) override {}
    void notice(mail::Severity, std::string_view text) override {
        std::fprintf(stderr, "ringpost sink: %.*s\n", static_cast<int>(text.size()), text.data());
    }
};

// One core's part of the sink.
class SinkShard final : private rt::Letter {
  public:
    SinkShard(std::uint32_t number, std::unique_ptr<io::UringDriver> driver,
              const policy::Access& access)
        : driver_(std::move(driver)),
          shard_(number, *driver_),
          sink_(shard_, totals_),
          access_(access),
          scope_(shard_, "sink") {}

    base::Status open(const io::SocketAddress& address, const smtp::SessionConfig& config) {
        base::Result<std::unique_ptr<net::ShardNet>> net = net::ShardNet::create(shard_, {});
        if (!net) {
            return base::fail(net.error().number(), net.error().text());
        }
        net_ = std::move(*net);
        const smtp::SessionServices services{*net_, sink_, notices_, access_};
        server_ = std::make_unique<smtp::Server>(services, kSessionsMax);
        const base::Result<io::SocketAddress> bound = server_->listen(address, config);
        if (!bound) {
            return base::fail(bound.error().number(), bound.error().text());
        }
        return {};
    }
    void start(int processor) {
        thread_ = std::thread([this, processor] {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(static_cast<unsigned>(processor), &set);
            pthread_setaffinity_np(pthread_self(), sizeof set, &set);
            server_->accept();
            shard_.run();
        });
    }
    void stop() {
        RP_ASSERT(shard_.post(*this, nullptr));
        thread_.join();
    }
    Totals totals() const {
        return {totals_.messages.load(std::memory_order_relaxed),
                totals_.recipients.load(std::memory_order_relaxed),
                totals_.bytes.load(std::memory_order_relaxed)};
    }

  private:
    void open() override { scope_.spawn(run_stop()); }
    rt::Task<void> run_stop() {
        co_await server_->stop(kPatience);
        shard_.stop();
    }

    SharedTotals totals_;
    std::unique_ptr<io::UringDriver> driver_;
    rt::Shard shard_;
    DiscardingSink sink_;
    Notices notices_;
    const policy::Access& access_;
    std::unique_ptr<net::ShardNet> net_;
    std::unique_ptr<smtp::Server> server_;
    rt::Scope scope_;
    std::thread thread_;
};

std::vector<int> processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> numbers;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (unsigned number = 0; number < CPU_SETSIZE; ++number) {
            if (CPU_ISSET(number, &set)) {
                numbers.push_back(static_cast<int>(number));
            }
        }
    }
    return numbers.empty() ? std::vector<int>{0} : numbers;
}

int fail(const base::Error& error) {
    std::fprintf(stderr, "ringpost sink: %s\n", error.describe().c_str());
    return 1;
}

Totals sum(const std::vector<std::unique_ptr<SinkShard>>& shards) {
    Totals sum;
    for (const auto& shard : shards) {
        const Totals one = shard->totals();
        sum.messages += one.messages;
        sum.recipients += one.recipients;
        sum.bytes += one.bytes;
    }
    return sum;
}

void print(const char* label, const Totals& totals, const Totals& before, double seconds) {
    const auto rate = [seconds](std::uint64_t a, std::uint64_t b) {
        return seconds > 0 ? static_cast<double>(a - b) / seconds : 0;
    };
    std::printf("%s%llu messages  %llu recipients  %llu bytes  %.0f messages/s  %.2f MB/s\n", label,
                static_cast<unsigned long long>(totals.messages),
                static_cast<unsigned long long>(totals.recipients),
                static_cast<unsigned long long>(totals.bytes),
                rate(totals.messages, before.messages), rate(totals.bytes, before.bytes) / 1e6);
    std::fflush(stdout);
}

// Prints until one of `signals` comes. Gives the time in which mail came, in whole looks of a
// second.
double report(const std::vector<std::unique_ptr<SinkShard>>& shards, const sigset_t& signals) {
    using Clock = std::chrono::steady_clock;
    const timespec second{1, 0};
    Totals before;
    double busy_s = 0;
    Clock::time_point last = Clock::now();
    for (bool more = true; more;) {
        more = sigtimedwait(&signals, nullptr, &second) < 0;
        const Totals totals = sum(shards);
        const Clock::time_point now = Clock::now();
        const double seconds = std::chrono::duration<double>(now - last).count();
        if (totals != before) {
            busy_s += seconds;
            if (more) {
                print("", totals, before, seconds);
            }
        }
        before = totals;
        last = now;
    }
    return busy_s;
}

smtp::SessionConfig sink_config() {
    smtp::SessionConfig config;
    std::array<char, 256> name{};
    config.hostname =
        gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "sink";
    config.greeting = "ringpost sink: mail is discarded";
    config.relay_networks.add(net::Network::of(std::string_view("\0\0\0\0", 4), 0));
    config.relay_networks.add(net::Network::of(std::string(16, '\0'), 0));
    config.limits.message_bytes_max = 0;
    config.limits.recipients_max = 100000;
    return config;
}

}  // namespace

int run_sink(const SinkOptions& options) {
    const base::Result<io::SocketAddress> address = io::SocketAddress::parse(options.listen);
    if (!address) {
        return fail(address.error());
    }
    // Before any thread is made, so that all of them inherit it and only report() sees the signals.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    const smtp::SessionConfig config = sink_config();
    const policy::Access access(config.hostname, {});
    const std::vector<int> cores = processors();
    std::vector<std::unique_ptr<SinkShard>> shards;
    for (std::uint32_t number = 0; number < cores.size(); ++number) {
        base::Result<std::unique_ptr<io::UringDriver>> driver = io::UringDriver::create({});
        if (!driver) {
            return fail(driver.error());
        }
        shards.push_back(std::make_unique<SinkShard>(number, std::move(*driver), access));
        const base::Status opened = shards.back()->open(*address, config);
        if (!opened) {
            return fail(opened.error());
        }
    }
    for (std::size_t i = 0; i < shards.size(); ++i) {
        shards[i]->start(cores[i]);
    }
    std::printf("discarding mail on %s, %zu shards\n", options.listen.c_str(), shards.size());
    std::fflush(stdout);
    const double busy_s = report(shards, signals);
    for (const auto& shard : shards) {
        shard->stop();
    }
    print("total: ", sum(shards), {}, busy_s);
    return 0;
}

}  // namespace app
