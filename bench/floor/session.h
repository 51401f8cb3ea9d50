// Session: one client. Fixed replies, whatever it says; content up to the final dot is copied out
// of the receive buffers, and 250 leaves when the log says that it is durable.
#pragma once

#include <cstddef>
#include <span>

#include "connection.h"
#include "message.h"

namespace bench {

class Shard;

class Session final : public Connection {
  public:
    explicit Session(Shard& shard);

    void start(int socket);
    void durable();

  private:
    std::size_t take(std::span<const char> input) override;
    void ended() override;
    std::size_t take_command(std::span<const char> input);
    std::size_t take_content(std::span<const char> input);
    void begin_content();

    Shard& shard_;
    Message* message_ = nullptr;  // being received
    bool in_content_ = false;
    bool waits_ = false;  // for the log
    bool left_ = false;   // the client has gone meanwhile
    char tail_[8]{};      // the last bytes of content, for a dot on the edge of buffers
};

}  // namespace bench
