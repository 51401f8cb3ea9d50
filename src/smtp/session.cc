#include "smtp/session.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"

namespace smtp {
namespace {

// Buffers above this do not stay for the next connection, bytes.
constexpr std::size_t kBufferKept = 64 * 1024;

void clear_bounded(std::string& buffer) {
    if (buffer.capacity() > kBufferKept) {
        std::string().swap(buffer);
    }
    buffer.clear();
}

}  // namespace

Session::Session(const SessionServices& services, SessionOwner& owner)
    : services_(services),
      owner_(owner),
      stream_(services.net),
      lines_(stream_),
      recipients_(services.net.shard().prng().next()) {}

void Session::start(io::Handle socket, const SessionConfig& config) {
    stream_.attach(socket);
    config_ = &config;
    peer_ = stream_.peer_address();
    client_ = peer_.text();
    client_origin_ = config.relay_networks.contains(peer_) ? policy::Origin::relay_network
                                                           : policy::Origin::stranger;
    lines_.clear();
    helo_.clear();
    clear_bounded(out_);
    state_ = State::greeted;
    extended_ = stopping_ = idle_ = false;
    errors_ = junk_ = transactions_ = 0;
}

// g++ 12 adds up every await of a frame, so this loop is the only place that waits for commands and
// sends their replies.
rt::Task<void> Session::run() {
    greet();
    command_deadline_ = after(config_->limits.command_timeout);
    Step step = Step::command;
    for (;;) {
        if (step == Step::command) {
            step = take_commands();
        }
        if (step == Step::data) {
            step = co_await read_data();
            command_deadline_ = after(config_->limits.command_timeout);
        } else if (step == Step::chunk) {
            step = co_await read_chunk();
            command_deadline_ = after(config_->limits.command_timeout);
        }
        if (step == Step::command) {
            continue;
        }
        if (!out_.empty()) {
            const std::int32_t sent =
                co_await stream_.send(out_, after(config_->limits.reply_timeout));
            clear_bounded(out_);
            if (sent < 0) {
                step = input_ended(0);
            }
        }
        if (step == Step::close || step == Step::linger) {
            break;
        }
        if (step == Step::flush) {
            step = Step::command;
            continue;
        }
        const std::int32_t got = co_await stream_.receive(input_deadline());
        step = got > 0 ? Step::command : input_ended(got);
    }
    end_transaction();
    if (step == Step::linger) {
        co_await net::close_gently(stream_, kLingerBytesMax, after(kLinger));
    } else {
        static_cast<void>(co_await stream_.close());
    }
    owner_.ended(*this);
}

base::MonoTime Session::input_deadline() const {
    return idle_ ? command_deadline_ : std::min(command_deadline_, after(kIdleAfter));
}

void Session::greet() {
    out_.append("220 ").append(config_->hostname).append(" ESMTP ");
    out_.append(config_->greeting).append("\r\n");
}

Session::Step Session::take_commands() {
    for (;;) {
        if (stopping_ && !in_transaction()) {
            return dismiss({4, 3, 2}, "Service shutting down");
        }
        if (out_.size() >= kReplyBytesMax) {
            return Step::flush;
        }
        std::string_view line;
        const net::LineReader::Event event = lines_.next(line, config_->limits.line_bytes_max());
        if (event == net::LineReader::Event::more) {
            return Step::input;
        }
        idle_ = false;
        command_deadline_ = after(config_->limits.command_timeout);
        const Step step =
            handle(event == net::LineReader::Event::line ? parse_command(line, config_->limits)
                                                         : parse_long_line(line),
                   line);
        if (step != Step::command) {
            return step;
        }
    }
}

// The stream's answer when it has no more input: the end of the session, or of its patience.
Session::Step Session::input_ended(std::int32_t result) {
    if (result == -ETIMEDOUT) {
        if (services_.net.shard().now() < command_deadline_) {
            idle();
            return Step::input;
        }
        const mail::FixedReply late{421, {4, 4, 2}, "Timeout exceeded"};
        if (in_transaction()) {
            log_message(mail::ReceptionEvent::Status::lost, late);
        }
        end_transaction();
        return dismiss(late.status, late.text);
    }
    if (result == -ECANCELED && stopping_ && !in_transaction()) {
        return Step::command;  // take_commands() dismisses
    }
    if (in_transaction()) {
        log_message(mail::ReceptionEvent::Status::lost, {});
    }
    end_transaction();
    return Step::close;
}

// The same inside of content, where the stream waits as long as the session does: nothing that
// comes later could be taken for commands.
Session::Step Session::content_ended(std::int32_t result) {
    const Step step = input_ended(result);
    RP_ASSERT(step != Step::input);
    return step;
}

void Session::transition(State to) {
    const bool fits =
        to == State::ready || (to == State::mail && state_ == State::ready) ||
        (to == State::chunks && (state_ == State::mail || state_ == State::chunks)) ||
        (to == State::chunk_failed &&
         (state_ == State::mail || state_ == State::chunks || state_ == State::chunk_failed));
    RP_ASSERT(fits);
    state_ = to;
}

void Session::reply(std::uint16_t code, mail::EnhancedStatus status, std::string_view text) {
    mail::append_reply(out_, code,
                       config_->offers_enhanced_status ? status : mail::EnhancedStatus(), text);
}

void Session::reply(const mail::FixedReply& fixed) {
    reply(fixed.code, fixed.status, fixed.text);
}

Session::Step Session::refuse(const mail::FixedReply& fixed) {
    if (++errors_ > config_->limits.errors_max) {
        const bool hello = !fixed.status.present();
        return hello ? too_many_errors({}) : too_many_errors();
    }
    reply(fixed);
    return Step::command;
}

Session::Step Session::dismiss(mail::EnhancedStatus status, std::string_view text) {
    out_.append("421 ");
    if (config_->offers_enhanced_status && status.present()) {
        mail::append_status(out_, status);
        out_.push_back(' ');
    }
    out_.append(config_->hostname).append(" ").append(text).append("\r\n");
    return Step::linger;
}

Session::Step Session::send_away(mail::Severity severity, mail::EnhancedStatus status,
                                 std::string_view text) {
    std::string notice = "client ";
    notice.append(client_).append(" was sent away with 421: ").append(text);
    services_.log.notice(severity, notice);
    return dismiss(status, text);
}

Session::Step Session::too_many_errors(mail::EnhancedStatus status) {
    return send_away(mail::Severity::info, status, "Too many errors");
}

// The transaction is over, however it went. What it allocated stays for the next one.
void Session::end_transaction() {
    message_.reset();
    envelope_.clear();
    recipients_.clear();
    refusal_ = {};
    id_ = {};
    overshoot_ = 0;
    discarded_bytes_ = 0;
    if (in_transaction()) {
        transition(State::ready);
    }
}

// The client has waited for a while: it keeps its session, and we our memory.
void Session::idle() {
    idle_ = true;
    lines_.shrink();
    if (out_.empty()) {
        std::string().swap(out_);
    }
    if (!in_transaction()) {
        envelope_ = mail::Envelope();
        recipients_.shrink();
        std::string().swap(trace_);
    }
}

void Session::shrink() {
    RP_ASSERT(!stream_.is_open());
    idle();
}

void Session::stop() {
    stopping_ = true;
    if (!in_transaction()) {
        stream_.stop();
    }
}

void Session::abort() {
    stopping_ = true;
    stream_.abort();
}

base::MonoTime Session::after(base::Duration wait) const {
    return services_.net.shard().now() + wait;
}

std::string_view Session::protocol() const {
    if (!extended_) {
        return "SMTP";
    }
    return envelope_.parameters.smtputf8 ? "UTF8SMTP" : "ESMTP";
}

std::string_view Session::only_recipient() const {
    return envelope_.recipient_count() == 1 ? envelope_.recipient(0) : std::string_view();
}

void Session::log_message(mail::ReceptionEvent::Status status,
                          const mail::FixedReply& fixed) const {
    log_reception(status, fixed, envelope_.reverse_path(), only_recipient());
}

void Session::log_reception(mail::ReceptionEvent::Status status, const mail::FixedReply& fixed,
                            std::string_view from, std::string_view to) const {
    mail::ReceptionEvent event;
    event.status = status;
    event.id = id_;
    event.client = client_;
    event.helo = helo_;
    event.protocol = protocol();
    event.from = from;
    event.to = to;
    event.recipients = static_cast<std::uint32_t>(envelope_.recipient_count());
    if (in_transaction()) {
        event.size_bytes = content_.facts().content_bytes();
        event.bare_line_ends = content_.bare_line_ends();
        event.delay = services_.net.shard().now() - mail_at_;
    }
    event.dsn = fixed.status;
    event.code = fixed.code;
    event.reply = fixed.text;
    services_.log.reception(event);
}

}  // namespace smtp
