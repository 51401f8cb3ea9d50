// Shard: one pinned thread with its ring, listener, sessions, log and deliveries. All of it is the
// thread's own.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <netinet/in.h>

#include "delivery.h"
#include "log.h"
#include "message.h"
#include "ring.h"
#include "session.h"

namespace bench {

class Shard final : private DurableMessages {
  public:
    struct Options {
        int core = 0;
        sockaddr_in address{};
        sockaddr_in next_hop{};
        std::string log;  // its path
        std::size_t deliveries = 10;
    };

    explicit Shard(const Options& options);
    // Runs for ever.
    [[noreturn]] void run();

    [[nodiscard]] Ring& ring() { return ring_; }
    [[nodiscard]] MessagePool& messages() { return messages_; }
    [[nodiscard]] const sockaddr_in& next_hop() const { return options_.next_hop; }

    void content_begins() { ++in_content_; }
    void content_breaks_off() { --in_content_; }
    void content_ends(Message& message);
    void session_over(Session& session) { free_sessions_.push_back(&session); }
    void delivered(Delivery& delivery, Message& message);

  private:
    class Acceptor final : public Op {
      public:
        explicit Acceptor(Shard& shard) : shard_(shard) {}
        void done(const io_uring_cqe& cqe) override;

      private:
        Shard& shard_;
    };

    void listen();
    void accept();
    void accepted(int socket);
    void durable(Message& message) override;
    void pump();

    Options options_;
    Ring ring_;
    Log log_;
    MessagePool messages_;
    Acceptor acceptor_{*this};
    int listener_ = -1;
    std::size_t in_content_ = 0;
    std::vector<std::unique_ptr<Session>> sessions_;
    std::vector<Session*> free_sessions_;
    std::vector<std::unique_ptr<Delivery>> deliveries_;
    std::vector<Delivery*> free_deliveries_;  // the one that rested least is taken first
    std::deque<Message*> ready_;
};

}  // namespace bench
