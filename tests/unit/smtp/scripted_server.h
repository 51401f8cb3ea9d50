// ScriptedServer: an SMTP server on the simulated network that behaves well by default, and as
// badly as a test wants. It keeps what it took.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/peer.h"
#include "sim/world.h"

namespace smtp::test {

struct TakenMessage {
    std::string mail_line;  // "MAIL FROM:<…> …"
    std::vector<std::string> recipients;
    std::string content;  // unstuffed, without the final dot
    bool by_chunks = false;
};

class ScriptedServer {
  public:
    explicit ScriptedServer(sim::World& world) : peer_(world) { hook_up(); }

    void listen(std::string_view address) { peer_.listen(address); }
    void stop_listening() { peer_.stop_listening(); }
    // Of its own accord, without a word.
    void close_connections();

    std::string greeting = "220 peer.test ESMTP\r\n";
    // Behind the first line of the reply to EHLO.
    std::vector<std::string> extensions = {"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"};
    // The reply to a command line (or, for `line` = ".", to content by DATA; for "BDAT …", to the
    // chunk behind it); "" for the usual one. With CRLF. What begins with "!close" is sent behind
    // the blank, then the connection ends; "!silent": not a word any more.
    std::function<std::string(const std::string& line)> reply;

    // More than these are greeted with 421.
    std::size_t connections_max = SIZE_MAX;

    // Taken: answered with 2xx at the end of content.
    std::vector<TakenMessage> taken;
    // All command lines of all connections, in order.
    std::vector<std::string> lines;
    // What came in one piece, for tests of pipelining.
    std::vector<std::string> pieces;
    [[nodiscard]] std::uint64_t connections() const { return peer_.accepted(); }
    [[nodiscard]] std::size_t open_connections() const { return peer_.connections(); }

  private:
    struct State {
        TakenMessage message;
        bool mail = false;
        bool in_data = false;
        bool in_chunk = false;
        bool last_chunk = false;
        std::uint64_t chunk_left = 0;
        std::string chunk_line;
    };
    void hook_up();
    void work(sim::Connection& connection);
    // Each consumes from what was received; false when it needs more, or the connection ended.
    [[nodiscard]] bool take_line(sim::Connection& connection, State& state);
    [[nodiscard]] bool take_data(sim::Connection& connection, State& state);
    [[nodiscard]] bool take_chunk(sim::Connection& connection, State& state);
    [[nodiscard]] std::string usual_reply(State& state, const std::string& line);
    [[nodiscard]] std::string usual_end(State& state);
    [[nodiscard]] bool answer(sim::Connection& connection, const std::string& line,
                              std::string usual, State& state);

    sim::Peer peer_;
    std::vector<sim::EndpointId> accepted_;
};

}  // namespace smtp::test
