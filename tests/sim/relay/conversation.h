// Conversation: what the relay is doing on one of its connections, told from the bytes that it has
// itself received and sent, and not from what its peer means to do: under which state a fault is
// counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sim::relay {

class Conversation {
  public:
    // A session of the relay's, or a connection to a next hop.
    explicit Conversation(bool session) : session_(session) {}

    void commands(std::string_view bytes);
    void replies(std::string_view bytes);
    [[nodiscard]] const char* label() const;

  private:
    enum class Step : std::uint8_t { hello, rest, envelope, content, end, quit };

    void take_command(std::string_view line);
    void take_content_line(std::string_view line);
    void take_reply(std::string_view line);

    bool session_;
    Step step_ = Step::hello;
    bool data_ = false;  // content goes on to a line with a dot
    bool last_ = false;  // … or with that chunk
    std::uint64_t chunk_left_ = 0;
    std::uint32_t due_ = 1;  // replies; the first is the greeting
    std::string command_;
    std::string reply_;
};

}  // namespace sim::relay
