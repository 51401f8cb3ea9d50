// Connection: one TCP connection on the ring: a multishot receive, sends one after another, and
// lines out of what comes. Session and Delivery are its two kinds.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

#include "ring.h"

namespace bench {

class Connection : private Op {
  public:
    explicit Connection(Ring& ring) : ring_(ring) {}
    ~Connection() override = default;

  protected:
    // The socket is this connection's from now on.
    void open(int socket);
    // Text to send: what is said while a send is under way leaves with the next one.
    void say(std::string_view text) { out_ += text; }
    void flush();
    // Chunks to send; they stay until sent() is called. REQUIRES: nothing else is being sent.
    void send(std::vector<iovec>& pieces);

    // Takes what it wants of `input` (never nothing) and says how much.
    virtual std::size_t take(std::span<const char> input) = 0;
    // The end of the stream, or an error. The socket is closed behind it.
    virtual void ended() = 0;

    // The next line of `input`, with its end, over the edges of buffers: empty when it is not yet
    // complete. `used` is what it took of the input.
    [[nodiscard]] std::string_view line(std::span<const char> input, std::size_t& used);

  private:
    class Sender final : public Op {
      public:
        explicit Sender(Connection& connection) : connection_(connection) {}
        void done(const io_uring_cqe& cqe) override;

      private:
        Connection& connection_;
    };

    void done(const io_uring_cqe& cqe) override;
    void close_if_over();

    Ring& ring_;
    Sender sender_{*this};
    int socket_ = -1;
    bool sending_ = false;
    bool receiving_ = false;
    std::string out_;
    std::string leaving_;
    std::string part_;  // of a line
    bool part_done_ = false;
    msghdr header_{};
};

}  // namespace bench
