#include "sim/network.h"

#include <algorithm>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "base/assert.h"

namespace sim {

namespace {

// TCP sends a SYN again after this, then after twice as long, and so on.
constexpr base::Duration kResendAfter = std::chrono::seconds(1);

io::SocketAddress with_port(const io::SocketAddress& address, std::uint16_t port) {
    const std::string host =
        address.family() == AF_INET6 ? "[" + address.host() + "]" : address.host();
    const auto result = io::SocketAddress::parse(host + ":" + std::to_string(port));
    RP_ASSERT(result.has_value());
    return *result;
}

bool is_wildcard(const io::SocketAddress& address) {
    return address.host() == "0.0.0.0" || address.host() == "::";
}

bool is_inet(int family) {
    return family == AF_INET || family == AF_INET6;
}

}  // namespace

Network::Endpoint* Network::find(EndpointId id) {
    const auto found = endpoints_.find(id);
    return found == endpoints_.end() ? nullptr : &found->second;
}

Network::Endpoint& Network::get(EndpointId id) {
    Endpoint* endpoint = find(id);
    RP_ASSERT(endpoint != nullptr && !endpoint->closed);
    return *endpoint;
}

const Network::Endpoint& Network::get(EndpointId id) const {
    const auto found = endpoints_.find(id);
    RP_ASSERT(found != endpoints_.end() && !found->second.closed);
    return found->second;
}

std::uint64_t Network::draw_capacity() {
    const Options& options = world_.options();
    RP_ASSERT(0 < options.socket_buffer_least &&
              options.socket_buffer_least <= options.socket_buffer_most);
    return options.socket_buffer_least +
           world_.prng().below(options.socket_buffer_most - options.socket_buffer_least + 1);
}

std::uint16_t Network::free_port() {
    while (true) {
        next_port_ = next_port_ >= 60999 ? 32768 : static_cast<std::uint16_t>(next_port_ + 1);
        const bool used = std::ranges::any_of(endpoints_, [&](const auto& item) {
            return !item.second.local.empty() && item.second.local.port() == next_port_;
        });
        if (!used) {
            return next_port_;
        }
    }
}

bool Network::is_taken(const io::SocketAddress& address, bool reuse_port) const {
    return std::ranges::any_of(endpoints_, [&](const auto& item) {
        const Endpoint& other = item.second;
        const bool holds = other.state == State::listening || other.state == State::fresh;
        return holds && !other.vanished && !other.local.empty() && other.local == address &&
               !(reuse_port && other.reuse_port);
    });
}

void Network::note_change(EndpointId id) {
    Endpoint* endpoint = find(id);
    if (endpoint == nullptr || endpoint->change_noted || !endpoint->changed) {
        return;
    }
    endpoint->change_noted = true;
    world_.after({}, "net.changed", [this, id] {
        Endpoint* later = find(id);
        if (later != nullptr && later->change_noted) {
            later->change_noted = false;
            if (later->changed) {
                const Changed changed = later->changed;  // it may close the endpoint
                changed();
            }
        }
    });
}

void Network::set_changed(EndpointId endpoint, Changed changed) {
    get(endpoint).changed = std::move(changed);
}

base::Result<EndpointId> Network::socket(int family, const io::SocketAddress& source,
                                         Changed changed) {
    if (!is_inet(family)) {
        return base::fail(EAFNOSUPPORT);
    }
    if (!source.empty() && source.family() != family) {
        return base::fail(EAFNOSUPPORT);
    }
    if (!source.empty() && source.port() != 0 && is_taken(source, false)) {
        return base::fail(EADDRINUSE);
    }
    const EndpointId id = next_++;
    Endpoint& endpoint = endpoints_[id];
    endpoint.family = family;
    endpoint.changed = std::move(changed);
    if (!source.empty()) {
        endpoint.local = source.port() == 0 ? with_port(source, free_port()) : source;
    }
    return id;
}

base::Result<EndpointId> Network::listen(const io::SocketAddress& address, std::uint32_t backlog,
                                         bool reuse_port, Changed changed) {
    if (!is_inet(address.family())) {
        return base::fail(EAFNOSUPPORT);
    }
    if (address.port() != 0 && is_taken(address, reuse_port)) {
        return base::fail(EADDRINUSE, "cannot listen on " + address.text() + ": in use");
    }
    const io::SocketAddress local = address.port() == 0 ? with_port(address, free_port()) : address;
    const EndpointId id = next_++;
    Endpoint& endpoint = endpoints_[id];
    endpoint.state = State::listening;
    endpoint.family = address.family();
    endpoint.local = local;
    endpoint.backlog = std::max(backlog, 1U);
    endpoint.reuse_port = reuse_port;
    endpoint.changed = std::move(changed);
    return id;
}

std::vector<EndpointId> Network::listeners_at(const io::SocketAddress& address) const {
    std::vector<EndpointId> exact;
    std::vector<EndpointId> wildcard;
    for (const auto& [id, endpoint] : endpoints_) {
        if (endpoint.state != State::listening || endpoint.local.port() != address.port()) {
            continue;
        }
        if (endpoint.local == address) {
            exact.push_back(id);
        } else if (is_wildcard(endpoint.local) && endpoint.family == address.family()) {
            wildcard.push_back(id);
        }
    }
    return exact.empty() ? wildcard : exact;
}

base::Status Network::connect(EndpointId id, const io::SocketAddress& to) {
    Endpoint& endpoint = get(id);
    if (endpoint.state == State::connected || endpoint.state == State::listening) {
        return base::fail(EISCONN);
    }
    if (endpoint.state == State::connecting) {
        return base::fail(EALREADY);
    }
    if (to.family() != endpoint.family) {
        return base::fail(EAFNOSUPPORT);
    }
    endpoint.state = State::connecting;
    endpoint.connect_result.reset();
    endpoint.peer_address = to;
    if (endpoint.local.empty()) {
        const auto loopback =
            io::SocketAddress::parse(endpoint.family == AF_INET ? "127.0.0.1:0" : "[::1]:0");
        endpoint.local = with_port(*loopback, free_port());
    }
    if (world_.fault(Fault::connect_silent, "connect")) {
        fail_connect_after(world_.options().connect_timeout, id, ETIMEDOUT);
    } else if (world_.fault(Fault::connect_refused, "connect")) {
        fail_connect_after(world_.draw(world_.options().network_latency), id, ECONNREFUSED);
    } else {
        world_.after(world_.draw(world_.options().network_latency), "net.syn",
                     [this, id, to] { arrive_syn(id, to, 0); });
    }
    return {};
}

void Network::fail_connect_after(base::Duration delay, EndpointId id, int error) {
    world_.after(delay, "net.connect_failed", [this, id, error] { finish_connect(id, error); });
}

void Network::try_syn_again(EndpointId from, const io::SocketAddress& to, std::uint32_t tries) {
    const base::Duration wait = kResendAfter * (std::int64_t{1} << tries);
    if (tries >= 6) {
        finish_connect(from, ETIMEDOUT);
        return;
    }
    world_.after(wait, "net.syn", [this, from, to, tries] { arrive_syn(from, to, tries + 1); });
}

void Network::arrive_syn(EndpointId from, const io::SocketAddress& to, std::uint32_t tries) {
    Endpoint* client = find(from);
    if (client == nullptr || client->state != State::connecting || client->closed) {
        return;
    }
    const base::Duration back = world_.draw(world_.options().network_latency);
    std::vector<EndpointId> listeners = listeners_at(to);
    if (listeners.empty()) {
        const auto silence = silences_.find(to.text());
        const Silence how = silence == silences_.end() ? Silence::refuse : silence->second;
        if (how == Silence::no_answer) {
            fail_connect_after(world_.options().connect_timeout, from, ETIMEDOUT);
        } else {
            fail_connect_after(back, from, how == Silence::refuse ? ECONNREFUSED : EHOSTUNREACH);
        }
        return;
    }
    const EndpointId chosen = listeners[world_.prng().below(listeners.size())];
    Endpoint& listener = get(chosen);
    if (listener.vanished || listener.queue.size() >= listener.backlog) {
        try_syn_again(from, to, tries);
        return;
    }
    const EndpointId id = next_++;
    Endpoint& server = endpoints_[id];
    server.state = State::connected;
    server.family = client->family;
    server.local = to;
    server.peer_address = client->local;
    server.other = from;
    server.server_side = true;
    server.out.capacity = draw_capacity();
    server.out.last_arrival = world_.now() + back;  // no data overtakes the handshake
    client->other = id;
    client->out.capacity = draw_capacity();
    listener.queue.push_back(id);
    note_change(chosen);
    world_.after(back, "net.connected", [this, from] { finish_connect(from, 0); });
}

void Network::finish_connect(EndpointId id, int error) {
    Endpoint* endpoint = find(id);
    if (endpoint == nullptr || endpoint->state != State::connecting) {
        return;
    }
    world_.trace("net.connect", id, static_cast<std::uint64_t>(error));
    endpoint->state = error == 0 ? State::connected : State::failed;
    endpoint->connect_result = error;
    note_change(id);
}

std::optional<int> Network::connect_result(EndpointId endpoint) {
    return std::exchange(get(endpoint).connect_result, std::nullopt);
}

base::Result<EndpointId> Network::accept(EndpointId listener, Changed changed) {
    Endpoint& endpoint = get(listener);
    if (endpoint.state != State::listening) {
        return base::fail(EINVAL);
    }
    if (endpoint.queue.empty()) {
        return base::fail(EAGAIN);
    }
    const EndpointId id = endpoint.queue.front();
    endpoint.queue.pop_front();
    get(id).changed = std::move(changed);
    return id;
}

void Network::close(EndpointId id) {
    Endpoint& endpoint = get(id);
    world_.trace("net.close", id);
    endpoint.changed = nullptr;
    if (endpoint.state == State::listening) {
        const std::deque<EndpointId> queue = std::move(endpoint.queue);
        endpoints_.erase(id);
        for (const EndpointId waiting : queue) {
            reset(waiting);
        }
        return;
    }
    if (endpoint.state != State::connected || endpoint.broken) {
        if (endpoint.other != kNoEndpoint && !endpoint.broken) {
            reset_reaches(endpoint.other);
        }
        endpoints_.erase(id);
        return;
    }
    if (unread(endpoint) != 0) {
        reset(id);
        return;
    }
    if (!endpoint.write_shut) {
        endpoint.write_shut = true;
        push(id, {{}, true, world_.now()});
    }
    endpoint.closed = true;
    forget_if_done(id);
}

void Network::reset(EndpointId id) {
    const Endpoint& endpoint = get(id);
    if (endpoint.other != kNoEndpoint) {
        reset_reaches(endpoint.other);
    }
    endpoints_.erase(id);
}

void Network::vanish(EndpointId id) {
    Endpoint& endpoint = get(id);
    endpoint.changed = nullptr;
    endpoint.vanished = true;
    endpoint.out.flying.clear();
    endpoint.out.flying_bytes = 0;
    for (const EndpointId waiting : std::exchange(endpoint.queue, {})) {
        endpoints_.erase(waiting);
    }
}

void Network::forget(EndpointId id) {
    endpoints_.erase(id);
}

std::uint32_t Network::ready(EndpointId id) const {
    const Endpoint& endpoint = get(id);
    switch (endpoint.state) {
        case State::fresh:
            return POLLOUT | POLLHUP;
        case State::listening:
            return endpoint.queue.empty() ? 0 : POLLIN;
        case State::connecting:
            return 0;
        case State::failed:
            return POLLIN | POLLOUT | POLLERR | POLLHUP;
        case State::connected:
            break;
    }
    std::uint32_t events = 0;
    const bool ended = endpoint.end_seen || endpoint.read_shut || endpoint.broken;
    if (unread(endpoint) != 0 || ended || endpoint.error != 0) {
        events |= POLLIN;
    }
    if (room(endpoint) != 0 || endpoint.broken || endpoint.write_shut) {
        events |= POLLOUT;
    }
    if (ended) {
        events |= POLLRDHUP;
    }
    if (endpoint.broken || (ended && endpoint.write_shut)) {
        events |= POLLHUP;
    }
    if (endpoint.error != 0) {
        events |= POLLERR;
    }
    return events;
}

io::SocketAddress Network::local(EndpointId endpoint) const {
    return get(endpoint).local;
}

io::SocketAddress Network::peer(EndpointId endpoint) const {
    const Endpoint& of = get(endpoint);
    return of.state == State::connected ? of.peer_address : io::SocketAddress();
}

void Network::set_label(EndpointId endpoint, const char* label) {
    if (Endpoint* one = find(endpoint)) {
        one->label = label;
    }
}

const char* Network::label(EndpointId endpoint, const char* otherwise) const {
    const auto found = endpoints_.find(endpoint);
    const char* label = found == endpoints_.end() ? nullptr : found->second.label;
    return label == nullptr ? otherwise : label;
}

const char* Network::label_of_either(EndpointId endpoint, const char* otherwise) const {
    const auto found = endpoints_.find(endpoint);
    const EndpointId other = found == endpoints_.end() ? kNoEndpoint : found->second.other;
    return label(endpoint, label(other, otherwise));
}

base::MonoTime Network::newest_sent(EndpointId endpoint) const {
    return get(endpoint).newest_sent;
}

base::MonoTime Network::last_taken(EndpointId endpoint) const {
    const auto other = endpoints_.find(get(endpoint).other);
    return other == endpoints_.end() ? base::MonoTime{} : other->second.last_read;
}

bool Network::is_left(EndpointId endpoint) const {
    const Endpoint& one = get(endpoint);
    const auto other = endpoints_.find(one.other);
    return one.broken || other == endpoints_.end() || other->second.closed;
}

std::vector<EndpointId> Network::servers_of(const io::SocketAddress& address) const {
    std::vector<EndpointId> servers;
    for (const auto& [id, one] : endpoints_) {
        if (one.server_side && !one.closed && !one.vanished && one.local == address) {
            servers.push_back(id);
        }
    }
    return servers;
}

std::size_t Network::clients_of(const io::SocketAddress& server) const {
    return static_cast<std::size_t>(std::ranges::count_if(endpoints_, [&](const auto& item) {
        const Endpoint& one = item.second;
        return (one.state == State::connecting || one.state == State::connected) && !one.closed &&
               !one.vanished && !one.server_side && one.peer_address == server;
    }));
}

bool Network::is_listener(EndpointId endpoint) const {
    return get(endpoint).state == State::listening;
}

void Network::set_silence(const io::SocketAddress& address, Silence silence) {
    RP_ASSERT(!is_wildcard(address));
    silences_[address.text()] = silence;
}

std::size_t Network::open_endpoints() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        endpoints_, [](const auto& item) { return !item.second.closed && !item.second.vanished; }));
}

}  // namespace sim
