// Client: one scripted session with the relay, good or bad. It keeps to what a client may expect:
// each command gets one reply, in order, of a kind that fits it; whatever else comes is a
// violation. It tells the oracle what it sends and what it is told.
//
// The script is made at the start; what depends on replies (no content without a 354) is decided
// as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "sim/peer.h"
#include "sim/relay/journal.h"
#include "sim/relay/letter.h"
#include "sim/relay/oracle.h"
#include "sim/relay/plan.h"
#include "sim/world.h"

namespace sim::relay {

// What all clients of a run share.
struct ClientHome {
    World& world;
    Oracle& oracle;
    Journal& journal;
    const Plan& plan;
    std::uint64_t& next_letter;
    // Counts up whenever the relay's program ends or begins to: what breaks then is no violation.
    const std::uint64_t& disturbances;
    // The faults have stopped.
    const bool& calm;
};

class Client {
  public:
    // `number` makes its address.
    Client(const ClientHome& home, std::uint64_t number, std::uint64_t seed);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { *alive_ = false; }

    void start();
    [[nodiscard]] bool over() const { return over_; }
    // To be called now and then: it does not wait for ever, and nor may the relay.
    void look_at_clock();
    // Waits for the answer to a whole message.
    [[nodiscard]] bool awaits_ack() const;
    [[nodiscard]] std::string describe() const;

  private:
    enum class Kind : std::uint8_t {
        greeting,
        hello,
        mail,
        rcpt,
        data,
        content,
        chunk,
        reset,
        noise,
        quit,
        leave,  // without a word
    };
    // silence: it still reads; deaf: it does not.
    enum class Leave : std::uint8_t { close, finish, reset, silence, deaf };
    struct Action {
        Kind kind = Kind::noise;
        std::string bytes = {};
        std::size_t letter = 0;  // in letters_
        std::size_t recipient = 0;
        bool last = false;      // chunk, content: the message ends with it
        bool good = true;       // rcpt: is to be accepted
        const char* fits = "";  // noise: what its reply begins with
        Leave leave = Leave::close;
    };

    void write_script();
    void write_message(bool chunks);
    void write_noise();
    [[nodiscard]] Leave draw_leave();
    [[nodiscard]] bool odds(std::uint32_t per_thousand) {
        return per_thousand > 0 && prng_.chance(per_thousand, 1000);
    }

    void connect();
    void go_on();
    void step();
    [[nodiscard]] bool may_send(const Action& action) const;
    void send(Action& action);
    void leave(Leave how);
    void read(Connection& connection);
    void take_reply(const std::string& reply);
    [[nodiscard]] bool fits(const Action& awaited, std::string_view reply) const;
    // A 421, which may come in the place of any reply: the relay needs a reason.
    [[nodiscard]] bool may_be_dismissed(std::string_view reply) const;
    [[nodiscard]] bool disturbed() const { return home_.disturbances != disturbances_; }
    // The connection may break, or nothing may come over it, with nobody to blame.
    [[nodiscard]] bool network_breaks() const { return home_.plan.network_breaks(); }
    void look_at_silence();
    void give_up();
    void answered(const Action& awaited, std::string_view reply);
    void end(int error);
    void close_books();
    [[nodiscard]] const Letter& letter(std::size_t index) const { return letters_[index].letter; }

    struct Sent {
        Letter letter;
        bool mail_refused = false;
        bool data_open = false;
        bool refused = false;  // DATA, or a chunk
        bool ended = false;    // its end was sent
    };

    ClientHome home_;
    std::uint64_t number_;
    base::Prng prng_;
    sim::Peer peer_;
    EndpointId id_ = kNoEndpoint;
    std::string source_;
    bool pipelining_ = false;
    bool stranger_ = false;
    bool slow_ = false;
    std::vector<Action> script_;
    std::size_t at_ = 0;
    std::deque<Action> awaited_;
    std::vector<Sent> letters_;
    std::string reply_;         // lines of the one under way
    std::string sending_;       // of a slow client
    base::MonoTime heard_{};    // or said something: what it waits for is due from then on
    base::MonoTime said_{};     // its last bytes
    std::uint32_t errors_ = 0;  // 5xx and 4xx that it heard
    std::uint64_t disturbances_ = 0;
    bool step_planned_ = false;
    bool connected_ = false;
    bool greeted_ = false;
    bool left_ = false;       // by its own will
    bool deaf_ = false;       // … and reads nothing
    bool dismissed_ = false;  // 421 or 221
    bool over_ = false;
    std::uint32_t tries_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sim::relay
