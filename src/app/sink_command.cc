// `ringpost sink`: the real SMTP engine in front of a store that keeps nothing. One thread per
// core.
//
// Fatal: no io_uring, or the address cannot be used: a sentence on standard error and exit code 1.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <unistd.h>

#include "app/shard_threads.h"
#include "app/signals.h"
#include "app/sink.h"
#include "mail/log_event.h"
#include "mail/message_sink.h"
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

// Counts messages and keeps nothing. Of those that end here some are put off, spread evenly. Lives
// on its shard.
class DiscardingSink final : public mail::MessageSink, private rt::TurnHook {
  public:
    DiscardingSink(rt::Shard& shard, SharedTotals& totals, std::uint32_t defer_percent)
        : shard_(shard), totals_(totals), defer_percent_(defer_percent) {
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
        void start(mail::QueueId id) {
            id_ = id;
            state_ = mail::SinkState::ready;
        }
        mail::QueueId id() const override { return id_; }
        mail::SinkState append(std::string_view, base::Waiter&) override {
            return mail::SinkState::ready;
        }
        void commit(const mail::Envelope& envelope, const mail::ContentFacts& facts,
                    std::string_view, base::Waiter& waiter) override {
            if (sink_.defers()) {
                state_ = mail::SinkState::failed;
            } else {
                sink_.count(envelope, facts);
            }
            sink_.waiting_.push_back(waiter);
        }
        mail::SinkState state() const override { return state_; }

      private:
        void release() override { sink_.free_.push_back(this); }

        DiscardingSink& sink_;
        mail::QueueId id_;
        mail::SinkState state_ = mail::SinkState::ready;
    };

    base::MonoTime end_of_turn(base::MonoTime) override {
        while (!waiting_.empty()) {
            waiting_.pop_front().wake();
        }
        return base::kNever;
    }

    [[nodiscard]] bool defers() {
        owed_percent_ += defer_percent_;
        const bool due = owed_percent_ >= 100;
        owed_percent_ -= due ? 100 : 0;
        return due;
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
    std::uint32_t defer_percent_;
    std::uint32_t owed_percent_ = 0;
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
    void notification(const mail::NotificationEvent&) override {}
    void notice(mail::Severity, std::string_view text) override {
        std::fprintf(stderr, "ringpost sink: %.*s\n", static_cast<int>(text.size()), text.data());
    }
};

// One shard's part of the sink. Made, used and destroyed there; totals() from anywhere.
class SinkShard {
  public:
    SinkShard(rt::Shard& shard, const policy::Access& access, std::uint32_t defer_percent)
        : shard_(shard), sink_(shard, totals_, defer_percent), access_(access) {}

    base::Status listen(const io::SocketAddress& address, const smtp::SessionConfig& config) {
        base::Result<std::unique_ptr<net::ShardNet>> net = net::ShardNet::create(shard_, {});
        if (!net) {
            return std::unexpected(net.error());
        }
        net_ = std::move(*net);
        const smtp::SessionServices services{*net_, sink_, notices_, access_};
        server_ = std::make_unique<smtp::Server>(services, kSessionsMax);
        const base::Result<io::SocketAddress> bound = server_->listen(address, config);
        if (!bound) {
            return std::unexpected(bound.error());
        }
        server_->accept();
        return {};
    }
    rt::Task<void> close() {
        if (server_ != nullptr) {
            co_await server_->stop(kPatience);
        }
    }
    Totals totals() const {
        return {totals_.messages.load(std::memory_order_relaxed),
                totals_.recipients.load(std::memory_order_relaxed),
                totals_.bytes.load(std::memory_order_relaxed)};
    }

  private:
    rt::Shard& shard_;
    SharedTotals totals_;
    DiscardingSink sink_;
    Notices notices_;
    const policy::Access& access_;
    std::unique_ptr<net::ShardNet> net_;
    std::unique_ptr<smtp::Server> server_;
};

// The sink's part on every shard; ends them where it ends.
class SinkShards {
  public:
    explicit SinkShards(ShardThreads& threads) : threads_(threads) {}
    SinkShards(const SinkShards&) = delete;
    SinkShards& operator=(const SinkShards&) = delete;
    ~SinkShards() {
        close();
        for (std::uint32_t i = 0; i < shards_.size(); ++i) {
            threads_.run_now(i, [this, i] { shards_[i].reset(); });
        }
    }
    // Sessions end; what they sent until then counts.
    void close() {
        for (std::uint32_t i = 0; i < shards_.size(); ++i) {
            threads_.run<void>(i, [this, i] { return shards_[i]->close(); }).get();
        }
    }

    base::Status listen(const io::SocketAddress& address, const smtp::SessionConfig& config,
                        const policy::Access& access, std::uint32_t defer_percent) {
        base::Status status = wait_until_free(address);
        for (std::uint32_t i = 0; status && i < threads_.size(); ++i) {
            threads_.run_now(i, [&] {
                shards_.push_back(
                    std::make_unique<SinkShard>(threads_.shard(i), access, defer_percent));
                status = shards_.back()->listen(address, config);
            });
        }
        return status;
    }

    Totals totals() const {
        Totals sum;
        for (const auto& shard : shards_) {
            const Totals one = shard->totals();
            sum.messages += one.messages;
            sum.recipients += one.recipients;
            sum.bytes += one.bytes;
        }
        return sum;
    }

  private:
    ShardThreads& threads_;
    std::vector<std::unique_ptr<SinkShard>> shards_;
};

int fail(const base::Error& error) {
    std::fprintf(stderr, "ringpost sink: %s\n", error.describe().c_str());
    return 1;
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

// Prints until a signal comes. Gives the time in which mail came, in whole looks of a second.
double report(const SinkShards& shards, StopSignals& signals) {
    using Clock = std::chrono::steady_clock;
    Totals before;
    double busy_s = 0;
    Clock::time_point last = Clock::now();
    for (bool more = true; more;) {
        more = signals.wait_for(std::chrono::seconds(1)) == 0;
        const Totals totals = shards.totals();
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
    StopSignals signals;
    auto threads = ShardThreads::start(0);
    if (!threads) {
        return fail(threads.error());
    }
    const smtp::SessionConfig config = sink_config();
    const policy::Access access(config.hostname, {});
    Totals totals;
    double busy_s = 0;
    {
        SinkShards shards(**threads);
        const base::Status listening =
            shards.listen(*address, config, access, options.defer_percent);
        if (!listening) {
            return fail(listening.error());
        }
        std::printf("discarding mail on %s, %u %s\n", options.listen.c_str(), (*threads)->size(),
                    (*threads)->size() == 1 ? "shard" : "shards");
        std::fflush(stdout);
        busy_s = report(shards, signals);
        shards.close();
        totals = shards.totals();
    }
    print("total: ", totals, {}, busy_s);
    return 0;
}

}  // namespace app
