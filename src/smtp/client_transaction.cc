#include "smtp/client_transaction.h"

#include "base/assert.h"
#include "base/decimal.h"

namespace smtp {
namespace {

// Keeps the memory of the text.
template <typename Reply>
void assign(mail::Reply& to, const Reply& from) {
    to.code = from.code;
    to.status = from.status;
    to.text.assign(from.text);
}

bool success(const mail::Reply& reply) {
    return reply.code >= 200 && reply.code < 300;
}

// RFC 5321 §4.5.3.1.10: "too many recipients" is 452, and 552 from servers of the old school, which
// a client treats alike. With a status that says something else, 552 stands as it is.
bool too_many_recipients(const mail::Reply& reply) {
    const bool subject = !reply.status.present() || reply.status.subject == 5;
    return subject && (reply.code == 452 || reply.code == 552);
}

RecipientState refusal_of(const mail::Reply& reply) {
    return reply.permanent() ? RecipientState::failed : RecipientState::deferred;
}

}  // namespace

void ClientTransaction::start(const Request& request) {
    request_ = &request;
    size_ = request.recipients.size();
    if (outcomes_.size() < size_) {
        outcomes_.resize(size_);
    }
    for (std::size_t i = 0; i < size_; ++i) {
        Outcome& outcome = outcomes_[i];
        outcome.state = RecipientState::pending;
        outcome.asked = true;
        outcome.accepted = outcome.overflow = outcome.own_reply = false;
        outcome.possible_duplicate = false;
    }
    sent_ = read_ = {};
    accepted_ = 0;
    replies_ = 0;
    mail_answered_ = refused_ = data_open_ = left_open_ = false;
}

void ClientTransaction::refuse(std::size_t recipient, const mail::FixedReply& reply) {
    RP_ASSERT(recipient < size_ && read_.stage == Stage::none);
    Outcome& outcome = outcomes_[recipient];
    outcome.asked = false;
    outcome.own_reply = true;
    outcome.state = reply.code < 500 ? RecipientState::deferred : RecipientState::failed;
    assign(outcome.reply, reply);
    outcome.reply.code = 0;  // no server said it
}

void ClientTransaction::refuse_rest(const mail::FixedReply& reply) {
    for (std::size_t i = 0; i < size_; ++i) {
        if (outcomes_[i].asked) {
            refuse(i, reply);
        }
    }
}

void ClientTransaction::begin(const Parameters& parameters) {
    parameters_ = parameters;
    left_open_ = parameters.reset;
    if (recipient_from(0).stage != Stage::rcpt) {
        return;  // nobody is left; nothing is said
    }
    sent_.stage = parameters.reset ? Stage::rset : Stage::mail;
    read_ = sent_;
}

ClientTransaction::Cursor ClientTransaction::recipient_from(std::size_t index) const {
    while (index < size_ && !outcomes_[index].asked) {
        ++index;
    }
    if (index < size_) {
        return {Stage::rcpt, index};
    }
    return {parameters_.chunking ? Stage::none : Stage::data, 0};
}

ClientTransaction::Cursor ClientTransaction::after(Cursor at) const {
    switch (at.stage) {
        case Stage::rset:
            return {Stage::mail, 0};
        case Stage::mail:
            return recipient_from(0);
        case Stage::rcpt:
            return recipient_from(at.recipient + 1);
        default:
            RP_ASSERT(at.stage == Stage::data);
            return {};
    }
}

bool ClientTransaction::wants_to_send() const {
    return sent_.stage != Stage::none && sent_ == read_;
}

void ClientTransaction::append_commands(std::string& out) {
    RP_ASSERT(wants_to_send());
    const std::size_t start = out.size();
    bool more = false;
    do {
        append_command(out, sent_);
        more = parameters_.pipelining && !(request_->mail_alone && sent_.stage == Stage::mail);
        sent_ = after(sent_);
    } while (more && sent_.stage != Stage::none && out.size() - start < kWindowBytes);
}

void ClientTransaction::append_command(std::string& out, Cursor at) const {
    switch (at.stage) {
        case Stage::rset:
            out.append("RSET\r\n");
            return;
        case Stage::mail:
            out.append("MAIL FROM:<").append(request_->reverse_path).append(">");
            append_mail_parameters(out);
            out.append("\r\n");
            return;
        case Stage::rcpt:
            out.append("RCPT TO:<").append(request_->recipients[at.recipient]).append(">");
            if (parameters_.dsn && !request_->dsn.empty()) {
                append_recipient_parameters(out, at.recipient);
            }
            out.append("\r\n");
            return;
        default:
            RP_ASSERT(at.stage == Stage::data);
            out.append("DATA\r\n");
            return;
    }
}

void ClientTransaction::append_mail_parameters(std::string& out) const {
    if (parameters_.say_size) {
        out.append(" SIZE=");
        base::append_decimal(out, parameters_.size_bytes);
    }
    out.append(parameters_.body_8bitmime ? " BODY=8BITMIME" : "");
    out.append(parameters_.smtputf8 ? " SMTPUTF8" : "");
    if (!parameters_.dsn) {
        return;
    }
    if (request_->ret != mail::ReturnContent::unspecified) {
        out.append(request_->ret == mail::ReturnContent::full ? " RET=FULL" : " RET=HDRS");
    }
    if (!request_->envelope_id.empty()) {
        out.append(" ENVID=").append(request_->envelope_id);
    }
}

// RFC 3461 §5.2.1: as they came.
void ClientTransaction::append_recipient_parameters(std::string& out, std::size_t recipient) const {
    const Request::RecipientDsn& dsn = request_->dsn[recipient];
    if (dsn.notify.given()) {
        out.append(" NOTIFY=");
        mail::append_notify(out, dsn.notify);
    }
    if (dsn.original_recipient.empty()) {
        return;
    }
    const std::size_t begin = out.size();
    out.append(" ORCPT=");
    const std::size_t value = out.size();
    if (parameters_.smtputf8) {
        out.append(dsn.original_recipient);
    } else {
        mail::append_utf8_xtext(out, dsn.original_recipient, false);
    }
    if (out.size() - value > mail::kOriginalRecipientBytesMax) {
        out.resize(begin);  // the encoding without SMTPUTF8 is longer
    }
}

ClientTransaction::Step ClientTransaction::take(const mail::Reply& reply) {
    RP_ASSERT(reply_due());
    ++replies_;
    if (reply.code == 421) {
        left_open_ = false;
        settle_pending(reply, RecipientState::deferred);
        sent_ = read_ = {};
        accepted_ = 0;
        return Step::closing;
    }
    const Cursor at = read_;
    read_ = after(read_);
    Step step = Step::more;
    switch (at.stage) {
        case Stage::rset:
            left_open_ = false;
            step = success(reply) ? Step::more : Step::violation;
            break;
        case Stage::mail:
            step = take_mail(reply);
            break;
        case Stage::rcpt:
            step = take_recipient(reply, outcomes_[at.recipient]);
            break;
        default:
            step = take_data(reply);
            break;
    }
    if (step == Step::more) {
        skip_unsent();
    }
    return step;
}

ClientTransaction::Step ClientTransaction::take_mail(const mail::Reply& reply) {
    if (success(reply)) {
        mail_answered_ = left_open_ = true;
        return Step::more;
    }
    if (reply.code < 400) {
        return Step::violation;
    }
    mail_answered_ = refused_ = true;
    settle_pending(reply, refusal_of(reply));
    return Step::more;
}

ClientTransaction::Step ClientTransaction::take_recipient(const mail::Reply& reply,
                                                          Outcome& outcome) {
    if (refused_) {
        return Step::more;  // MAIL's reply stands
    }
    if (success(reply)) {
        outcome.accepted = true;
        ++accepted_;
        return Step::more;
    }
    if (reply.code < 400) {
        return Step::violation;
    }
    const bool too_many = too_many_recipients(reply);
    outcome.overflow = too_many && accepted_ > 0;
    outcome.state = too_many ? RecipientState::deferred : refusal_of(reply);
    outcome.own_reply = true;
    assign(outcome.reply, reply);
    return Step::more;
}

ClientTransaction::Step ClientTransaction::take_data(const mail::Reply& reply) {
    if (reply.code == 354) {
        data_open_ = true;
        return Step::more;
    }
    if (reply.code < 400) {
        return Step::violation;
    }
    if (accepted_ > 0) {
        settle_pending(reply, refusal_of(reply));
        accepted_ = 0;
    }
    return Step::more;
}

// Where nothing is under way, what would follow in vain is left out: recipients behind a refused
// MAIL, DATA when nobody was accepted.
void ClientTransaction::skip_unsent() {
    if (!(sent_ == read_)) {
        return;
    }
    const bool in_vain = refused_ || (sent_.stage == Stage::data && accepted_ == 0);
    if (in_vain) {
        sent_ = read_ = {};
    }
}

ClientTransaction::Step ClientTransaction::take_final(const mail::Reply& reply) {
    ++replies_;
    data_open_ = false;
    left_open_ = false;
    if (reply.code >= 300 && reply.code < 400) {
        return Step::violation;
    }
    if (success(reply)) {
        settle_pending(reply, RecipientState::delivered);
        for (std::size_t i = 0; i < size_; ++i) {
            if (outcomes_[i].overflow) {
                outcomes_[i].state = RecipientState::pending;
            }
        }
        return Step::more;
    }
    settle_pending(reply, refusal_of(reply));
    return reply.code == 421 ? Step::closing : Step::more;
}

void ClientTransaction::give_up(const mail::Reply& reply, bool possible_duplicate) {
    for (std::size_t i = 0; i < size_; ++i) {
        Outcome& outcome = outcomes_[i];
        outcome.possible_duplicate = possible_duplicate && outcome.state == RecipientState::pending;
    }
    settle_pending(reply, RecipientState::deferred);
    sent_ = read_ = {};
    data_open_ = left_open_ = false;
}

// All that are pending share one reply; it is copied once. Who shares an earlier one keeps it,
// since from then on nobody is pending.
void ClientTransaction::settle_pending(const mail::Reply& reply, RecipientState state) {
    bool any = false;
    for (std::size_t i = 0; i < size_; ++i) {
        if (outcomes_[i].state == RecipientState::pending) {
            outcomes_[i].state = state;
            outcomes_[i].own_reply = false;
            any = true;
        }
    }
    if (any) {
        assign(shared_, reply);
    }
}

RecipientState ClientTransaction::state(std::size_t recipient) const {
    RP_ASSERT(recipient < size_);
    return outcomes_[recipient].state;
}

const mail::Reply& ClientTransaction::reply(std::size_t recipient) const {
    RP_ASSERT(recipient < size_);
    return outcomes_[recipient].own_reply ? outcomes_[recipient].reply : shared_;
}

bool ClientTransaction::possible_duplicate(std::size_t recipient) const {
    RP_ASSERT(recipient < size_);
    return outcomes_[recipient].possible_duplicate;
}

}  // namespace smtp
