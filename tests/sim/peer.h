// Peer: a scripted client or server on the simulated network, outside of any Driver, so that a test
// can misbehave in every way. What it sends waits in its own memory while the stream takes no more.
//
//   sim::Peer sink(world);
//   sink.on_connect = [](sim::Connection& c) { c.send("220 hello\r\n"); };
//   sink.on_bytes = [](sim::Connection& c, std::string_view bytes) { … };
//   sink.listen("127.0.0.1:2626");
#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "io/address.h"
#include "sim/network.h"
#include "sim/world.h"

namespace sim {

class Peer;

// One connection of a Peer, which owns it. It ends with close(), reset(), or after on_close; the
// reference is not valid after that.
class Connection {
  public:
    Connection(Peer& peer, EndpointId endpoint) : peer_(peer), endpoint_(endpoint) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void send(std::string_view bytes);
    // Half-close, after what was sent before.
    void finish();
    // Closes, after what was sent before. No callback comes after it.
    void close();
    void reset();
    // While paused nothing is read: the other end's sends come to a halt.
    void pause();
    void resume();

    [[nodiscard]] EndpointId id() const { return endpoint_; }
    [[nodiscard]] bool connected() const { return connected_; }
    // All that came so far and was not taken out; on_bytes only says what is new.
    [[nodiscard]] std::string& received() { return received_; }
    // Bytes that wait for room.
    [[nodiscard]] std::size_t unsent() const { return outbox_.size(); }
    // For the script's own use.
    std::any data;

  private:
    friend class Peer;

    Peer& peer_;
    EndpointId endpoint_;
    std::string outbox_;
    std::string received_;
    bool connected_ = false;
    bool paused_ = false;
    bool finishing_ = false;
    bool finished_ = false;
    bool closing_ = false;
    bool ended_ = false;  // to be dropped
    bool end_seen_ = false;
};

// Lives as long as the test uses it; its end resets its connections.
class Peer {
  public:
    explicit Peer(World& world) : world_(world) {}
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer();

    // All may stay empty.
    std::function<void(Connection&)> on_connect;                  // accepted, or connect succeeded
    std::function<void(Connection&, std::string_view)> on_bytes;  // new bytes, also in received()
    // error 0: the other end finished (half-close: we may still send; without a callback we close).
    // Else the connection is broken, or connect failed, and the connection ends after the call.
    std::function<void(Connection&, int error)> on_close;

    // Panics when the address is taken.
    void listen(std::string_view address);
    void stop_listening();
    // `source`: the address the other end sees; "": 127.0.0.1 or ::1.
    Connection& connect(std::string_view address, std::string_view source = {});

    [[nodiscard]] World& world() { return world_; }
    // Still there.
    [[nodiscard]] std::size_t connections() const { return connections_.size(); }
    [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
    // nullptr when it has ended.
    [[nodiscard]] Connection* find(EndpointId id);

  private:
    friend class Connection;

    void take_connections();
    Connection& add(EndpointId endpoint);
    void changed(EndpointId endpoint);
    void take_connect_result(Connection& connection);
    void read_all(Connection& connection);
    void flush(Connection& connection);
    void broken(Connection& connection, int error);
    void end(Connection& connection);

    World& world_;
    EndpointId listener_ = kNoEndpoint;
    std::map<EndpointId, std::unique_ptr<Connection>> connections_;
    std::uint64_t accepted_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sim
