// How long the relay waits for a next hop: both ends of it.
#include "sim/relay/next_hop.h"

namespace sim::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Between what a next hop sees and what the relay does lie latencies, and the pieces of one send.
constexpr base::Duration kTooEarly = seconds(1);
constexpr base::Duration kTooLate = seconds(3);
// One that is only slow answers before it is given up.
constexpr base::Duration kSlowMost = seconds(10);

}  // namespace

NextHop::Question NextHop::question_of(const State& state, std::string_view line) const {
    const smtp::Limits& limits = plan_.settings.queue.smtp;
    const base::MonoTime asked = sent_at(state);
    if (line.starts_with("EHLO") || line.starts_with("HELO")) {
        return {"EHLO or HELO", limits.helo_timeout, limits.helo_timeout, asked};
    }
    if (line.starts_with("QUIT")) {
        return {"QUIT", limits.quit_timeout, limits.quit_timeout, asked};
    }
    // The whole message may be behind it, which takes a while to be sent; then each answer is
    // waited for as the last one is.
    const base::Duration most = limits.block_timeout + limits.final_dot_timeout;
    if (line == "DATA") {
        return {"DATA", limits.data_timeout, most, asked};
    }
    if (line.starts_with("BDAT")) {
        return {"a chunk", limits.block_timeout, most, asked};
    }
    return {"the envelope", limits.mail_timeout, most, asked};
}

NextHop::Question NextHop::question_of_content(base::MonoTime asked) const {
    const base::Duration patience = plan_.settings.queue.smtp.final_dot_timeout;
    return {"the end of content", patience, patience, asked};
}

void NextHop::put(Connection& connection, State& state, const Question& question) {
    state.question = question;
    world_.after(question.most + kTooLate, "hop.wonders",
                 [this, alive = alive_, id = connection.id(), question] {
                     if (*alive) {
                         check_staying(id, question);
                     }
                 });
}

void NextHop::think(Connection& connection, State& state, const Question& question, Answer answer) {
    state.busy = true;
    put(connection, state, question);
    const bool too_slow = odds(hop_.odds.too_slow);
    if (too_slow && prng_.chance(1, 3)) {
        note(connection, std::string("will never answer to ") + question.about);
        return;
    }
    const base::Duration most = too_slow ? seconds(90) : std::min(kSlowMost, question.least / 2);
    world_.after(world_.draw({milliseconds(1), most}), "hop.answers",
                 [this, alive = alive_, id = connection.id(), answer = std::move(answer)] {
                     if (!*alive) {
                         return;
                     }
                     Connection* later = peer_.find(id);
                     if (later == nullptr || state_of(*later)->phase == Phase::silent) {
                         answer(nullptr);
                         return;
                     }
                     state_of(*later)->question = {};
                     state_of(*later)->busy = false;
                     answer(later);
                 });
}

bool NextHop::excused(const State& state) const {
    // While the envelope is talked over, a message that cannot be read ends its connection too.
    const bool reads = state.question.most > state.question.least && plan_.on(Fault::read_error);
    return program_.stage() != Program::Stage::up ||
           state.disturbances != program_.disturbances() || state.excused || reads;
}

void NextHop::check_leaving(const State& state) {
    const Question& question = state.question;
    if (question.about == nullptr) {
        return;
    }
    const base::Duration waited = world_.now() - question.asked;
    if (waited >= question.least && question.least > base::Duration::zero()) {
        world_.count(Fault::peer, std::string("hop: was left, waiting for ") + question.about);
    }
    if (waited + kTooEarly < question.least && !excused(state)) {
        journal_.fault("a next hop was left " + std::to_string(waited / milliseconds(1)) +
                       " ms after it was asked, while it thought about " + question.about);
    }
}

void NextHop::check_staying(EndpointId id, const Question& question) {
    Connection* connection = peer_.find(id);
    if (connection == nullptr) {
        return;
    }
    const State& state = *state_of(*connection);
    const bool same =
        state.question.about == question.about && state.question.asked == question.asked;
    if (same && !excused(state)) {
        journal_.fault(std::string("the relay waits too long for an answer to ") + question.about);
    }
}

}  // namespace sim::relay
