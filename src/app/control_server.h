// ControlServer: the Unix socket through which commands reach a running server. docs/CONTROL.md has
// the protocol.
//
// Part of the control plane: ordinary blocking code on threads of its own (one that accepts, one
// for each peer), never on a shard. Who may open the socket may command the server: it is made with
// mode 0600, so that is the server's user and root.
//
// Limits: 16 peers at once, a request line of 64 KiB, 60 s for a peer to send all of a request, 10
// minutes to take some output (a pager may be reading). Warning: none of a peer's doing reaches
// further than its own connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace app {

// Where a command puts its answer, line by line.
class ControlReply {
  public:
    explicit ControlReply(int socket) : socket_(socket) {}

    // Takes one item of the answer. False when the peer is gone or the server stops: the command
    // then returns.
    [[nodiscard]] bool item(const nlohmann::ordered_json& value);
    // How far it has come, for a person who waits; no part of the answer.
    [[nodiscard]] bool progress(const nlohmann::ordered_json& value);
    // Hands over what was given so far, though more is to come. False: as item().
    [[nodiscard]] bool deliver() { return flush(); }

  private:
    friend class ControlPeer;
    bool line(const nlohmann::ordered_json& value);
    bool flush();

    int socket_;
    std::string buffer_;
    bool broken_ = false;
};

// Runs on a peer's thread, several at once. An Error becomes the answer's last line.
using ControlCommand =
    std::function<base::Status(const nlohmann::json& request, ControlReply& reply)>;
using ControlCommands = std::map<std::string, ControlCommand, std::less<>>;

class ControlServer {
  public:
    static constexpr std::size_t kRequestBytesMax = std::size_t{64} << 10U;  // with its line end

    // Whether start() could make its socket at `path`, as far as that can be seen without changing
    // anything: for before there is a spool. Errors: as start()'s.
    [[nodiscard]] static base::Status may_start(const std::string& path);

    // Makes the socket, in place of one that no server answers any more, and starts to serve.
    // Errors: another server answers there; the path cannot be made.
    [[nodiscard]] static base::Result<std::unique_ptr<ControlServer>> start(
        std::string path, ControlCommands commands,
        std::chrono::milliseconds request_time = std::chrono::seconds(60));

    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;
    // Removes the socket, breaks off all peers, and waits for their threads. What the commands wait
    // for must have ended before, or end by itself.
    ~ControlServer();

  private:
    class Acceptor;
    explicit ControlServer(std::unique_ptr<Acceptor> acceptor);
    std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace app
