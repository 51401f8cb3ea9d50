#include "sim/peer.h"

#include <array>
#include <utility>

#include <sys/socket.h>

#include "base/assert.h"

namespace sim {

namespace {

io::SocketAddress parsed(std::string_view text) {
    const auto address = io::SocketAddress::parse(text);
    RP_ASSERT(address.has_value());
    return *address;
}

}  // namespace

void Connection::send(std::string_view bytes) {
    RP_ASSERT(!finishing_ && !closing_);
    if (!ended_) {
        outbox_ += bytes;
        peer_.flush(*this);
    }
}

void Connection::finish() {
    finishing_ = true;
    peer_.flush(*this);
}

void Connection::close() {
    closing_ = true;
    peer_.flush(*this);
}

void Connection::reset() {
    if (!ended_) {
        peer_.world_.network().reset(endpoint_);
        peer_.end(*this);
    }
}

void Connection::pause() {
    paused_ = true;
}

void Connection::resume() {
    paused_ = false;
    peer_.world_.after({}, "peer.resume", [alive = peer_.alive_, &peer = peer_, id = endpoint_] {
        if (*alive) {
            peer.changed(id);
        }
    });
}

Peer::~Peer() {
    *alive_ = false;
    stop_listening();
    for (const auto& [id, connection] : connections_) {
        if (!connection->ended_) {
            world_.network().reset(id);
        }
    }
}

void Peer::listen(std::string_view address) {
    const auto listener =
        world_.network().listen(parsed(address), 4096, false, [this, alive = alive_] {
            if (*alive) {
                take_connections();
            }
        });
    RP_ASSERT(listener.has_value());
    listener_ = *listener;
}

void Peer::stop_listening() {
    if (listener_ != kNoEndpoint) {
        world_.network().close(std::exchange(listener_, kNoEndpoint));
    }
}

Connection& Peer::add(EndpointId endpoint) {
    world_.network().set_changed(endpoint, [this, alive = alive_, endpoint] {
        if (*alive) {
            changed(endpoint);
        }
    });
    return *connections_.emplace(endpoint, std::make_unique<Connection>(*this, endpoint))
                .first->second;
}

Connection& Peer::connect(std::string_view address, std::string_view source) {
    const io::SocketAddress to = parsed(address);
    const io::SocketAddress from = source.empty() ? io::SocketAddress() : parsed(source);
    const auto endpoint = world_.network().socket(to.family(), from, {});
    RP_ASSERT(endpoint.has_value());
    Connection& connection = add(*endpoint);
    const base::Status begun = world_.network().connect(*endpoint, to);
    RP_ASSERT(begun.has_value());
    return connection;
}

Connection* Peer::find(EndpointId id) {
    const auto found = connections_.find(id);
    return found == connections_.end() || found->second->ended_ ? nullptr : found->second.get();
}

void Peer::take_connections() {
    while (listener_ != kNoEndpoint) {
        const auto endpoint = world_.network().accept(listener_, {});
        if (!endpoint) {
            return;
        }
        ++accepted_;
        Connection& connection = add(*endpoint);
        connection.connected_ = true;
        if (on_connect) {
            on_connect(connection);
        }
        changed(*endpoint);  // bytes may have come before it was accepted
    }
}

void Peer::changed(EndpointId endpoint) {
    Connection* connection = find(endpoint);
    if (connection == nullptr) {
        return;
    }
    if (!connection->connected_) {
        take_connect_result(*connection);
    }
    if (connection->connected_ && !connection->ended_) {
        flush(*connection);
        read_all(*connection);
    }
}

void Peer::take_connect_result(Connection& connection) {
    const std::optional<int> result = world_.network().connect_result(connection.endpoint_);
    if (!result) {
        return;
    }
    if (*result != 0) {
        broken(connection, *result);
        return;
    }
    connection.connected_ = true;
    if (on_connect) {
        on_connect(connection);
    }
}

void Peer::read_all(Connection& connection) {
    std::array<std::byte, 16384> buffer;
    while (!connection.ended_ && !connection.paused_) {
        const auto n = world_.network().receive(connection.endpoint_, buffer);
        if (!n) {
            if (n.error().number() != EAGAIN) {
                broken(connection, n.error().number());
            }
            return;
        }
        if (*n == 0) {
            if (std::exchange(connection.end_seen_, true)) {
                return;  // only an error could be new
            }
            if (on_close) {
                on_close(connection, 0);
            } else {
                connection.close();
            }
            continue;
        }
        const std::string_view bytes = base::as_text(base::Bytes(buffer).first(*n));
        connection.received_ += bytes;
        if (on_bytes) {
            on_bytes(connection, bytes);
        }
    }
}

void Peer::flush(Connection& connection) {
    while (!connection.ended_ && connection.connected_ && !connection.outbox_.empty()) {
        const auto n =
            world_.network().send(connection.endpoint_, base::as_bytes(connection.outbox_));
        if (!n) {
            if (n.error().number() == EAGAIN) {
                return;
            }
            broken(connection, n.error().number());
            return;
        }
        connection.outbox_.erase(0, *n);
    }
    if (connection.ended_ || (!connection.connected_ && !connection.closing_)) {
        return;
    }
    if (connection.closing_) {
        world_.network().close(connection.endpoint_);
        end(connection);
    } else if (connection.finishing_ && !connection.finished_) {
        connection.finished_ = true;
        (void)world_.network().shutdown(connection.endpoint_, SHUT_WR);  // broken: it will show
    }
}

void Peer::broken(Connection& connection, int error) {
    world_.network().close(connection.endpoint_);
    end(connection);
    if (on_close) {
        on_close(connection, error);
    }
}

// The object outlives the callback that may be running on it.
void Peer::end(Connection& connection) {
    connection.ended_ = true;
    world_.after({}, "peer.end", [this, alive = alive_, id = connection.endpoint_] {
        if (*alive) {
            connections_.erase(id);
        }
    });
}

}  // namespace sim
