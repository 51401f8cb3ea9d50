// The bytes of established connections: sending, arriving, ending, breaking.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <sys/socket.h>

#include "base/assert.h"
#include "sim/network.h"

namespace sim {

namespace {

// To a host that is down, data is sent again this often and then given up.
constexpr std::uint32_t kResendsMax = 60;
constexpr base::Duration kResendAfter = std::chrono::seconds(15);
// Into how many pieces one send is cut.
constexpr int kPiecesMax = 16;

}  // namespace

std::uint64_t Network::room(const Endpoint& endpoint) const {
    std::uint64_t used = endpoint.out.flying_bytes;
    const auto other = endpoints_.find(endpoint.other);
    if (other != endpoints_.end()) {
        used += unread(other->second);
    }
    return used < endpoint.out.capacity ? endpoint.out.capacity - used : 0;
}

base::Result<std::size_t> Network::send(EndpointId id, base::Bytes bytes) {
    Endpoint& endpoint = get(id);
    if (endpoint.state == State::connecting) {
        return base::fail(EAGAIN);
    }
    if (endpoint.error != 0) {
        return base::fail(std::exchange(endpoint.error, 0));
    }
    if (endpoint.state != State::connected || endpoint.broken || endpoint.write_shut) {
        return base::fail(EPIPE);
    }
    if (bytes.empty()) {
        return 0;
    }
    std::size_t n = std::min<std::uint64_t>(bytes.size(), room(endpoint));
    if (n == 0) {
        return base::fail(EAGAIN);
    }
    if (n > 1 && world_.fault(Fault::short_send, label(id, "send"))) {
        n = 1 + world_.prng().below(n - 1);
    }
    bytes = bytes.first(n);
    world_.trace_bytes("net.send", bytes);
    const bool split = n > 1 && world_.fault(Fault::split, label(endpoint.other, "send"));
    const std::array<std::size_t, 4> scales{2, 64, 1024, n};
    const std::size_t scale = split ? scales[world_.prng().below(scales.size())] : n;
    for (int pieces = 1; !bytes.empty(); ++pieces) {
        std::size_t size = bytes.size();
        if (split && pieces < kPiecesMax) {
            size = 1 + world_.prng().below(std::min(scale, size));
        }
        push(id, {std::string(base::as_text(bytes.first(size))), false, world_.now()});
        bytes = bytes.subspan(size);
    }
    return n;
}

void Network::push(EndpointId from, Piece piece) {
    Pipe& pipe = get(from).out;
    base::MonoTime arrival = world_.now() + world_.draw(world_.options().network_latency);
    if (world_.fault(Fault::stall, label_of_either(from, "send"))) {
        arrival += world_.draw(world_.options().stall_time);
    }
    pipe.last_arrival = std::max(pipe.last_arrival, arrival);
    pipe.flying_bytes += piece.bytes.size();
    pipe.flying.push_back(std::move(piece));
    world_.at(pipe.last_arrival, "net.arrive", [this, from] { arrive(from); });
}

// The oldest piece that `from` sent reaches the other end.
void Network::arrive(EndpointId from) {
    Endpoint* sender = find(from);
    if (sender == nullptr || sender->out.flying.empty()) {
        return;
    }
    Endpoint* receiver = find(sender->other);
    if (receiver != nullptr && receiver->vanished) {
        if (++sender->out.resends > kResendsMax) {
            break_end(from);
        } else {
            world_.after(kResendAfter, "net.arrive", [this, from] { arrive(from); });
        }
        return;
    }
    const Piece piece = std::move(sender->out.flying.front());
    sender->out.flying.pop_front();
    sender->out.flying_bytes -= piece.bytes.size();
    if (receiver == nullptr || receiver->closed) {
        if (!piece.bytes.empty()) {
            reset_reaches(from);
            if (receiver != nullptr) {
                endpoints_.erase(sender->other);
            }
        }
    } else if (world_.fault(Fault::reset, label_of_either(from, "arrive"))) {
        const EndpointId to = sender->other;
        reset_reaches(from);
        break_end(to);
        return;
    } else if (!receiver->broken) {
        if (!receiver->read_shut) {
            receiver->inbox += piece.bytes;
            receiver->newest_sent = piece.bytes.empty() ? receiver->newest_sent : piece.sent;
        }
        receiver->end_seen = receiver->end_seen || piece.end;
        note_change(sender->other);
    }
    forget_if_done(from);
}

base::Result<std::size_t> Network::receive(EndpointId id, base::MutableBytes into) {
    Endpoint& endpoint = get(id);
    if (endpoint.state == State::connecting) {
        return base::fail(EAGAIN);
    }
    if (endpoint.state != State::connected) {
        return base::fail(ENOTCONN);
    }
    if (unread(endpoint) != 0) {
        Endpoint* other = find(endpoint.other);
        const bool was_full = other != nullptr && room(*other) == 0;
        std::size_t n = std::min<std::uint64_t>(into.size(), unread(endpoint));
        if (n > 1 && world_.fault(Fault::short_receive, label(id, "receive"))) {
            n = 1 + world_.prng().below(n - 1);
        }
        std::memcpy(into.data(), endpoint.inbox.data() + endpoint.inbox_at, n);
        endpoint.inbox_at += n;
        endpoint.last_read = world_.now();
        if (endpoint.inbox_at == endpoint.inbox.size() || endpoint.inbox_at > 65536) {
            endpoint.inbox.erase(0, std::exchange(endpoint.inbox_at, 0));
        }
        if (was_full && n != 0) {
            world_.after(world_.draw(world_.options().network_latency), "net.window",
                         [this, to = endpoint.other] { note_change(to); });
        }
        return n;
    }
    if (endpoint.error != 0) {
        return base::fail(std::exchange(endpoint.error, 0));
    }
    if (endpoint.end_seen || endpoint.read_shut || endpoint.broken) {
        return 0;
    }
    return base::fail(EAGAIN);
}

base::Status Network::shutdown(EndpointId id, int how) {
    Endpoint& endpoint = get(id);
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
        return base::fail(EINVAL);
    }
    if (endpoint.state != State::connected || endpoint.broken) {
        return base::fail(ENOTCONN);
    }
    if (how != SHUT_WR) {
        endpoint.read_shut = true;
    }
    if (how != SHUT_RD && !endpoint.write_shut) {
        endpoint.write_shut = true;
        push(id, {{}, true, world_.now()});
    }
    note_change(id);
    return {};
}

void Network::reset_reaches(EndpointId id) {
    world_.after(world_.draw(world_.options().network_latency), "net.reset",
                 [this, id] { break_end(id); });
}

void Network::break_end(EndpointId id) {
    Endpoint* endpoint = find(id);
    if (endpoint == nullptr || endpoint->broken || endpoint->vanished) {
        return;
    }
    if (endpoint->closed) {
        endpoints_.erase(id);
        return;
    }
    if (endpoint->state == State::connecting) {
        finish_connect(id, ECONNRESET);
        return;
    }
    endpoint->broken = true;
    // As Linux has it: after the other end's FIN a reset means that nobody will read.
    endpoint->error = endpoint->end_seen ? EPIPE : ECONNRESET;
    endpoint->out.flying.clear();
    endpoint->out.flying_bytes = 0;
    note_change(id);
}

void Network::forget_if_done(EndpointId id) {
    const Endpoint* endpoint = find(id);
    if (endpoint != nullptr && endpoint->closed && endpoint->out.flying.empty()) {
        endpoints_.erase(id);
    }
}

}  // namespace sim
