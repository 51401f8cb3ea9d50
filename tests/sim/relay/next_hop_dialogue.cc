// What a next hop says to each command, and to content.
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "sim/relay/next_hop.h"

namespace sim::relay {
namespace {

// The path of "MAIL FROM:<…> …" and "RCPT TO:<…>".
std::string path_of(std::string_view line) {
    const std::size_t begin = line.find('<');
    const std::size_t end = line.find('>');
    return begin == std::string_view::npos || end == std::string_view::npos
               ? std::string()
               : std::string(line.substr(begin + 1, end - begin - 1));
}

}  // namespace

void NextHop::command(Connection& connection, State& state, const std::string& line) {
    if (line.starts_with("QUIT")) {
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
        reply += hop_.dsn ? "\r\n250-DSN" : "";
        reply += "\r\n250-SIZE " + std::to_string(hop_.size_bytes_max);
        reply += "\r\n250 ENHANCEDSTATUSCODES";
    }
    answer(connection, reply);
}

void NextHop::on_mail(Connection& connection, State& state, const std::string& line) {
    if (mishap(connection, state)) {
        return;
    }
    if (state.in_transaction) {
        journal_.fault("a next hop is sent a MAIL inside of a transaction");
    }
    if (++state.transactions > plan_.settings.queue.transactions_per_connection) {
        journal_.fault("a connection is used for too many transactions");
    }
    check_parameters(state, line);
    end_transaction(state);
    state.message.reverse_path = path_of(line);
    state.refused_from.clear();
    state.message.eight_bit = hop_.eight_bit && state.extended;
    state.message.dsn = hop_.dsn && state.extended;
    oracle_.mail_parameters(state.message.reverse_path, line, state.message.dsn);
    state.message.connection = connection.id();
    if (odds(hop_.odds.later / 2)) {
        answer(connection, "451 4.3.0 not now");
    } else if (!state.message.reverse_path.empty() && odds(hop_.odds.never / 3)) {
        world_.count(Fault::peer, "hop: 5xx to MAIL");
        const std::string reply = "550 5.7.1 nothing from you";
        oracle_.never_from(state.message.reverse_path, reply);
        state.refused_from = state.message.reverse_path;
        answer(connection, reply);
    } else {
        state.in_transaction = true;
        answer(connection, "250 2.1.0 ok");
    }
}

// What it does not offer is not used, nor its limit passed over.
void NextHop::check_parameters(const State& state, std::string_view line) {
    const std::string_view parameters = line.substr(line.find('>') + 1);
    if (parameters.contains("BODY=8BITMIME") && !(hop_.eight_bit && state.extended)) {
        journal_.fault("a next hop without 8BITMIME is sent: " + std::string(line));
    }
    if (!state.extended && !parameters.empty()) {
        journal_.fault("a next hop that was greeted with HELO is sent: " + std::string(line));
    }
    const std::size_t at = parameters.find("SIZE=");
    if (at != std::string_view::npos && hop_.size_bytes_max > 0 &&
        std::strtoull(parameters.data() + at + 5, nullptr, 10) > hop_.size_bytes_max) {
        journal_.fault("a next hop with a limit of size is sent: " + std::string(line));
    }
}

void NextHop::on_recipient(Connection& connection, State& state, const std::string& line) {
    if (!state.in_transaction) {
        answer(connection, "503 5.5.1 no MAIL");
        return;
    }
    if (mishap(connection, state)) {
        return;
    }
    const std::string path = path_of(line);
    oracle_.offered(path, sent_at(state));
    oracle_.recipient_parameters(path, line, state.message.dsn);
    if (++state.offered > plan_.settings.queue.recipients_per_transaction) {
        journal_.fault("a transaction has too many recipients");
    }
    const auto once = std::ranges::find(once_, path);
    if (once != once_.end()) {
        once_.erase(once);
        answer(connection, "450 4.2.0 later");
    } else if (std::ranges::find(always_, path) != always_.end()) {
        answer(connection, "450 4.2.1 never today");
    } else if (std::ranges::find(for_good_, path) != for_good_.end()) {
        never(connection, {path}, "550 5.1.1 no such user");
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
    } else if (odds(hop_.odds.chunk)) {
        return refuse_chunk(connection, state);
    } else {
        answer(connection, "250 2.0.0 chunk taken");
    }
    if (state.last_chunk) {
        end_transaction(state);
    }
    return true;
}

// A chunk that is not the last. True when the connection goes on.
bool NextHop::refuse_chunk(Connection& connection, State& state) {
    state.chunk_refused = true;
    switch (prng_.below(4)) {
        case 0:
            world_.count(Fault::peer, "hop: 4xx to a middle chunk");
            answer(connection, "451 4.3.0 no chunk now");
            return true;
        case 1:
            world_.count(Fault::peer, "hop: 5xx to a middle chunk");
            never(connection, state.message.recipients, "554 5.6.0 no chunk ever");
            return true;
        case 2:
            world_.count(Fault::peer, "hop: closes at a middle chunk");
            answer(connection, "421 4.3.2 going down");
            close(connection, state);
            return false;
        default:
            world_.count(Fault::peer, "hop: closes at a middle chunk");
            close(connection, state);
            return false;
    }
}

// --- the answer that decides ---

void NextHop::end_content(Connection& connection, State& state) {
    Given message = std::exchange(state.message, {});
    message.sent = sent_at(state);
    state.in_transaction = false;
    state.offered = 0;
    oracle_.given(message);
    if (!odds(hop_.odds.slow_end)) {
        decide(connection, state, message);
        return;
    }
    think(connection, state, question_of_content(message.sent), [this, message](Connection* later) {
        if (later == nullptr) {
            journal_.note("hop " + hop_.address + " took a message, and nobody is there to tell");
            oracle_.taken(message, true);
            return;
        }
        const EndpointId id = later->id();
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
