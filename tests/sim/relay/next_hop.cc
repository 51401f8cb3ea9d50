#include "sim/relay/next_hop.h"

#include <algorithm>

#include <charconv>
#include <cstdlib>
#include "base/assert.h"

namespace sim::relay {
NextHop::NextHop(World& world, const Plan& plan, const HopPlan& hop, Oracle& oracle,
                 Journal& journal, const Program& program, std::uint64_t seed)
    : world_(world),
      plan_(plan),
      hop_(hop),
      oracle_(oracle),
      journal_(journal),
      program_(program),
      prng_(seed),
      peer_(world) {
    const auto address = io::SocketAddress::parse(hop_.address);
    RP_ASSERT(address.has_value());
    world_.network().set_silence(*address, hop_.away);
    peer_.on_connect = [this](Connection& connection) { accepted(connection); };
    peer_.on_bytes = [this](Connection& connection, std::string_view bytes) {
        const StatePointer state = state_of(connection);
        state->arrived += bytes.size();
        state->sent.emplace_back(state->arrived, world_.network().newest_sent(connection.id()));
        work(connection.id());
    };
    peer_.on_close = [this](Connection& connection, int error) {
        left(connection, *state_of(connection));
        if (error == 0) {
            connection.close();
        }
    };
}

void NextHop::listen() {
    peer_.listen(hop_.address);
    listens_ = true;
}

void NextHop::stop_listening() {
    peer_.stop_listening();
    listens_ = false;
    for (const EndpointId id : std::exchange(open_, {})) {
        if (Connection* connection = peer_.find(id)) {
            close(*connection, *state_of(*connection));
        }
    }
}

void NextHop::calm_down(bool listens) {
    calm_ = true;
    if (listens && !listens_) {
        listen();
    } else if (!listens && listens_) {
        stop_listening();
    }
}

bool NextHop::answer_due() const {
    return std::ranges::any_of(open_, [this](EndpointId id) {
        Connection* connection = const_cast<sim::Peer&>(peer_).find(id);
        return connection != nullptr && state_of(*connection)->given;
    });
}

void NextHop::note(const Connection& connection, const std::string& text) {
    journal_.note("hop " + hop_.address + " #" + std::to_string(connection.id()) + " " + text);
}

// --- connections ---

void NextHop::accepted(Connection& connection) {
    const auto state = std::make_shared<State>();
    connection.data = state;
    state->disturbances = program_.disturbances();
    // What connects in the instant of its relay's death is never told of it.
    const bool from_the_dead = program_.stage() == Program::Stage::down;
    state->excused = from_the_dead || (!calm_ && plan_.network_breaks());
    open_.push_back(connection.id());
    note(connection, "is connected");
    if (on_accept) {
        on_accept();
    }
    if (odds(hop_.odds.greeting)) {
        switch (prng_.below(5)) {
            case 0:
                answer(connection, "554 5.3.2 not today");
                break;
            case 1:
                answer(connection, "421 4.3.2 too busy");
                break;
            case 2:
                break;
            default: {
                const base::Duration patience = plan_.settings.queue.smtp.banner_timeout;
                put(connection, *state, {"the greeting", patience, patience, world_.now()});
                state->phase = Phase::silent;
                return;
            }
        }
        close(connection, *state);
        return;
    }
    answer(connection, "220 hop.test ESMTP");
}

void NextHop::close(Connection& connection, State& state) {
    if (!state.refused_from.empty()) {
        oracle_.left_after_refusal(state.refused_from);
    }
    gone(connection, state);
    connection.close();
}

void NextHop::left(Connection& connection, State& state) {
    check_leaving(state);
    gone(connection, state);
}

// The conversation is over, from whichever side.
void NextHop::gone(Connection& connection, State& state) {
    note(connection, "is gone");
    if (state.phase == Phase::data || state.phase == Phase::chunk) {
        oracle_.part(state.message.recipients, state.message.content, state.message.eight_bit);
    }
    oracle_.broken(connection.id());
    state.question = {};
    state.phase = Phase::silent;
    std::erase(open_, connection.id());
}

void NextHop::answer(Connection& connection, const std::string& reply) {
    note(connection, "> " + reply.substr(0, reply.find('\r')));
    connection.send(reply + "\r\n");
}

void NextHop::never(Connection& connection, const std::vector<std::string>& paths,
                    const std::string& reply) {
    oracle_.never(paths, reply);
    answer(connection, reply);
}

base::MonoTime NextHop::sent_at(const State& state) const {
    const auto at = std::ranges::find_if(
        state.sent, [&](const auto& piece) { return piece.first >= state.read; });
    return at == state.sent.end() ? world_.now() : at->second;
}

// --- reading ---

void NextHop::work(EndpointId id) {
    for (bool more = true; more;) {
        Connection* connection = peer_.find(id);
        if (connection == nullptr) {
            return;
        }
        const StatePointer state = state_of(*connection);
        more = !state->busy && state->phase != Phase::silent && work_once(*connection, *state);
    }
}

bool NextHop::work_once(Connection& connection, State& state) {
    switch (state.phase) {
        case Phase::command:
            return take_command(connection, state);
        case Phase::data:
            return take_data(connection, state);
        case Phase::chunk:
            return take_chunk(connection, state);
        case Phase::silent:
            return false;
    }
    RP_PANIC("no such Phase");
}

bool NextHop::take_command(Connection& connection, State& state) {
    std::string& input = connection.received();
    const std::size_t end = input.find("\r\n");
    if (end == std::string::npos) {
        return false;
    }
    const std::string line = input.substr(0, end);
    input.erase(0, end + 2);
    state.read += end + 2;
    note(connection, "< " + line);
    if (!(hop_.pipelining && state.extended) && !input.empty() && !line.starts_with("BDAT ")) {
        journal_.fault("a next hop without PIPELINING is sent more behind: " + line);
    }
    if (std::exchange(state.given, false)) {
        oracle_.confirmed(connection.id());
    }
    if (odds(hop_.odds.slow)) {
        think(connection, state, question_of(state, line), [this, line](Connection* later) {
            if (later != nullptr) {
                const EndpointId id = later->id();
                command(*later, *state_of(*later), line);
                work(id);
            }
        });
        return false;
    }
    command(connection, state, line);
    return true;
}

bool NextHop::mishap(Connection& connection, State& state) {
    if (odds(hop_.odds.closing)) {
        answer(connection, "421 4.3.2 going down");
        close(connection, state);
        return true;
    }
    if (odds(hop_.odds.close)) {
        close(connection, state);
        return true;
    }
    if (odds(hop_.odds.broken)) {
        talk_nonsense(connection, state);
        return true;
    }
    return false;
}

// The relay is to leave as soon as it has read that.
void NextHop::talk_nonsense(Connection& connection, State& state) {
    switch (prng_.below(5)) {
        case 0:
            answer(connection, "all is well");
            break;
        case 1:
            answer(connection, "302 4.0.0 neither yes nor no");
            break;
        case 2:
            answer(connection, "250-2.0.0 yes\r\n550 5.0.0 no");
            break;
        case 3:
            answer(connection, "250=2.0.0 ok");
            break;
        default:
            answer(connection, "250 2.0.0 " + std::string(3000, 'x'));
            break;
    }
    world_.count(Fault::peer, "hop: nonsense");
    state.phase = Phase::silent;
    put(connection, state,
        {"nothing, behind nonsense", {}, plan_.settings.queue.smtp.block_timeout, world_.now()});
}

}  // namespace sim::relay
