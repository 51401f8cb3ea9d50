#include "sim/relay/next_hop.h"

#include <algorithm>
#include <charconv>

namespace sim::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The path of "MAIL FROM:<…> …" and "RCPT TO:<…>".
std::string path_of(std::string_view line) {
    const std::size_t begin = line.find('<');
    const std::size_t end = line.find('>');
    return begin == std::string_view::npos || end == std::string_view::npos
               ? std::string()
               : std::string(line.substr(begin + 1, end - begin - 1));
}

}  // namespace

NextHop::NextHop(World& world, const Plan& plan, const HopPlan& hop, Oracle& oracle,
                 Journal& journal, std::uint64_t seed)
    : world_(world),
      plan_(plan),
      hop_(hop),
      oracle_(oracle),
      journal_(journal),
      prng_(seed),
      peer_(world) {
    peer_.on_connect = [this](Connection& connection) { accepted(connection); };
    peer_.on_bytes = [this](Connection& connection, std::string_view bytes) {
        const StatePointer state = state_of(connection);
        state->arrived += bytes.size();
        state->sent.emplace_back(state->arrived, world_.network().newest_sent(connection.id()));
        work(connection.id());
    };
    peer_.on_close = [this](Connection& connection, int error) {
        gone(connection, *state_of(connection));
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

void NextHop::calm_down() {
    calm_ = true;
    if (!listens_) {
        listen();
    }
    for (const EndpointId id : std::exchange(open_, {})) {
        Connection* connection = peer_.find(id);
        if (connection != nullptr && state_of(*connection)->phase == Phase::silent) {
            close(*connection, *state_of(*connection));
        } else if (connection != nullptr) {
            open_.push_back(id);
        }
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
    open_.push_back(connection.id());
    label(connection, "out: hello");
    note(connection, "is connected");
    if (on_accept) {
        on_accept();
    }
    if (odds(hop_.odds.greeting)) {
        switch (prng_.below(4)) {
            case 0:
                answer(connection, "554 5.3.2 not today");
                break;
            case 1:
                answer(connection, "421 4.3.2 too busy");
                break;
            case 2:
                state->phase = Phase::silent;
                return;
            default:
                break;
        }
        close(connection, *state);
        return;
    }
    answer(connection, "220 hop.test ESMTP");
}

void NextHop::close(Connection& connection, State& state) {
    gone(connection, state);
    connection.close();
}

// The conversation is over, from whichever side.
void NextHop::gone(Connection& connection, State& state) {
    note(connection, "is gone");
    if (state.phase == Phase::data || state.phase == Phase::chunk) {
        oracle_.part(state.message.recipients, state.message.content, state.message.eight_bit);
    }
    oracle_.broken(connection.id());
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
        const bool too_slow = odds(hop_.odds.too_slow);
        state.busy = true;
        world_.after(world_.draw({milliseconds(1), too_slow ? seconds(90) : seconds(3)}),
                     "hop.answers", [this, alive = alive_, id = connection.id(), line] {
                         Connection* later = *alive ? peer_.find(id) : nullptr;
                         if (later != nullptr && state_of(*later)->phase != Phase::silent) {
                             state_of(*later)->busy = false;
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
    return false;
}

void NextHop::command(Connection& connection, State& state, const std::string& line) {
    if (line.starts_with("QUIT")) {
        label(connection, "out: quit");
        answer(connection, "221 2.0.0 bye");
        gone(connection, state);
        connection.close();
        return;
    }
    if (line.starts_with("EHLO") || line.starts_with("HELO")) {
        on_hello(connection, state, line);
    } else if (line.starts_with("MAIL")) {
        on_mail(connection, state, line);
    } else if (line.starts_with("RCPT")) {
        on_recipient(connection, state, line);
    } else if (line == "DATA") {
        on_data(connection, state);
    } else if (line.starts_with("BDAT ")) {
        if (!hop_.chunking || !state.extended) {
            journal_.fault("a next hop without CHUNKING is sent " + line);
        }
        const char* begin = line.data() + 5;
        std::from_chars(begin, line.data() + line.size(), state.chunk_left);
        state.last_chunk = line.ends_with(" LAST");
        if (state.phase == Phase::command && state.message.content.empty()) {
            begin_content(state);
        }
        state.phase = Phase::chunk;
        label(connection, state.last_chunk ? "out: end of content" : "out: content");
    } else if (line == "RSET") {
        end_transaction(state);
        answer(connection, "250 2.0.0 ok");
    } else {
        journal_.fault("a next hop is sent: " + line);
        answer(connection, "500 5.5.1 what?");
    }
}

void NextHop::on_hello(Connection& connection, State& state, const std::string& line) {
    if (mishap(connection, state)) {
        return;
    }
    const bool extended = line.starts_with("EHLO");
    if (extended && (!hop_.extended || odds(hop_.odds.hello))) {
        answer(connection, "502 5.5.1 EHLO is not known here");
        return;
    }
    state.extended = extended;
    std::string reply = extended ? "250-hop.test" : "250 hop.test";
    if (extended) {
        reply += hop_.pipelining ? "\r\n250-PIPELINING" : "";
        reply += hop_.chunking ? "\r\n250-CHUNKING" : "";
        reply += hop_.eight_bit ? "\r\n250-8BITMIME" : "";
        reply += "\r\n250-SIZE 0\r\n250 ENHANCEDSTATUSCODES";
    }
    answer(connection, reply);
}

void NextHop::on_mail(Connection& connection, State& state, const std::string& line) {
    label(connection, "out: envelope");
    if (mishap(connection, state)) {
        return;
    }
    if (state.in_transaction) {
        journal_.fault("a next hop is sent a MAIL inside of a transaction");
    }
    if (++state.transactions > plan_.settings.queue.transactions_per_connection) {
        journal_.fault("a connection is used for too many transactions");
    }
    end_transaction(state);
    state.message.reverse_path = path_of(line);
    state.message.eight_bit = hop_.eight_bit && state.extended;
    state.message.connection = connection.id();
    if (odds(hop_.odds.later / 2)) {
        answer(connection, "451 4.3.0 not now");
    } else {
        // A MAIL refused for good is said at each of its recipients: see on_recipient().
        state.in_transaction = true;
        answer(connection, "250 2.1.0 ok");
    }
}

void NextHop::on_recipient(Connection& connection, State& state, const std::string& line) {
    if (mishap(connection, state)) {
        return;
    }
    const std::string path = path_of(line);
    if (!state.in_transaction) {
        answer(connection, "503 5.5.1 no MAIL");
        return;
    }
    oracle_.offered(path, sent_at(state));
    if (++state.offered > plan_.settings.queue.recipients_per_transaction) {
        journal_.fault("a transaction has too many recipients");
    }
    const auto once = std::ranges::find(once_, path);
    if (once != once_.end()) {
        once_.erase(once);
        answer(connection, "450 4.2.0 later");
    } else if (std::ranges::find(always_, path) != always_.end()) {
        answer(connection, "450 4.2.1 never today");
    } else if (!state.message.recipients.empty() && odds(hop_.odds.too_many)) {
        answer(connection, "452 4.5.3 too many recipients");
    } else if (odds(hop_.odds.later)) {
        answer(connection, "450 4.2.0 later");
    } else if (odds(hop_.odds.never)) {
        never(connection, {path}, "550 5.1.1 no such user");
    } else {
        state.message.recipients.push_back(path);
        answer(connection, "250 2.1.5 ok");
    }
}

void NextHop::on_data(Connection& connection, State& state) {
    if (mishap(connection, state)) {
        return;
    }
    if (!state.in_transaction || state.message.recipients.empty()) {
        answer(connection, "554 5.5.1 no recipients");
    } else if (odds(hop_.odds.later / 3)) {
        answer(connection, "451 4.3.0 no data now");
    } else if (odds(hop_.odds.never / 3)) {
        never(connection, state.message.recipients, "554 5.6.0 no data ever");
    } else {
        begin_content(state);
        state.phase = Phase::data;
        label(connection, "out: content");
        answer(connection, "354 go on");
    }
}

void NextHop::begin_content(State& state) {
    state.message.content.clear();
    state.chunk_refused = false;
    state.cut_at = odds(hop_.odds.close_inside) ? 1 + prng_.below(3000) : 0;
}

bool NextHop::take_data(Connection& connection, State& state) {
    std::string& input = connection.received();
    const std::size_t cut_at = state.cut_at > 0 ? state.cut_at : SIZE_MAX;
    std::size_t at = 0;
    bool ended = false;
    while (!ended && state.message.content.size() < cut_at) {
        const std::size_t end = input.find("\r\n", at);
        if (end == std::string::npos) {
            break;
        }
        std::string_view line = std::string_view(input).substr(at, end + 2 - at);
        at = end + 2;
        ended = line == ".\r\n";
        if (!ended && line.starts_with('.')) {
            if (!line.starts_with("..")) {
                journal_.fault("a next hop is sent a line with a dot that is not stuffed");
            }
            line.remove_prefix(1);
        }
        if (!ended) {
            state.message.content += line;
        }
    }
    input.erase(0, at);
    state.read += at;
    if (ended) {
        state.phase = Phase::command;
        end_content(connection, state);
    } else if (state.message.content.size() >= cut_at) {
        close(connection, state);
    }
    return ended;
}

bool NextHop::take_chunk(Connection& connection, State& state) {
    std::string& input = connection.received();
    const auto size = std::min<std::uint64_t>(input.size(), state.chunk_left);
    state.message.content += input.substr(0, size);
    input.erase(0, size);
    state.read += size;
    state.chunk_left -= size;
    if (state.cut_at > 0 && state.message.content.size() >= state.cut_at) {
        close(connection, state);
        return false;
    }
    if (state.chunk_left > 0) {
        return false;
    }
    state.phase = Phase::command;
    const bool in_vain = !state.in_transaction || state.message.recipients.empty();
    if (in_vain || state.chunk_refused) {
        answer(connection, "503 5.5.1 no recipients, or refused before");
    } else if (state.last_chunk) {
        end_content(connection, state);
        return true;
    } else if (odds(hop_.odds.later / 3)) {
        state.chunk_refused = true;
        answer(connection, "451 4.3.0 no chunk now");
    } else {
        answer(connection, "250 2.0.0 chunk taken");
    }
    if (state.last_chunk) {
        end_transaction(state);
    }
    return true;
}

// --- the answer that decides ---

void NextHop::end_content(Connection& connection, State& state) {
    label(connection, "out: answer");
    Given message = std::exchange(state.message, {});
    message.sent = sent_at(state);
    state.in_transaction = false;
    state.offered = 0;
    oracle_.given(message);
    if (!odds(hop_.odds.slow)) {
        decide(connection, state, message);
        return;
    }
    const base::Duration delay =
        world_.draw({milliseconds(1), odds(hop_.odds.too_slow) ? seconds(90) : seconds(10)});
    state.busy = true;
    world_.after(delay, "hop.decides", [this, alive = alive_, id = connection.id(), message] {
        if (!*alive) {
            return;
        }
        Connection* later = peer_.find(id);
        if (later == nullptr || state_of(*later)->phase == Phase::silent) {
            journal_.note("hop " + hop_.address + " took a message, and nobody is there to tell");
            oracle_.taken(message, true);
            return;
        }
        state_of(*later)->busy = false;
        decide(*later, *state_of(*later), message);
        work(id);
    });
}

void NextHop::decide(Connection& connection, State& state, const Given& message) {
    if (mishap(connection, state)) {
        return;
    }
    if (odds(hop_.odds.later)) {
        answer(connection, "452 4.3.1 no room");
    } else if (odds(hop_.odds.never)) {
        never(connection, message.recipients, "554 5.6.0 not this message");
    } else if (odds(hop_.odds.lost_answer)) {
        note(connection, "takes it, and does not say so");
        oracle_.taken(message, true);
        close(connection, state);
    } else {
        oracle_.taken(message, false);
        state.given = true;
        answer(connection, "250 2.0.0 taken");
        if (on_taken) {
            on_taken();
        }
    }
}

void NextHop::end_transaction(State& state) {
    state.message = {};
    state.in_transaction = false;
    state.offered = 0;
    state.chunk_refused = false;
}

}  // namespace sim::relay
