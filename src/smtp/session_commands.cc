// What each command does (RFC 5321 §4.1.1, RFC 3030). All of it is synchronous; content is read by
// session_content.cc.
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "mail/text.h"
#include "smtp/session.h"

namespace smtp {
namespace {

using mail::FixedReply;
using mail::SinkState;

constexpr FixedReply kOk{250, {2, 0, 0}, "Ok"};
constexpr FixedReply kSenderOk{250, {2, 1, 0}, "Ok"};
constexpr FixedReply kRecipientOk{250, {2, 1, 5}, "Ok"};
constexpr FixedReply kBye{221, {2, 0, 0}, "Bye"};
constexpr FixedReply kCannotVerify{
    252, {2, 0, 0}, "Cannot VRFY user, but will accept message and attempt delivery"};
constexpr FixedReply kHelp{
    214, {2, 0, 0}, "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT"};
constexpr FixedReply kNotImplemented{502, {5, 5, 1}, "Command not implemented"};
constexpr FixedReply kNoAuth{503, {5, 5, 1}, "Authentication not enabled"};
constexpr FixedReply kHelloFirst{503, {5, 5, 1}, "Send EHLO or HELO first"};
constexpr FixedReply kNestedMail{503, {5, 5, 1}, "Nested MAIL command"};
constexpr FixedReply kNeedMail{503, {5, 5, 1}, "Need MAIL command"};
constexpr FixedReply kAfterChunk{503, {5, 5, 1}, "Not allowed between BDAT commands"};
constexpr FixedReply kChunkFailed{503, {5, 5, 1}, "Chunk discarded after an earlier error"};
constexpr FixedReply kNoRecipients{554, {5, 5, 1}, "No valid recipients"};
constexpr FixedReply kTooManyRecipients{452, {4, 5, 3}, "Too many recipients"};
constexpr FixedReply kUnsupported{555, {5, 5, 4}, "Unsupported MAIL parameter"};
constexpr FixedReply kUnsupportedRcpt{555, {5, 5, 4}, "Unsupported RCPT parameter"};
constexpr FixedReply kStartMail{354, {}, "End data with <CR><LF>.<CR><LF>"};

}  // namespace

Session::Step Session::handle(const std::expected<Command, CommandError>& command,
                              std::string_view line) {
    if (command) {
        return dispatch(*command);
    }
    const CommandError& error = command.error();
    if (error.verb == Verb::mail) {
        log_reception(mail::ReceptionEvent::Status::refused, error.reply, given_path(line), {});
    } else if (error.verb == Verb::rcpt) {
        log_reception(mail::ReceptionEvent::Status::refused, error.reply, envelope_.reverse_path(),
                      given_path(line));
    }
    const Step step = refuse(error.reply);
    return error.loses_sync ? Step::linger : step;
}

Session::Step Session::dispatch(const Command& command) {
    switch (command.verb) {
        case Verb::ehlo:
        case Verb::helo:
            return on_hello(command);
        case Verb::mail:
            return on_mail(command);
        case Verb::rcpt:
            return on_rcpt(command);
        case Verb::data:
            return on_data();
        case Verb::bdat:
            return on_bdat(command);
        case Verb::rset:
            end_transaction();
            return junk(kOk);
        case Verb::noop:
            return junk(kOk);
        case Verb::vrfy:
            return junk(kCannotVerify);
        case Verb::help:
            return junk(kHelp);
        case Verb::quit:
            reply(kBye);
            return stream_.input().empty() ? Step::close : Step::linger;
        case Verb::expn:
        case Verb::starttls:
            return refuse(kNotImplemented);
        case Verb::auth:
            return refuse(kNoAuth);
        case Verb::http:
            return send_away(mail::Severity::warning, {4, 7, 0}, "This is SMTP, not HTTP");
        case Verb::header:
            return send_away(mail::Severity::warning, {4, 7, 0}, "Not an SMTP command");
        case Verb::unknown:
            return refuse(kUnknownCommand);
    }
    RP_PANIC("a verb without an answer");
}

// Commands that bring no mail forward are free up to a number.
Session::Step Session::junk(const FixedReply& fixed) {
    if (too_much_junk()) {
        return too_many_errors();
    }
    reply(fixed);
    return Step::command;
}

bool Session::too_much_junk() {
    return ++junk_ > kJunkCommandsMax && ++errors_ > config_->limits.errors_max;
}

Session::Step Session::on_hello(const Command& command) {
    if (state_ != State::greeted && too_much_junk()) {
        return too_many_errors({});
    }
    end_transaction();
    transition(State::ready);
    helo_.assign(command.argument);
    extended_ = command.verb == Verb::ehlo;
    if (!extended_) {
        reply(250, {}, config_->hostname);
        return Step::command;
    }
    const auto line = [this](bool offered, std::string_view keyword) {
        if (offered) {
            out_.append("250-").append(keyword).append("\r\n");
        }
    };
    const std::size_t begin = out_.size();
    line(true, config_->hostname);
    line(config_->offers_pipelining, "PIPELINING");
    if (config_->offers_size) {
        out_.append("250-SIZE ");
        base::append_decimal(out_, config_->limits.message_bytes_max);
        out_.append("\r\n");
    }
    line(config_->offers_8bitmime, "8BITMIME");
    line(config_->offers_smtputf8, "SMTPUTF8");
    line(config_->offers_chunking, "CHUNKING");
    line(config_->offers_dsn, "DSN");
    line(config_->offers_enhanced_status, "ENHANCEDSTATUSCODES");
    // The last line has a blank behind its code (RFC 5321 §4.2.1).
    const std::size_t last = out_.rfind('\n', out_.size() - 2);
    out_[(last == std::string::npos || last < begin ? begin : last + 1) + 3] = ' ';
    return Step::command;
}

Session::Step Session::on_mail(const Command& command) {
    const Limits& limits = config_->limits;
    FixedReply refusal;
    if (state_ == State::greeted) {
        refusal = kHelloFirst;
    } else if (in_transaction()) {
        refusal = kNestedMail;
    } else if ((command.has_size && !config_->offers_size) ||
               (command.body_8bitmime && !config_->offers_8bitmime) ||
               (command.smtputf8 && !config_->offers_smtputf8) ||
               (command.has_dsn() && !config_->offers_dsn)) {
        refusal = kUnsupported;
    } else if (limits.message_bytes_max > 0 && command.size_bytes > limits.message_bytes_max) {
        refusal = reply_for(ContentVerdict::too_big);
    } else if (const SinkState state = services_.sink.admits(command.size_bytes);
               state != SinkState::ready) {
        refusal = reply_to(state);
    }
    if (refusal.code != 0) {
        log_reception(mail::ReceptionEvent::Status::refused, refusal, command.path.text, {});
        return refuse(refusal);
    }
    if (limits.transactions_max > 0 && transactions_ >= limits.transactions_max) {
        return send_away(mail::Severity::info, {4, 7, 0}, "Too many messages in this session");
    }
    ++transactions_;
    transition(State::mail);
    mail_at_ = services_.net.shard().now();
    discarded_bytes_ = 0;
    content_.start_data(reading_options());  // nothing of the last message's is left
    envelope_.set_reverse_path(command.path.text);
    envelope_.parameters.size_bytes = command.size_bytes;
    envelope_.parameters.body_8bitmime = command.body_8bitmime;
    envelope_.parameters.smtputf8 = command.smtputf8;
    envelope_.parameters.ret = command.ret;
    if (!command.envelope_id.empty()) {
        envelope_.set_envelope_id(command.envelope_id);
    }
    reply(kSenderOk);
    return Step::command;
}

Session::Step Session::on_rcpt(const Command& command) {
    FixedReply refusal;
    if (state_ != State::mail) {
        refusal = in_transaction() ? kAfterChunk : kNeedMail;
    } else if (command.has_dsn() && !config_->offers_dsn) {
        refusal = kUnsupportedRcpt;
    } else if (!envelope_.parameters.smtputf8 &&
               (command.path.non_ascii || !mail::is_ascii(command.original_recipient))) {
        refusal = kNeedsSmtpUtf8;
    } else if (const auto denied =
                   services_.access.refuse_recipient(command.path, client_origin_)) {
        refusal = *denied;
    } else if (!add_recipient(command)) {
        refusal = kTooManyRecipients;
    }
    if (refusal.code == 0) {
        reply(kRecipientOk);
        return Step::command;
    }
    log_reception(mail::ReceptionEvent::Status::refused, refusal, envelope_.reverse_path(),
                  command.path.text);
    if (refusal == kTooManyRecipients && ++overshoot_ <= kRecipientOvershootMax) {
        reply(refusal);
        return Step::command;
    }
    return refuse(refusal);
}

// False when there are too many. Who is given twice keeps the parameters of the first time.
bool Session::add_recipient(const Command& command) {
    std::string_view text = command.path.text;
    if (command.path.domain.empty()) {  // RFC 5321 §4.5.1: postmaster without a domain is ours
        trace_.assign(text).append("@").append(config_->hostname);
        text = trace_;
    }
    if (envelope_.recipient_count() >= config_->limits.recipients_max) {
        return recipients_.contains(envelope_, text);
    }
    if (recipients_.add(envelope_, text) && command.has_dsn()) {
        const std::size_t recipient = envelope_.recipient_count() - 1;
        envelope_.set_notify(recipient, command.notify);
        envelope_.set_original_recipient(recipient, command.original_recipient);
    }
    return true;
}

Session::Step Session::on_data() {
    if (state_ != State::mail) {
        return refuse(in_transaction() ? kAfterChunk : kNeedMail);
    }
    if (envelope_.recipient_count() == 0) {
        return refuse(kNoRecipients);
    }
    if (!begin_message()) {
        const FixedReply busy = std::exchange(refusal_, {});
        log_message(mail::ReceptionEvent::Status::refused, busy);
        return refuse(busy);
    }
    chunk_last_ = true;
    content_.start_data(reading_options());
    reply(kStartMail);
    return Step::data;
}

Session::Step Session::on_bdat(const Command& command) {
    chunk_left_ = chunk_bytes_ = command.chunk_bytes;
    chunk_last_ = command.chunk_last;
    refusal_ = chunk_refusal(command);
    if (refusal_.code != 0) {
        message_.reset();
    }
    if (refusal_.code != 0 && chunk_left_ > config_->limits.discard_bytes_max) {
        static_cast<void>(chunk_ended());
        return Step::linger;
    }
    return Step::chunk;
}

// Why this chunk cannot be taken; it is read all the same. Code 0: it can.
FixedReply Session::chunk_refusal(const Command& command) {
    if (!config_->offers_chunking) {
        return kNotImplemented;
    }
    if (!in_transaction()) {
        return state_ == State::greeted ? kHelloFirst : kNeedMail;
    }
    if (state_ == State::chunk_failed) {
        return kChunkFailed;
    }
    if (envelope_.recipient_count() == 0) {
        return kNoRecipients;
    }
    if (state_ == State::mail) {
        if (!begin_message()) {
            return refusal_;
        }
        content_.start_chunks(reading_options());
        transition(State::chunks);
    }
    const std::uint64_t bytes_max = config_->limits.message_bytes_max;
    const std::uint64_t so_far = content_.facts().stored_bytes;
    if (bytes_max > 0 && (so_far > bytes_max || command.chunk_bytes > bytes_max - so_far)) {
        return reply_for(ContentVerdict::too_big);
    }
    return {};
}

// False with refusal_ set when the sink takes no more.
bool Session::begin_message() {
    message_ = services_.sink.begin(origin());
    if (message_ == nullptr) {
        refusal_ = {451, {4, 3, 2}, "System busy, try again later"};
        return false;
    }
    id_ = message_->id();
    build_trace_header();
    return true;
}

}  // namespace smtp
