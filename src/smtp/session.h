// Session: one SMTP connection on the server's side (RFC 5321), from the greeting to the close.
//
// Lives on its shard, owned by smtp::Server, used for one connection after another. One coroutine
// (run()) carries it; commands are handled synchronously, and only content and commits are phases
// with a task of their own. It knows a MessageSink and no store, an EventLog and no log.
//
// Every command gets one reply, in order; replies to pipelined commands leave together, when no
// whole command is left to handle. A transaction that the client does not finish leaves nothing
// behind.
//
// Limits: smtp::Limits, and the constants below. Bad data of every kind has its reply; what would
// cost sync (a BDAT without a size, content without end) closes the connection behind the reply.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/list.h"
#include "mail/envelope.h"
#include "mail/log_event.h"
#include "mail/message_sink.h"
#include "net/line_reader.h"
#include "net/stream.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "smtp/command_parser.h"
#include "smtp/dot_reader.h"
#include "smtp/recipient_set.h"
#include "smtp/session_config.h"

namespace smtp {

class Session;

// Whose session it is.
class SessionOwner {
  public:
    SessionOwner() = default;
    SessionOwner(const SessionOwner&) = delete;
    SessionOwner& operator=(const SessionOwner&) = delete;
    virtual ~SessionOwner() = default;
    // The connection is closed and the session may start another. Called last by run().
    virtual void ended(Session& session) = 0;
};

class Session : public base::ListNode<Session> {
  public:
    // NOOP, RSET, VRFY, HELP, and EHLO and HELO but for the first, between two messages; more count
    // as errors (Postfix: smtpd_junk_command_limit).
    static constexpr std::uint32_t kJunkCommandsMax = 100;
    // Recipients beyond the limit that are answered 452 before they count as errors (Postfix:
    // smtpd_recipient_overshoot_limit).
    static constexpr std::uint32_t kRecipientOvershootMax = 1000;
    // Replies to pipelined commands that are kept back for one send, bytes.
    static constexpr std::size_t kReplyBytesMax = 8192;
    // A session that waits longer for a command gives its buffers back.
    static constexpr base::Duration kIdleAfter = std::chrono::seconds(10);
    // How long, and for how many bytes, a client that was refused may go on until it reads our
    // reply.
    static constexpr base::Duration kLinger = std::chrono::seconds(5);
    static constexpr std::uint64_t kLingerBytesMax = 16ULL << 20U;

    Session(const SessionServices& services, SessionOwner& owner);

    // Takes an accepted connection. REQUIRES: none under way. Then spawn run(), once.
    void start(io::Handle socket, const SessionConfig& config);
    [[nodiscard]] rt::Task<void> run();

    // For a shutdown: outside of a transaction the client gets 421 4.3.2 now, inside of one when
    // that ends. abort() closes as soon as the sink lets go of what is being committed.
    void stop();
    void abort();

    // Gives back what memory it can. REQUIRES: no connection.
    void shrink();

  private:
    enum class State : std::uint8_t {
        greeted,       // no HELO or EHLO yet
        ready,         // between transactions
        mail,          // MAIL was accepted
        chunks,        // a BDAT was accepted
        chunk_failed,  // a BDAT was refused; up to LAST or RSET all others are too
    };
    // How the loop goes on behind a command.
    enum class Step : std::uint8_t {
        command,  // the next one
        input,    // no whole command is there
        flush,    // replies pile up
        data,     // content follows, up to the final dot
        chunk,    // chunk_left_ octets follow
        close,    // at once, with what is unread
        linger,   // the client may be sending; it is to get our last reply
    };

    // session.cc
    [[nodiscard]] Step take_commands();
    void greet();
    void transition(State to);
    void reply(const mail::FixedReply& reply);
    void reply(std::uint16_t code, mail::EnhancedStatus status, std::string_view text);
    // Replies with 4xx or 5xx, and counts it against the client.
    [[nodiscard]] Step refuse(const mail::FixedReply& reply);
    // 421 with our name, and the end. No status: it answers EHLO, HELO or the connection itself,
    // where RFC 2034 §4 has none.
    [[nodiscard]] Step dismiss(mail::EnhancedStatus status, std::string_view text);
    // Dismisses for what the client did, which the log is to know.
    [[nodiscard]] Step send_away(mail::Severity severity, mail::EnhancedStatus status,
                                 std::string_view text);
    [[nodiscard]] Step too_many_errors(mail::EnhancedStatus status = {4, 7, 0});
    [[nodiscard]] Step input_ended(std::int32_t result);
    [[nodiscard]] Step content_ended(std::int32_t result);
    [[nodiscard]] base::MonoTime input_deadline() const;
    void end_transaction();
    void idle();
    [[nodiscard]] bool in_transaction() const { return state_ > State::ready; }
    [[nodiscard]] base::MonoTime after(base::Duration wait) const;
    void log_reception(mail::ReceptionEvent::Status status, const mail::FixedReply& reply,
                       std::string_view from, std::string_view to) const;
    // Of the transaction's message as a whole.
    void log_message(mail::ReceptionEvent::Status status, const mail::FixedReply& reply) const;
    [[nodiscard]] std::string_view only_recipient() const;
    [[nodiscard]] std::string_view protocol() const;

    // session_commands.cc
    // `line` is what `command` was parsed from.
    [[nodiscard]] Step handle(const std::expected<Command, CommandError>& command,
                              std::string_view line);
    [[nodiscard]] Step dispatch(const Command& command);
    [[nodiscard]] Step junk(const mail::FixedReply& reply);
    [[nodiscard]] bool too_much_junk();
    [[nodiscard]] Step on_hello(const Command& command);
    [[nodiscard]] Step on_mail(const Command& command);
    [[nodiscard]] Step on_rcpt(const Command& command);
    [[nodiscard]] Step on_data();
    [[nodiscard]] Step on_bdat(const Command& command);
    [[nodiscard]] mail::FixedReply chunk_refusal(const Command& command);
    [[nodiscard]] bool add_recipient(const Command& command);
    [[nodiscard]] bool begin_message();
    [[nodiscard]] mail::Origin origin() const;
    [[nodiscard]] static mail::FixedReply reply_to(mail::SinkState state);

    // session_content.cc
    [[nodiscard]] rt::Task<Step> read_data();
    [[nodiscard]] rt::Task<Step> read_chunk();
    [[nodiscard]] rt::Task<Step> finish_message();
    [[nodiscard]] bool keep(std::string_view run);
    void sink_state(mail::SinkState state);
    void judge();
    [[nodiscard]] Step refuse_message();
    [[nodiscard]] Step accept_message();
    [[nodiscard]] Step chunk_ended();
    [[nodiscard]] DotReader::Options reading_options() const;
    void build_trace_header();

    SessionServices services_;
    SessionOwner& owner_;
    const SessionConfig* config_ = nullptr;

    net::Stream stream_;
    net::LineReader lines_;
    io::SocketAddress peer_;
    std::string client_;  // address and port, for the log
    std::string helo_;
    std::string out_;  // replies that have not left
    State state_ = State::greeted;
    policy::Origin client_origin_ = policy::Origin::stranger;
    bool extended_ = false;  // EHLO, not HELO
    bool stopping_ = false;
    bool idle_ = false;  // buffers were given back
    std::uint32_t errors_ = 0;
    std::uint32_t junk_ = 0;
    std::uint32_t transactions_ = 0;
    base::MonoTime command_deadline_{};

    // The transaction.
    mail::Envelope envelope_;
    RecipientSet recipients_;
    std::uint32_t overshoot_ = 0;
    mail::QueueId id_;
    base::MonoTime mail_at_{};
    mail::IncomingMessageHandle message_;  // none once it is refused
    mail::FixedReply refusal_;             // why; code 0: not refused
    std::uint64_t discarded_bytes_ = 0;
    std::uint64_t chunk_left_ = 0;
    std::uint64_t chunk_bytes_ = 0;
    bool chunk_last_ = true;  // also while content comes by DATA
    DotReader content_;
    std::string trace_;
    rt::Wakeup wakeup_;
};

}  // namespace smtp
