// Network: simulated TCP. Addresses are keys, not interfaces: whoever listens on one is found
// there; a wildcard address (0.0.0.0, ::) matches every address of its family and port. Streams
// have latency, bounded buffers, pieces cut anywhere, half-close, resets and stalls. No Unix
// sockets, no datagrams.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "io/address.h"
#include "sim/world.h"

namespace sim {

using EndpointId = std::uint64_t;  // one end of a connection, or a listener; 0: none
constexpr EndpointId kNoEndpoint = 0;

// What an address does when nobody listens there.
enum class Silence : std::uint8_t { refuse, no_answer, unreachable };

class Network {
  public:
    explicit Network(World& world) : world_(world) {}
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    // `changed` is called, never inside a call into the network, whenever the endpoint may have
    // become readable, writable, connected or broken. It may be called for nothing.
    using Changed = std::function<void()>;

    // A fresh socket. `source` may be empty.
    [[nodiscard]] base::Result<EndpointId> socket(int family, const io::SocketAddress& source,
                                                  Changed changed);
    [[nodiscard]] base::Result<EndpointId> listen(const io::SocketAddress& address,
                                                  std::uint32_t backlog, bool reuse_port,
                                                  Changed changed);
    // Begins; the outcome is connect_result(). EISCONN, EALREADY at once.
    [[nodiscard]] base::Status connect(EndpointId endpoint, const io::SocketAddress& to);
    // Nothing while it is under way; then 0 or the errno, once.
    [[nodiscard]] std::optional<int> connect_result(EndpointId endpoint);
    // A connection from the listener's queue; EAGAIN, EINVAL.
    [[nodiscard]] base::Result<EndpointId> accept(EndpointId listener, Changed changed);
    void set_changed(EndpointId endpoint, Changed changed);

    // Takes what there is room for. EAGAIN, EPIPE, ECONNRESET, ENOTCONN.
    [[nodiscard]] base::Result<std::size_t> send(EndpointId endpoint, base::Bytes bytes);
    // 0 at the end of the stream. EAGAIN, ECONNRESET, ENOTCONN.
    [[nodiscard]] base::Result<std::size_t> receive(EndpointId endpoint, base::MutableBytes into);
    [[nodiscard]] base::Status shutdown(EndpointId endpoint, int how);
    // Orderly: what was sent still arrives. Unread bytes, or later ones from the other end, reset.
    void close(EndpointId endpoint);
    // The other end sees ECONNRESET.
    void reset(EndpointId endpoint);
    // The host lost its power: its end is silent until forget(), when the host is up again; from
    // then on it answers with resets.
    void vanish(EndpointId endpoint);
    void forget(EndpointId endpoint);

    // poll(2) events.
    [[nodiscard]] std::uint32_t ready(EndpointId endpoint) const;
    [[nodiscard]] io::SocketAddress local(EndpointId endpoint) const;
    [[nodiscard]] io::SocketAddress peer(EndpointId endpoint) const;
    [[nodiscard]] bool is_listener(EndpointId endpoint) const;

    // What this end is doing, for the count of the faults that it meets; a literal.
    void set_label(EndpointId endpoint, const char* label);
    // The label, or `otherwise` where there is none.
    [[nodiscard]] const char* label(EndpointId endpoint, const char* otherwise) const;
    // Of a fault on the way, which both ends meet: that of the end that has a label.
    [[nodiscard]] const char* label_of_either(EndpointId endpoint, const char* otherwise) const;
    // When the newest bytes were sent that have arrived here.
    [[nodiscard]] base::MonoTime newest_sent(EndpointId endpoint) const;
    // When the other end last took bytes of this one; the epoch if never.
    [[nodiscard]] base::MonoTime last_taken(EndpointId endpoint) const;
    // The other end is closed, or the connection broken, though that may not have arrived here yet.
    [[nodiscard]] bool is_left(EndpointId endpoint) const;
    // Connections to that address that its server has not closed.
    [[nodiscard]] std::vector<EndpointId> servers_of(const io::SocketAddress& address) const;
    // Sockets that somebody owns who connects, or is connected, to that address.
    [[nodiscard]] std::size_t clients_of(const io::SocketAddress& server) const;

    // Of an address where nobody listens. REQUIRES: `address` is not a wildcard.
    void set_silence(const io::SocketAddress& address, Silence silence);
    // Sockets that somebody still owns.
    [[nodiscard]] std::size_t open_endpoints() const;

  private:
    enum class State : std::uint8_t { fresh, listening, connecting, connected, failed };
    struct Piece {
        std::string bytes;
        bool end = false;  // FIN
        base::MonoTime sent{};
    };
    // One direction: from its owner to the other end.
    struct Pipe {
        std::uint64_t capacity = 0;
        std::uint64_t flying_bytes = 0;
        std::deque<Piece> flying;
        base::MonoTime last_arrival{};
        std::uint32_t resends = 0;  // to a host that is down
    };
    struct Endpoint {
        State state = State::fresh;
        int family = 0;
        io::SocketAddress local;
        io::SocketAddress peer_address;
        EndpointId other = kNoEndpoint;  // none when that end is gone for good
        Changed changed;
        bool change_noted = false;
        bool server_side = false;
        const char* label = nullptr;
        // Sending.
        Pipe out;
        bool write_shut = false;
        // Receiving.
        std::string inbox;
        std::size_t inbox_at = 0;
        base::MonoTime newest_sent{};
        base::MonoTime last_read{};
        bool end_seen = false;
        bool read_shut = false;
        int error = 0;        // reported once, by the next operation
        bool broken = false;  // a reset came; nothing more is sent or arrives
        bool closed = false;  // nobody owns it; it lives until its last piece has arrived
        bool vanished = false;
        std::optional<int> connect_result;
        bool connect_taken = false;
        // Listening.
        bool reuse_port = false;
        std::uint32_t backlog = 0;
        std::deque<EndpointId> queue;
    };

    // nullptr when it is gone.
    [[nodiscard]] Endpoint* find(EndpointId id);
    // REQUIRES: somebody owns it.
    [[nodiscard]] Endpoint& get(EndpointId id);
    [[nodiscard]] const Endpoint& get(EndpointId id) const;
    [[nodiscard]] std::vector<EndpointId> listeners_at(const io::SocketAddress& address) const;
    [[nodiscard]] std::uint16_t free_port();
    [[nodiscard]] bool is_taken(const io::SocketAddress& address, bool reuse_port) const;
    void note_change(EndpointId id);
    void arrive_syn(EndpointId from, const io::SocketAddress& to, std::uint32_t tries);
    void try_syn_again(EndpointId from, const io::SocketAddress& to, std::uint32_t tries);
    void fail_connect_after(base::Duration delay, EndpointId id, int error);
    void finish_connect(EndpointId id, int error);
    void push(EndpointId from, Piece piece);
    void arrive(EndpointId from);
    void break_end(EndpointId id);
    // `id` hears of a reset after a while.
    void reset_reaches(EndpointId id);
    void forget_if_done(EndpointId id);
    [[nodiscard]] std::uint64_t room(const Endpoint& endpoint) const;
    [[nodiscard]] std::uint64_t draw_capacity();
    [[nodiscard]] static std::uint64_t unread(const Endpoint& endpoint) {
        return endpoint.inbox.size() - endpoint.inbox_at;
    }

    World& world_;
    std::map<EndpointId, Endpoint> endpoints_;
    std::map<std::string, Silence> silences_;
    EndpointId next_ = 1;
    std::uint16_t next_port_ = 32768;
};

}  // namespace sim
