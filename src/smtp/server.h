// Server: the SMTP listeners of one shard and their sessions.
//
// Owned by app, one per shard; everything is called on that shard. Memory: sessions are made as
// needed up to the limit and used again. Answers to the limits: 421 for a connection too many
// (closed without a word when many come at once), with a Warning at most once a minute; accepting
// pauses for a second when the process is out of descriptors (Warning).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/list.h"
#include "base/result.h"
#include "net/listener.h"
#include "rt/scope.h"
#include "rt/task.h"
#include "rt/timer_wheel.h"
#include "smtp/session.h"
#include "smtp/session_config.h"

namespace smtp {

class Server : private net::Accepting, private SessionOwner {
  public:
    // Connections that are being answered 421 at once.
    static constexpr std::size_t kRefusalsMax = 64;
    static constexpr base::Duration kRefusalPatience = std::chrono::seconds(5);
    static constexpr base::Duration kRefusalNoticePause = std::chrono::minutes(1);
    // What such a client may have sent before it reads that.
    static constexpr std::uint64_t kRefusalBytesMax = 64 * 1024;

    // Sessions without a connection that keep their buffers for the next one.
    static constexpr std::size_t kWarmSessions = 64;

    // `sessions_max` counts all listeners together.
    Server(const SessionServices& services, std::uint32_t sessions_max);
    // REQUIRES: stop() has ended, or accept() was never called.
    ~Server() override;

    // Binds and listens; connections are taken from accept() on. The address in use comes back
    // (with the port that the kernel chose where 0 was asked). `config` outlives this.
    [[nodiscard]] base::Result<io::SocketAddress> listen(const io::SocketAddress& address,
                                                         const SessionConfig& config);
    void accept();

    // Stops accepting; sessions without a transaction get 421 4.3.2, the others when their
    // transaction ends. What is left after `patience` is cut off (only commits under way are waited
    // for). Ends when no session is left.
    [[nodiscard]] rt::Task<void> stop(base::Duration patience);

    [[nodiscard]] std::uint32_t sessions() const { return active_count_; }
    [[nodiscard]] std::uint64_t connections() const { return connections_; }  // since the start

  private:
    struct Listening {
        Listening(rt::Shard& shard, net::Accepting& taker, std::uint32_t number,
                  const SessionConfig& session_config)
            : listener(shard, taker, number), config(session_config) {}
        net::Listener listener;
        const SessionConfig& config;
    };
    struct Refusal : base::ListNode<Refusal> {
        explicit Refusal(net::ShardNet& net) : stream(net) {}
        net::Stream stream;
        std::string text;
    };

    void accepted(net::Listener& listener, io::Handle socket) override;
    void accept_failed(net::Listener& listener, int error) override;
    void ended(Session& session) override;
    void refuse(io::Handle socket, const SessionConfig& config);
    void tell_refusals();
    [[nodiscard]] rt::Task<void> run_refusal(Refusal& refusal);
    static void patience_over(rt::Timer& timer);
    void abort();

    class Patience : public rt::Timer {
      public:
        Patience(Server& server, Fire fire) : rt::Timer(fire), server_(server) {}
        [[nodiscard]] Server& server() { return server_; }

      private:
        Server& server_;
    };

    SessionServices services_;
    rt::Shard& shard_;
    std::uint32_t sessions_max_;
    std::vector<std::unique_ptr<Listening>> listeners_;
    std::vector<std::unique_ptr<Session>> sessions_;
    base::List<Session> active_;
    base::List<Session> free_;
    std::uint32_t active_count_ = 0;
    std::uint64_t connections_ = 0;
    std::uint64_t untold_refusals_ = 0;
    base::MonoTime next_refusal_notice_{};
    std::vector<std::unique_ptr<Refusal>> refusals_;
    base::List<Refusal> active_refusals_;
    base::List<Refusal> free_refusals_;
    rt::Scope scope_;
    Patience patience_;
};

}  // namespace smtp
