#include "sim/relay/client.h"

#include <algorithm>

namespace sim::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kWindow = 12;  // commands without a reply
constexpr std::uint32_t kTriesMax = 8;
// A client waits so long for a reply.
constexpr base::Duration kPatience = seconds(100);
// What is due at a time may be seen so much later: latencies, an accept that was put off.
constexpr base::Duration kSlack = seconds(6);
// A session that ends reads on for a while, so that its last reply is not lost.
constexpr base::Duration kLinger = seconds(5);

std::string in_words(std::string_view bytes) {
    std::string text(bytes.substr(0, std::min<std::size_t>(bytes.find('\r'), 70)));
    std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
    return text;
}

}  // namespace

Client::Client(const ClientHome& home, std::uint64_t number, std::uint64_t seed)
    : home_(home), number_(number), prng_(seed), peer_(home.world) {
    const ClientOdds& odds_of = home_.plan.client;
    pipelining_ = odds(odds_of.pipelining);
    stranger_ = odds(odds_of.stranger);
    slow_ = odds(odds_of.slow);
    write_script();
    peer_.on_connect = [this](Connection&) {
        connected_ = true;
        awaited_.push_back({.kind = Kind::greeting});
    };
    peer_.on_bytes = [this](Connection& connection, std::string_view) { read(connection); };
    peer_.on_close = [this](Connection& connection, int error) {
        if (error == 0) {
            connection.close();
        }
        end(error);
    };
}

// --- sending ---

void Client::start() {
    connect();
}

void Client::connect() {
    ++tries_;
    disturbances_ = home_.disturbances;
    heard_ = said_ = home_.world.now();
    errors_ = 0;
    // Each session has an address of its own, so that what the relay sends can be told apart.
    const std::uint64_t host = number_ * kTriesMax + tries_;
    source_ = std::string(stranger_ ? "192.168." : "10.200.") + std::to_string(host / 250) + "." +
              std::to_string(1 + host % 250) + ":4000";
    id_ = peer_.connect(kRelayAddress, source_).id();
}

void Client::go_on() {
    if (step_planned_ || over_ || left_ || at_ >= script_.size()) {
        return;
    }
    step_planned_ = true;
    const base::Duration delay =
        slow_ && !home_.calm
            ? home_.world.draw({milliseconds(1), prng_.chance(1, 20) ? seconds(20) : seconds(1)})
            : home_.world.draw({std::chrono::microseconds(1), milliseconds(1)});
    home_.world.after(delay, "client.step", [this, alive = alive_] {
        if (*alive) {
            step_planned_ = false;
            step();
        }
    });
}

bool Client::may_send(const Action& action) const {
    if (!connected_ || (!awaited_.empty() && awaited_.front().kind <= Kind::hello)) {
        return false;
    }
    if (action.kind == Kind::leave) {
        return true;
    }
    if (awaited_.empty()) {
        return true;
    }
    // The commands behind which nothing may be sent until they are answered.
    return pipelining_ && awaited_.size() < kWindow && awaited_.back().kind != Kind::data &&
           awaited_.back().kind != Kind::hello;
}

void Client::step() {
    Connection* connection = peer_.find(id_);
    if (connection == nullptr || over_ || left_) {
        return;
    }
    if (!sending_.empty()) {
        const std::size_t size =
            std::min<std::size_t>(sending_.size(), 1 + prng_.below(home_.calm ? 100'000 : 3000));
        const std::string piece = sending_.substr(0, size);
        sending_.erase(0, size);
        if (sending_.empty()) {
            const Action& whole = script_[at_ - 1];
            if (whole.last) {
                letters_[whole.letter].ended = true;
                home_.oracle.end_sent(letter(whole.letter).number);
            }
        }
        connection->send(piece);
        heard_ = said_ = home_.world.now();
        go_on();
        return;
    }
    if (at_ >= script_.size() || !may_send(script_[at_])) {
        return;
    }
    Action& action = script_[at_++];
    send(action);
    go_on();
}

void Client::send(Action& action) {
    Connection* connection = peer_.find(id_);
    Sent* sent = action.letter < letters_.size() ? &letters_[action.letter] : nullptr;
    if (action.kind == Kind::leave) {
        leave(action.leave);
        return;
    }
    if (action.kind == Kind::content && !sent->data_open) {
        home_.oracle.withdrawn(sent->letter.number);
        return;  // DATA was refused
    }
    home_.journal.note("client " + std::to_string(number_) + " > " + in_words(action.bytes) +
                       (action.kind == Kind::content || action.kind == Kind::chunk
                            ? " … " + std::to_string(action.bytes.size()) + " bytes" +
                                  (action.last ? ", the end of letter " : " of letter ") +
                                  std::to_string(sent->letter.number)
                            : ""));
    if (action.kind == Kind::mail) {
        home_.oracle.composing(sent->letter, source_);
    }
    if (action.kind == Kind::reset) {
        home_.oracle.withdrawn(sent->letter.number);
    }
    heard_ = home_.world.now();
    said_ = action.bytes.empty() ? said_ : heard_;
    if (action.kind != Kind::content || action.last) {
        Action awaited = action;
        awaited.bytes = in_words(action.bytes);
        awaited_.push_back(std::move(awaited));
    }
    const bool pieces = slow_ && !home_.calm && action.bytes.size() > 200;
    if (pieces) {
        sending_ = action.bytes;
        return;
    }
    if (action.last) {
        sent->ended = true;
        home_.oracle.end_sent(sent->letter.number);
    }
    connection->send(action.bytes);
}

void Client::leave(Leave how) {
    constexpr const char* kNames[] = {"closes", "sends its FIN", "resets", "falls silent",
                                      "falls silent and deaf"};
    home_.journal.note("client " + std::to_string(number_) + " " +
                       kNames[static_cast<std::size_t>(how)]);
    Connection* connection = peer_.find(id_);
    left_ = true;
    switch (how) {
        case Leave::close:
            connection->close();
            end(0);
            return;
        case Leave::finish:
            connection->finish();
            return;  // and hears what is still said
        case Leave::reset:
            connection->reset();
            end(0);
            return;
        case Leave::silence:
            return;
        case Leave::deaf:
            deaf_ = true;
            connection->pause();
            return;
    }
}

// --- replies ---

void Client::read(Connection& connection) {
    std::string& input = connection.received();
    while (!over_) {
        const std::size_t end = input.find("\r\n");
        if (end == std::string::npos) {
            return;
        }
        const std::string line = input.substr(0, end);
        input.erase(0, end + 2);
        reply_ += line + "\n";
        if (line.size() < 4 || line[3] != '-') {
            take_reply(std::exchange(reply_, {}));
        }
    }
}

bool Client::fits(const Action& awaited, std::string_view reply) const {
    const bool ends = disturbed() && reply.starts_with('4');
    const bool full = home_.plan.disk_may_be_full() && reply.starts_with("452 4.3.1 ");
    const bool busy = home_.plan.store_may_be_busy() && reply.starts_with("451 4.3.2 ");
    const smtp::Limits& limits = home_.plan.settings.listeners.front().session.limits;
    const auto is = [&](std::string_view begin) { return reply.starts_with(begin); };
    const Sent* sent = awaited.letter < letters_.size() ? &letters_[awaited.letter] : nullptr;
    switch (awaited.kind) {
        case Kind::greeting:
            return is("220 relay.test ");
        case Kind::hello:
            return is("250-relay.test") || is("250 relay.test");
        case Kind::mail:
            return is("250 2.1.0 ") || full || ends;
        case Kind::rcpt:
            return is("250 2.1.5 ") || (sent->mail_refused && is("503 ")) ||
                   (sent->letter.recipients.size() > limits.recipients_max && is("452 4.5.3 "));
        case Kind::data:
            return is("354 ") || busy || ends || (sent->mail_refused && is("503 "));
        case Kind::content:
        case Kind::chunk: {
            const bool too_large = sent->letter.content.size() > limits.message_bytes_max;
            if (awaited.last && is("250 2.0.0 Ok: queued as ")) {
                return !too_large;
            }
            return (!awaited.last && is("250 2.0.0 Ok: ") && reply.find("octets") != reply.npos) ||
                   (too_large && is("552 ")) || full || busy || ends ||
                   ((sent->mail_refused || sent->refused) && is("5"));
        }
        case Kind::reset:
            return is("250 2.0.0 Ok");
        case Kind::noise:
            return is(awaited.fits) || is("50");
        case Kind::quit:
            return is("221 ");
        case Kind::leave:
            return false;
    }
    RP_PANIC("no such Kind");
}

bool Client::may_be_dismissed(std::string_view reply) const {
    const smtp::Limits& limits = home_.plan.settings.listeners.front().session.limits;
    if (reply.contains("Too many connections")) {
        return !greeted_ && !awaited_.empty();  // whether there were: see Simulation
    }
    if (reply.contains("Timeout exceeded")) {
        const bool late = home_.world.now() >= said_ + limits.command_timeout;
        if (late) {
            home_.world.count(Fault::peer, "client: the session timed out");
        }
        return late || home_.plan.on(Fault::stall);  // what was said in time may be under way yet
    }
    if (reply.contains("Too many errors")) {
        return errors_ > limits.errors_max;
    }
    return disturbed();
}

void Client::take_reply(const std::string& reply) {
    heard_ = home_.world.now();
    home_.journal.note("client " + std::to_string(number_) + " < " +
                       reply.substr(0, reply.find('\n')));
    if (dismissed_) {
        home_.journal.fault("client " + std::to_string(number_) +
                            " hears more behind a last reply: " + reply);
        return;
    }
    errors_ += reply.starts_with('4') || reply.starts_with('5') ? 1 : 0;
    if (reply.starts_with("421 ")) {
        if (!may_be_dismissed(reply)) {
            home_.journal.fault(
                "client " + std::to_string(number_) +
                " is dismissed without a reason: " + reply.substr(0, reply.find('\n')));
        }
        dismissed_ = true;
        return;
    }
    if (awaited_.empty()) {
        home_.journal.fault("client " + std::to_string(number_) +
                            " hears what it did not ask for: " + reply);
        return;
    }
    const Action awaited = std::move(awaited_.front());
    awaited_.pop_front();
    greeted_ = true;
    if (!fits(awaited, reply)) {
        home_.journal.fault("client " + std::to_string(number_) +
                            " asked: " + in_words(awaited.bytes) + " and was answered: " + reply);
    }
    answered(awaited, reply);
    go_on();
}

void Client::answered(const Action& awaited, std::string_view reply) {
    Sent* sent = awaited.letter < letters_.size() ? &letters_[awaited.letter] : nullptr;
    const bool good = reply.starts_with('2');
    switch (awaited.kind) {
        case Kind::mail:
            sent->mail_refused = !good;
            break;
        case Kind::rcpt:
            home_.oracle.recipient_answered(sent->letter.number,
                                            sent->letter.recipients[awaited.recipient], good);
            break;
        case Kind::data:
            sent->data_open = reply.starts_with('3');
            if (!sent->data_open) {
                // It stays open at the relay; the next message would be nested.
                script_.insert(
                    script_.begin() + static_cast<std::ptrdiff_t>(at_) + 1,
                    {.kind = Kind::reset, .bytes = "RSET\r\n", .letter = awaited.letter});
            }
            break;
        case Kind::content:
        case Kind::chunk:
            if (!awaited.last) {
                sent->refused = sent->refused || !good;
                break;
            }
            if (good) {
                constexpr std::string_view kQueued = "queued as ";
                const std::size_t at = reply.find(kQueued) + kQueued.size();
                home_.oracle.acknowledged(sent->letter.number,
                                          std::string(reply.substr(at, mail::QueueId::kTextSize)));
            } else {
                home_.oracle.refused(sent->letter.number);
            }
            break;
        case Kind::quit:
            dismissed_ = true;
            break;
        default:
            break;
    }
}

// --- the end ---

void Client::end(int error) {
    if (over_) {
        return;
    }
    home_.journal.note("client " + std::to_string(number_) + " ends, error " +
                       std::to_string(error));
    if (!greeted_ && tries_ < kTriesMax) {
        // The relay is down, or has no session free, or the connection failed: later again.
        connected_ = dismissed_ = false;
        awaited_.clear();
        reply_.clear();
        home_.world.after(home_.world.draw({milliseconds(100), seconds(4)}), "client.again",
                          [this, alive = alive_] {
                              if (*alive && !over_) {
                                  connect();
                              }
                          });
        return;
    }
    const bool answers_due = !awaited_.empty() && !dismissed_ && !left_;
    if (answers_due && !disturbed() && !network_breaks() && connected_) {
        home_.journal.fault("client " + std::to_string(number_) + " loses its connection (error " +
                            std::to_string(error) + ") while it waits for an answer to: " +
                            in_words(awaited_.front().bytes));
    }
    close_books();
    over_ = true;
}

void Client::close_books() {
    for (const Action& action : script_) {
        if (action.kind == Kind::mail && !letters_[action.letter].ended) {
            const Letter& unsent = letter(action.letter);
            const bool begun = static_cast<std::size_t>(&action - script_.data()) < at_;
            if (begun) {
                home_.oracle.withdrawn(unsent.number);
            }
        }
    }
}

void Client::look_at_clock() {
    // Behind its last reply it waits for the end of the connection, which a power cut may keep from
    // it.
    if (over_) {
        return;
    }
    if (left_) {
        look_at_silence();
        return;
    }
    if (home_.world.now() < heard_ + kPatience || !connected_ ||
        (awaited_.empty() && !dismissed_)) {
        return;
    }
    if (!disturbed() && !network_breaks()) {
        home_.journal.fault(
            "client " + std::to_string(number_) + " waits in vain for " +
            (dismissed_ ? "the end" : "an answer to: " + in_words(awaited_.front().bytes)));
    }
    give_up();
}

// It has left without a word, and waits for the relay to let go.
void Client::look_at_silence() {
    if (peer_.find(id_) == nullptr) {
        return;
    }
    if (home_.world.network().is_left(id_)) {
        home_.world.count(Fault::peer, "client: a silent one was let go");
        give_up();
        return;
    }
    const smtp::Limits& limits = home_.plan.settings.listeners.front().session.limits;
    base::Duration most = limits.command_timeout + kLinger + kSlack;
    most += deaf_ ? limits.reply_timeout : base::Duration::zero();
    most += network_breaks() ? 2 * kStallMost : base::Duration::zero();
    // What it had sent before may have come slowly.
    const base::MonoTime spoke = std::max(heard_, home_.world.network().last_taken(id_));
    if (home_.world.now() < spoke + most) {
        return;
    }
    if (!disturbed()) {
        home_.journal.fault("the relay keeps the session of client " + std::to_string(number_) +
                            ", which is silent");
    }
    give_up();
}

void Client::give_up() {
    if (Connection* connection = peer_.find(id_)) {
        connection->reset();
    }
    greeted_ = true;
    left_ = true;
    end(0);
}

bool Client::awaits_ack() const {
    return !over_ &&
           std::ranges::any_of(awaited_, [](const Action& action) { return action.last; });
}

std::string Client::describe() const {
    return "client " + std::to_string(number_) + " at step " + std::to_string(at_) + " of " +
           std::to_string(script_.size()) + ", waiting for " + std::to_string(awaited_.size()) +
           (awaited_.empty() ? "" : " answers, first to " + in_words(awaited_.front().bytes));
}

}  // namespace sim::relay
