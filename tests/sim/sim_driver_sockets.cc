// What SimDriver does with sockets. An operation that cannot go on waits; when its socket changes,
// the first in line of its kind tries again after a moment.
#include <algorithm>
#include <utility>

#include <poll.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "sim/sim_driver.h"

namespace sim {

namespace {

// Operations of one kind on one socket take their turn in the order they were submitted.
enum class Kind : std::uint8_t { accepts, connects, receives, sends, polls };

Kind kind_of(io::OpCode code) {
    switch (code) {
        case io::OpCode::accept_multishot:
            return Kind::accepts;
        case io::OpCode::connect:
            return Kind::connects;
        case io::OpCode::receive:
        case io::OpCode::receive_multishot:
            return Kind::receives;
        case io::OpCode::send:
        case io::OpCode::send_vector:
            return Kind::sends;
        default:
            return Kind::polls;
    }
}

}  // namespace

Process::Entry* SimDriver::entry(io::Handle handle) {
    const auto found = process_.entries.find(handle);
    return found == process_.entries.end() ? nullptr : &found->second;
}

base::Result<io::Handle> SimDriver::add_entry(Process::Entry entry) {
    if (process_.entries.size() >= world_.options().handles_max) {
        return base::fail(EMFILE);
    }
    const io::Handle handle = process_.next_handle++;
    process_.entries.emplace(handle, std::move(entry));
    return handle;
}

Network::Changed SimDriver::changed_callback(io::Handle handle) {
    return [&host = host_, generation = process_.generation, handle] {
        if (host.running() && host.process_->generation == generation) {
            changed(*host.process_, handle);
        }
    };
}

void SimDriver::changed(Process& process, io::Handle handle) {
    const auto users = process.users.find(handle);
    if (users == process.users.end()) {
        return;
    }
    for (const auto& [id, index] : users->second) {
        process.drivers[index]->plan_attempt(id);
    }
}

void SimDriver::start_socket(FlightId id, Flight& flight) {
    const Process::Entry* in_table = entry(flight.parameters.handle);
    if (in_table == nullptr) {
        complete_soon(id, -EBADF);
        return;
    }
    if (in_table->file != nullptr) {
        const auto asked = static_cast<std::int32_t>(flight.parameters.flags);
        const bool polls = flight.code == io::OpCode::poll;
        complete_soon(id, polls ? asked & (POLLIN | POLLOUT) : -ENOTSOCK);
        return;
    }
    Network& network = world_.network();
    if (flight.code == io::OpCode::shutdown) {
        const base::Status status =
            network.shutdown(in_table->endpoint, static_cast<int>(flight.parameters.flags));
        complete_soon(id, status ? 0 : -status.error().number());
        return;
    }
    if (flight.code == io::OpCode::connect) {
        const base::Status begun = network.connect(in_table->endpoint, *flight.parameters.address);
        if (!begun) {
            complete_soon(id, -begun.error().number());
            return;
        }
    }
    flight.waits = true;
    plan_attempt(id);
}

bool SimDriver::is_first_of_its_kind(FlightId id, const Flight& flight) const {
    if (kind_of(flight.code) == Kind::polls) {
        return true;
    }
    for (const auto& [other, index] : process_.users.at(flight.parameters.handle)) {
        if (other == id) {
            break;
        }
        const Flight& before = process_.drivers[index]->flights_.at(other);
        if (before.phase == Phase::started && before.waits &&
            kind_of(before.code) == kind_of(flight.code)) {
            return false;
        }
    }
    return true;
}

void SimDriver::plan_attempt(FlightId id) {
    Flight* flight = started(id);
    if (flight == nullptr || flight->attempt_planned || !flight->waits) {
        return;
    }
    flight->attempt_planned = true;
    later(world_.draw(world_.options().ring_latency), "op.attempt",
          [id](SimDriver& driver) { driver.attempt(id); });
}

void SimDriver::attempt(FlightId id) {
    Flight* flight = started(id);
    if (flight == nullptr) {
        return;
    }
    flight->attempt_planned = false;
    if (!is_first_of_its_kind(id, *flight)) {
        return;
    }
    const Process::Entry* in_table = entry(flight->parameters.handle);
    RP_ASSERT(in_table != nullptr);
    const EndpointId endpoint = in_table->endpoint;
    if (flight->code == io::OpCode::accept_multishot) {
        attempt_accept(id, *flight, endpoint);
    } else if (flight->code == io::OpCode::receive_multishot) {
        attempt_receive_multishot(id, *flight, endpoint);
    } else {
        const std::optional<std::int32_t> result = try_once(*flight, endpoint);
        flight->attempted = true;
        if (result) {
            complete(id, *result);
        }
    }
}

std::optional<std::int32_t> SimDriver::try_once(Flight& flight, EndpointId endpoint) {
    Network& network = world_.network();
    switch (flight.code) {
        case io::OpCode::connect: {
            const std::optional<int> error = network.connect_result(endpoint);
            return error ? std::optional<std::int32_t>(-*error) : std::nullopt;
        }
        case io::OpCode::poll: {
            const std::uint32_t events =
                network.ready(endpoint) & (flight.parameters.flags | POLLERR | POLLHUP);
            return events == 0 ? std::nullopt : std::optional(static_cast<std::int32_t>(events));
        }
        case io::OpCode::receive: {
            auto* memory = static_cast<std::byte*>(const_cast<void*>(flight.parameters.memory));
            const auto n = network.receive(endpoint, {memory, flight.parameters.size});
            if (n) {
                tell_bytes(endpoint, false, {memory, *n});
                return static_cast<std::int32_t>(*n);
            }
            return n.error().number() == EAGAIN ? std::nullopt : std::optional(-n.error().number());
        }
        default:
            return try_send(flight, endpoint);
    }
}

std::optional<std::int32_t> SimDriver::try_send(Flight& flight, EndpointId endpoint) {
    const io::Op::Parameters& parameters = flight.parameters;
    const iovec whole{const_cast<void*>(parameters.memory), parameters.size};
    const bool vector = flight.code == io::OpCode::send_vector;
    const auto* pieces = vector ? static_cast<const iovec*>(parameters.memory) : &whole;
    const std::uint32_t count = vector ? parameters.flags : 1;
    std::size_t sent = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const base::Bytes piece(static_cast<const std::byte*>(pieces[i].iov_base),
                                pieces[i].iov_len);
        if (piece.empty() && i + 1 < count) {
            continue;
        }
        const auto n = world_.network().send(endpoint, piece);
        if (!n && sent == 0) {
            return n.error().number() == EAGAIN ? std::nullopt : std::optional(-n.error().number());
        }
        if (n) {
            tell_bytes(endpoint, true, piece.first(*n));
        }
        sent += n ? *n : 0;
        if (!n || *n < piece.size()) {
            break;
        }
    }
    return static_cast<std::int32_t>(sent);
}

void SimDriver::tell_bytes(EndpointId endpoint, bool sent, base::Bytes bytes) {
    if (host_.on_bytes && !bytes.empty()) {
        host_.on_bytes(endpoint, sent, bytes);
    }
}

void SimDriver::attempt_accept(FlightId id, Flight& flight, EndpointId listener) {
    Network& network = world_.network();
    flight.attempted = true;
    if (network.is_listener(listener) && network.ready(listener) == 0) {
        return;
    }
    if (process_.entries.size() >= world_.options().handles_max ||
        (network.is_listener(listener) && world_.fault(Fault::accept_error, "accept"))) {
        complete(id, -EMFILE);
        return;
    }
    const auto endpoint = network.accept(listener, {});
    if (!endpoint) {
        complete(id, -endpoint.error().number());
        return;
    }
    const base::Result<io::Handle> handle = add_entry({nullptr, *endpoint});
    RP_ASSERT(handle.has_value());
    network.set_changed(*endpoint, changed_callback(*handle));
    complete_more(id, *handle, -1, !world_.fault(Fault::multishot_end, "accept"));
}

void SimDriver::attempt_receive_multishot(FlightId id, Flight& flight, EndpointId endpoint) {
    Network& network = world_.network();
    // The kernel takes a buffer before it looks for data, but wakes only when there is some.
    const bool first = !std::exchange(flight.attempted, true);
    if (!first && (network.ready(endpoint) & (POLLIN | POLLERR | POLLHUP)) == 0) {
        return;
    }
    BufferRing* ring =
        flight.parameters.ring < rings_.size() ? rings_[flight.parameters.ring].get() : nullptr;
    if (ring == nullptr || ring->free.empty() ||
        world_.fault(Fault::no_buffers, network.label(endpoint, "receive_multishot"))) {
        complete(id, -ENOBUFS);
        return;
    }
    const std::int32_t buffer_id = ring->free.front();
    const auto n = network.receive(endpoint, ring->bytes(buffer_id));
    if (!n) {
        if (n.error().number() != EAGAIN) {
            complete(id, -n.error().number());
        }
        return;
    }
    if (*n == 0) {
        complete(id, 0);
        return;
    }
    tell_bytes(endpoint, false, base::Bytes(ring->bytes(buffer_id)).first(*n));
    ring->free.pop_front();
    ring->out[static_cast<std::size_t>(buffer_id)] = true;
    complete_more(
        id, static_cast<std::int32_t>(*n), buffer_id,
        !world_.fault(Fault::multishot_end, network.label(endpoint, "receive_multishot")));
}

base::Result<io::Handle> SimDriver::listen(const io::SocketAddress& address,
                                           const io::ListenOptions& options) {
    if (process_.dead) {
        return base::fail(ECANCELED);
    }
    const auto endpoint = world_.network().listen(address, options.backlog, options.reuse_port, {});
    if (!endpoint) {
        return std::unexpected(endpoint.error());
    }
    const base::Result<io::Handle> handle = add_entry({nullptr, *endpoint});
    if (!handle) {
        world_.network().close(*endpoint);
        return handle;
    }
    world_.network().set_changed(*endpoint, changed_callback(*handle));
    return handle;
}

base::Result<io::Handle> SimDriver::socket(int family, const io::SocketAddress& source) {
    if (process_.dead) {
        return base::fail(ECANCELED);
    }
    const auto endpoint = world_.network().socket(family, source, {});
    if (!endpoint) {
        return std::unexpected(endpoint.error());
    }
    const base::Result<io::Handle> handle = add_entry({nullptr, *endpoint});
    if (!handle) {
        world_.network().close(*endpoint);
        return handle;
    }
    world_.network().set_changed(*endpoint, changed_callback(*handle));
    return handle;
}

io::SocketAddress SimDriver::local_address(io::Handle socket) {
    const Process::Entry* in_table = entry(socket);
    return in_table == nullptr || in_table->endpoint == kNoEndpoint
               ? io::SocketAddress()
               : world_.network().local(in_table->endpoint);
}

io::SocketAddress SimDriver::peer_address(io::Handle socket) {
    const Process::Entry* in_table = entry(socket);
    return in_table == nullptr || in_table->endpoint == kNoEndpoint
               ? io::SocketAddress()
               : world_.network().peer(in_table->endpoint);
}

void SimDriver::close(io::Handle handle) {
    if (process_.dead) {
        return;
    }
    const auto found = process_.entries.find(handle);
    RP_ASSERT(found != process_.entries.end());
    const auto users = process_.users.find(handle);
    RP_ASSERT(users == process_.users.end() || users->second.empty());
    process_.users.erase(handle);
    const Process::Entry closed = std::move(found->second);
    process_.entries.erase(found);
    if (closed.endpoint != kNoEndpoint) {
        world_.network().close(closed.endpoint);
    }
}

}  // namespace sim
