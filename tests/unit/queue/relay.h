// Relay: the queue over the real store, on a simulated host with one shard; tests submit messages
// and look at what a scripted server got. It can be stopped, killed, cut off and started again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mail/log_event.h"
#include "net/shard_net.h"
#include "queue/detail.h"
#include "queue/explain.h"
#include "queue/listing.h"
#include "queue/scheduler.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "sim/host.h"
#include "sim/sim_driver.h"
#include "sim/world.h"
#include "store/store.h"

namespace queue::test {

// Of the world that it lives in.
[[nodiscard]] inline sim::Options world_options() {
    sim::Options options;
    options.handles_max = 200;
    return options;
}

// What was logged, over all starts.
class RecordingLog final : public mail::EventLog {
  public:
    struct Attempt {
        mail::AttemptEvent::Status status;
        mail::QueueId id;
        std::string from, to, relay, reply;
        mail::EnhancedStatus dsn;
        std::uint32_t attempts;
        base::Duration next;
        bool possible_duplicate;
        base::MonoTime at;
    };
    struct Removal {
        mail::QueueId id;
        std::uint32_t delivered, failed, deleted;
    };
    struct Notification {
        mail::NotificationEvent::Kind kind;
        mail::QueueId id, notification;
        std::string to;
        std::uint32_t recipients;
    };
    explicit RecordingLog(sim::World& world) : world_(world) {}
    void reception(const mail::ReceptionEvent&) override {}
    void attempt(const mail::AttemptEvent& event) override;
    void removal(const mail::RemovalEvent& event) override;
    void notification(const mail::NotificationEvent& event) override;
    void notice(mail::Severity severity, std::string_view text) override;

    std::vector<Attempt> attempts;
    std::vector<Removal> removals;
    std::vector<Notification> notifications;
    std::vector<std::string> errors;  // notices of that severity
    std::vector<std::string> warnings;
    std::vector<std::string> infos;

  private:
    sim::World& world_;
};

struct Submission {
    std::string from = "a@src.test";
    std::vector<std::string> to = {"b@dst.test"};
    std::string content = "Subject: x\r\n\r\nHello\r\n";
    mail::Notify notify = {};  // of all recipients
    mail::ReturnContent ret = mail::ReturnContent::unspecified;
    std::string envelope_id = {};
    bool has_8bit = false;
};

class Relay {
  public:
    Relay(sim::World& world, const Options& options);
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;
    ~Relay();

    void start();
    // As SIGTERM does it.
    void stop();
    // True when the program has come up.
    [[nodiscard]] bool up() const { return program_ != nullptr && program_->up; }
    [[nodiscard]] sim::Host& host() { return host_; }
    [[nodiscard]] Scheduler& scheduler() { return *program_->scheduler; }
    [[nodiscard]] store::Store& store() { return *program_->store; }
    [[nodiscard]] rt::Shard& shard() { return *program_->shard; }
    [[nodiscard]] RecordingLog& log() { return log_; }

    // The store takes no further message while this is on.
    void fill_up(bool on);
    // Begins to submit; durable() counts those that were answered as durable.
    void submit(const Submission& submission);
    [[nodiscard]] std::uint64_t durable() const { return durable_; }
    // Of its store, from the next start on; 0: no checkpoints, and nothing is moved.
    std::uint64_t checkpoint_bytes = 64ULL << 20U;
    // Submits, and waits until it is durable.
    void submit_now(const Submission& submission);

    [[nodiscard]] ListedPage list(std::uint64_t cursor = 0, PageLimits limits = {},
                                  const store::Rule& filter = {});
    [[nodiscard]] bool show(mail::QueueId id, ListedMessage& message);
    // Gives a rule, of the next number; true when it is durable.
    // `status` hears later, and must live until then.
    void give(store::Rule rule, base::Status& status);
    [[nodiscard]] bool rule(store::Rule rule);
    // These give what there is of a message that may be gone.
    [[nodiscard]] MessageDetail detail(mail::QueueId id);
    [[nodiscard]] Explanation explain(mail::QueueId id);
    [[nodiscard]] std::string content(mail::QueueId id);
    // Raised: listings are called off.
    std::atomic<bool> call_off = false;

    void run_for(base::Duration time) { world_.run_for(time); }
    // Until the queue is empty.
    [[nodiscard]] bool drain(base::Duration longest);

  private:
    struct Program {
        std::unique_ptr<rt::Shard> shard;
        std::unique_ptr<net::ShardNet> net;
        std::unique_ptr<Scheduler> scheduler;
        std::unique_ptr<store::Store> store;
        std::unique_ptr<rt::Scope> scope;
        std::vector<mail::IncomingMessageHandle>
            places;  // the store's transactions, held by fill_up()
        bool up = false;
        bool stopped = false;
    };
    void build();
    void tear_down();
    static rt::Task<void> bring_up(Relay& relay);
    static rt::Task<void> bring_down(Relay& relay);
    static rt::Task<void> filling(Relay& relay, bool on);
    static rt::Task<void> ruling(Relay& relay, store::Rule rule, base::Status& status);
    static rt::Task<void> submitting(Relay& relay, Submission submission);
    void spawn(rt::Task<void> task);

    sim::World& world_;
    const Options& options_;
    sim::Host& host_;
    RecordingLog log_;
    std::unique_ptr<Program> program_;
    std::uint64_t durable_ = 0;
};

}  // namespace queue::test
