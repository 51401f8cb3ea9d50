// NextHop: a scripted SMTP server that the relay delivers to. It takes or refuses, at any step, by
// chance; it goes slow, goes silent, talks nonsense, goes away, and sometimes takes a message
// without saying so. It tells the oracle all that it is offered and given, and watches that the
// relay keeps to what it offers, and waits for each answer as long as its limits say: not less, and
// not more.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "sim/peer.h"
#include "sim/relay/journal.h"
#include "sim/relay/oracle.h"
#include "sim/relay/plan.h"
#include "sim/relay/program.h"
#include "sim/world.h"

namespace sim::relay {

class NextHop {
  public:
    NextHop(World& world, const Plan& plan, const HopPlan& hop, Oracle& oracle, Journal& journal,
            const Program& program, std::uint64_t seed);
    NextHop(const NextHop&) = delete;
    NextHop& operator=(const NextHop&) = delete;
    ~NextHop() { *alive_ = false; }

    void listen();
    void stop_listening();
    [[nodiscard]] bool listens() const { return listens_; }
    // From now on it does what it is asked, should it `listen`; else it is away. Whom it let wait
    // for ever it lets wait.
    void calm_down(bool listens);
    // Answers the next offer of a path with 450, or each, for a test of the waits behind it.
    void refuse_once(const std::string& path) { once_.push_back(path); }
    void refuse_always(const std::string& path) { always_.push_back(path); }
    void refuse_for_good(const std::string& path) { for_good_.push_back(path); }  // 550

    // A message was given and its answer has not left, or has just.
    [[nodiscard]] bool answer_due() const;
    // Looked at whenever a connection came; for limits.
    std::function<void()> on_accept;
    std::function<void()> on_taken;  // a message, and the 250 is on its way

  private:
    enum class Phase : std::uint8_t { command, data, chunk, silent };
    // What the relay waits for, and how long it may and must: it leaves no sooner than `least`
    // after `asked`, and no later than `most` after it is put.
    struct Question {
        const char* about = nullptr;  // nullptr: nothing
        base::Duration least{};
        base::Duration most{};
        base::MonoTime asked{};
    };
    struct State {
        Phase phase = Phase::command;
        bool busy = false;  // an answer is being thought about
        Question question;
        std::uint64_t disturbances = 0;
        bool excused = false;  // how long the relay waits here proves nothing
        Given message;
        std::string refused_from;  // the last MAIL, for good
        bool extended = false;     // greeted with EHLO
        bool in_transaction = false;
        bool given = false;  // behind a whole message, before the next command
        bool chunk_refused = false;
        bool last_chunk = false;
        std::uint64_t chunk_left = 0;
        std::uint32_t transactions = 0;
        std::uint32_t offered = 0;  // recipients, in this transaction
        std::uint64_t read = 0;     // bytes taken of the stream
        std::uint64_t cut_at = 0;   // of content: closes there; 0: not
        std::vector<std::pair<std::uint64_t, base::MonoTime>>
            sent;  // up to that byte, at that time
        std::uint64_t arrived = 0;
    };
    using StatePointer = std::shared_ptr<State>;

    void accepted(Connection& connection);
    // The relay has ended the connection, or it broke.
    void left(Connection& connection, State& state);
    void work(EndpointId id);
    [[nodiscard]] bool work_once(Connection& connection, State& state);
    [[nodiscard]] bool take_command(Connection& connection, State& state);
    [[nodiscard]] bool take_data(Connection& connection, State& state);
    [[nodiscard]] bool take_chunk(Connection& connection, State& state);
    void command(Connection& connection, State& state, const std::string& line);
    void on_hello(Connection& connection, State& state, const std::string& line);
    void on_mail(Connection& connection, State& state, const std::string& line);
    void check_parameters(const State& state, std::string_view line);
    void on_recipient(Connection& connection, State& state, const std::string& line);
    void on_data(Connection& connection, State& state);
    void begin_content(State& state);
    void end_content(Connection& connection, State& state);
    void decide(Connection& connection, State& state, const Given& message);
    void end_transaction(State& state);
    // Should it misbehave here? Then it has.
    [[nodiscard]] bool mishap(Connection& connection, State& state);
    void talk_nonsense(Connection& connection, State& state);
    [[nodiscard]] bool refuse_chunk(Connection& connection, State& state);
    // --- patience: next_hop_patience.cc ---
    [[nodiscard]] Question question_of(const State& state, std::string_view line) const;
    [[nodiscard]] Question question_of_content(base::MonoTime asked) const;
    void put(Connection& connection, State& state, const Question& question);
    // Answers that question late, or never. nullptr: the connection is gone by then.
    using Answer = std::function<void(Connection* connection)>;
    void think(Connection& connection, State& state, const Question& question, Answer answer);
    [[nodiscard]] bool excused(const State& state) const;
    // The relay ends it: is that its right?
    void check_leaving(const State& state);
    void check_staying(EndpointId id, const Question& question);
    void answer(Connection& connection, const std::string& reply);
    void never(Connection& connection, const std::vector<std::string>& paths,
               const std::string& reply);
    void close(Connection& connection, State& state);
    void gone(Connection& connection, State& state);
    [[nodiscard]] base::MonoTime sent_at(const State& state) const;
    [[nodiscard]] bool odds(std::uint32_t per_thousand) {
        return !calm_ && per_thousand > 0 && prng_.chance(per_thousand, 1000);
    }
    void note(const Connection& connection, const std::string& text);
    static StatePointer state_of(Connection& connection) {
        return std::any_cast<StatePointer>(connection.data);
    }

    World& world_;
    const Plan& plan_;
    const HopPlan& hop_;
    Oracle& oracle_;
    Journal& journal_;
    const Program& program_;
    base::Prng prng_;
    sim::Peer peer_;
    std::vector<EndpointId> open_;
    std::vector<std::string> once_;
    std::vector<std::string> always_;
    std::vector<std::string> for_good_;
    bool listens_ = false;
    bool calm_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sim::relay
