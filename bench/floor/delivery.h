// Delivery: one connection to the sink, kept: the envelope pipelined in one send, the content in
// one vectored send when it is answered, the next message when that is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <netinet/in.h>
#include <sys/uio.h>

#include "connection.h"
#include "message.h"

namespace bench {

class Shard;

class Delivery final : public Connection {
  public:
    explicit Delivery(Shard& shard);

    // Connects first where it must.
    void deliver(Message& message);

  private:
    enum class Stage : std::uint8_t { closed, connecting, banner, ehlo, idle, envelope, content };

    class Connector final : public bench::Op {
      public:
        explicit Connector(Delivery& delivery) : delivery_(delivery) {}
        void done(const io_uring_cqe& cqe) override { delivery_.connected(cqe.res); }

      private:
        Delivery& delivery_;
    };

    void connected(int result);
    void send_envelope();
    void send_content();
    void replied(char klass);
    std::size_t take(std::span<const char> input) override;
    void ended() override;

    Shard& shard_;
    Connector connector_{*this};
    Stage stage_ = Stage::closed;
    int socket_ = -1;
    std::size_t replies_left_ = 0;
    Message* message_ = nullptr;
    std::vector<iovec> pieces_;
};

}  // namespace bench
