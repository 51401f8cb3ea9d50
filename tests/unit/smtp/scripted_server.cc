#include "unit/smtp/scripted_server.h"

#include <algorithm>
#include <memory>

namespace smtp::test {
namespace {

bool is_success(std::string_view reply) {
    return reply.starts_with('2');
}

}  // namespace

void ScriptedServer::hook_up() {
    peer_.on_connect = [this](sim::Connection& connection) {
        connection.data = std::make_shared<State>();
        accepted_.push_back(connection.id());
        if (peer_.connections() > connections_max) {
            connection.send("421 4.7.0 too many connections\r\n");
            connection.close();
        } else if (greeting.starts_with("!close")) {
            connection.send(greeting.substr(6));
            connection.close();
        } else {
            connection.send(greeting);
        }
    };
    peer_.on_bytes = [this](sim::Connection& connection, std::string_view bytes) {
        pieces.emplace_back(bytes);
        work(connection);
    };
}

void ScriptedServer::close_connections() {
    for (const sim::EndpointId id : accepted_) {
        if (sim::Connection* connection = peer_.find(id)) {
            connection->close();
        }
    }
    accepted_.clear();
}

void ScriptedServer::work(sim::Connection& connection) {
    const auto state = std::any_cast<std::shared_ptr<State>>(connection.data);
    bool more = true;
    while (more) {
        if (state->in_data) {
            more = take_data(connection, *state);
        } else if (state->in_chunk) {
            more = take_chunk(connection, *state);
        } else {
            more = take_line(connection, *state);
        }
    }
}

bool ScriptedServer::answer(sim::Connection& connection, const std::string& line, std::string usual,
                            State& state) {
    std::string text = reply ? reply(line) : "";
    if (text.empty()) {
        text = std::move(usual);
    }
    if (text.starts_with("!silent")) {
        connection.pause();
        return false;
    }
    if (text.starts_with("!close")) {
        connection.send(text.substr(6));
        connection.close();
        return false;
    }
    const bool content_ends = line == "." || (line.starts_with("BDAT") && state.last_chunk);
    if (line.starts_with("MAIL") && is_success(text)) {
        state.mail = true;
        state.message = {.mail_line = line, .recipients = {}, .content = {}};
    } else if (line.starts_with("RCPT") && is_success(text)) {
        state.message.recipients.push_back(line.substr(8));
    } else if (line == "DATA" && text.starts_with("354")) {
        state.in_data = true;
    } else if (content_ends) {
        if (is_success(text)) {
            taken.push_back(state.message);
        }
        state.mail = false;
        state.message = {};
    } else if (line == "RSET") {
        state.mail = false;
        state.message = {};
    }
    connection.send(text);
    if (line == "QUIT") {
        connection.close();
        return false;
    }
    return true;
}

bool ScriptedServer::take_line(sim::Connection& connection, State& state) {
    std::string& input = connection.received();
    const std::size_t end = input.find("\r\n");
    if (end == std::string::npos) {
        return false;
    }
    const std::string line = input.substr(0, end);
    input.erase(0, end + 2);
    lines.push_back(line);
    if (line.starts_with("BDAT ")) {
        state.in_chunk = true;
        state.chunk_line = line;
        state.last_chunk = line.ends_with(" LAST");
        state.chunk_left = std::stoull(line.substr(5));
        return true;
    }
    return answer(connection, line, usual_reply(state, line), state);
}

bool ScriptedServer::take_data(sim::Connection& connection, State& state) {
    std::string& input = connection.received();
    const std::size_t end = input.find("\r\n");
    if (end == std::string::npos) {
        return false;
    }
    const std::string line = input.substr(0, end);
    input.erase(0, end + 2);
    if (line != ".") {
        state.message.content += (line.starts_with('.') ? line.substr(1) : line) + "\r\n";
        return true;
    }
    state.in_data = false;
    return answer(connection, line, usual_end(state), state);
}

bool ScriptedServer::take_chunk(sim::Connection& connection, State& state) {
    std::string& input = connection.received();
    const auto size = std::min<std::uint64_t>(input.size(), state.chunk_left);
    state.message.content += input.substr(0, size);
    state.message.by_chunks = true;
    input.erase(0, size);
    state.chunk_left -= size;
    if (state.chunk_left > 0) {
        return false;
    }
    state.in_chunk = false;
    const std::string usual = state.last_chunk ? usual_end(state) : "250 2.0.0 chunk taken\r\n";
    return answer(connection, state.chunk_line, usual, state);
}

std::string ScriptedServer::usual_reply(State& state, const std::string& line) {
    if (line.starts_with("EHLO")) {
        std::string text = extensions.empty() ? "250 peer.test\r\n" : "250-peer.test\r\n";
        for (std::size_t i = 0; i < extensions.size(); ++i) {
            text += (i + 1 < extensions.size() ? "250-" : "250 ") + extensions[i] + "\r\n";
        }
        return text;
    }
    if (line.starts_with("RCPT")) {
        return state.mail ? "250 2.1.5 recipient ok\r\n" : "503 5.5.1 no MAIL\r\n";
    }
    if (line == "DATA") {
        return state.message.recipients.empty() ? "554 5.5.1 no recipients\r\n" : "354 go on\r\n";
    }
    if (line == "QUIT") {
        return "221 2.0.0 bye\r\n";
    }
    return "250 2.0.0 ok\r\n";
}

std::string ScriptedServer::usual_end(State& state) {
    return state.message.recipients.empty() ? "554 5.5.1 no recipients\r\n" : "250 2.0.0 taken\r\n";
}

}  // namespace smtp::test
