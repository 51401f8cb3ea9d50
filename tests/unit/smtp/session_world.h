// A server of one shard in the simulated world, a sink and a log that remember, and scripted
// clients.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mail/log_event.h"
#include "mail/message_sink.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "sim/host.h"
#include "sim/peer.h"
#include "sim/sim_driver.h"
#include "sim/world.h"
#include "smtp/server.h"

namespace smtp_test {

struct KeptMessage {
    std::string reverse_path;
    std::vector<std::string> recipients;
    mail::Envelope::Parameters parameters;
    std::string content;
    std::string added_headers;
    mail::ContentFacts facts;
};

// Keeps what was committed; misbehaves as told.
class RecordingSink final : public mail::MessageSink {
  public:
    explicit RecordingSink(rt::Shard& shard) : shard_(shard) {}

    mail::SinkState admits(std::uint64_t) override { return admits_state; }
    mail::IncomingMessageHandle begin(const mail::Origin& origin) override;

    mail::SinkState admits_state = mail::SinkState::ready;
    mail::SinkState append_state = mail::SinkState::ready;  // from `append_ready_bytes` on
    std::uint64_t append_ready_bytes = 0;
    mail::SinkState commit_state = mail::SinkState::ready;
    bool takes_more = true;     // false: begin() gives null
    bool append_waits = false;  // each append says `wait`, and wakes a while later
    base::Duration delay = std::chrono::milliseconds(3);  // of commits and of such waits

    std::vector<KeptMessage> messages;
    std::string last_origin;  // "address helo protocol"
    std::uint64_t begun = 0;
    std::uint64_t open = 0;  // begun and not released

  private:
    class Message;
    rt::Shard& shard_;
};

class RecordingLog final : public mail::EventLog {
  public:
    void reception(const mail::ReceptionEvent& event) override;
    void attempt(const mail::AttemptEvent&) override {}
    void removal(const mail::RemovalEvent&) override {}
    void notification(const mail::NotificationEvent&) override {}
    void notice(mail::Severity, std::string_view text) override { notices.emplace_back(text); }

    std::vector<std::string> receptions;  // "accepted ESMTP from=<…> to=<…> 250 2.0.0 …"
    std::vector<std::string> notices;
};

struct WorldOptions {
    std::uint64_t seed = 1;
    sim::Faults faults;
    std::uint32_t sessions_max = 100;
    std::uint32_t buffers = 64;
    std::uint32_t buffer_bytes = 4096;
    std::uint32_t handles_max = 1 << 20;
};

class SessionWorld {
  public:
    // relay.networks is 10.0.0.0/8, relay.domains is dst.test. REQUIRES: config changes before
    // start().
    explicit SessionWorld(const WorldOptions& options = {});
    ~SessionWorld();

    void start();
    // Stops the server and asserts that nothing is left over.
    void stop(base::Duration patience = std::chrono::seconds(30));
    // Begins the stop and comes back.
    void begin_stop(base::Duration patience);
    [[nodiscard]] bool stopped() const { return stopped_; }

    sim::World world;
    sim::Host& host;
    sim::SimDriver& driver;
    std::unique_ptr<rt::Shard> shard;
    std::unique_ptr<net::ShardNet> net;
    std::unique_ptr<RecordingSink> sink;
    RecordingLog log;
    smtp::SessionConfig config;
    std::unique_ptr<policy::Access> access;
    std::unique_ptr<smtp::Server> server;

  private:
    rt::Task<void> run_stop(base::Duration patience);

    std::uint32_t sessions_max_;
    std::unique_ptr<rt::Scope> scope_;
    bool started_ = false;
    bool stopping_ = false;
    bool stopped_ = false;
};

constexpr std::string_view kGreeting = "220 relay.example.test ESMTP ringpost\r\n";
constexpr std::string_view kRelayClient = "10.1.2.3:4000";
constexpr std::string_view kStranger = "192.0.2.9:4000";

class Client {
  public:
    // Connects from `source` (its port is changed so that each client has its own).
    explicit Client(SessionWorld& world, std::string_view source = kRelayClient);

    void send(std::string_view bytes);
    // Runs the world until so many bytes came, or `longest` has passed; gives them and takes them.
    [[nodiscard]] std::string take(std::size_t bytes,
                                   base::Duration longest = std::chrono::minutes(2));
    // The next whole reply.
    [[nodiscard]] std::string reply();
    // Sends a line and gives its reply.
    [[nodiscard]] std::string ask(std::string_view line);
    // Runs until nothing more comes for a second; all that came.
    [[nodiscard]] std::string rest();
    // The greeting, unless it was taken, and EHLO; unasserted.
    void hello();
    // True when the server's side of the connection ends within `longest`.
    [[nodiscard]] bool ends(base::Duration longest = std::chrono::seconds(20));
    void finish();  // FIN
    void reset();
    void pause();
    [[nodiscard]] int error() const { return error_; }  // what the connection broke with

  private:
    [[nodiscard]] sim::Connection* connection() { return peer_.find(id_); }

    SessionWorld& world_;
    sim::Peer peer_;
    sim::EndpointId id_ = sim::kNoEndpoint;
    std::string received_;
    bool greeted_ = false;
    bool ended_ = false;
    int error_ = 0;
};

}  // namespace smtp_test
