#include "queue/bounce.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"
#include "mail/text.h"
#include "queue/scheduler.h"

namespace queue {
namespace {

using mail::DsnKind;

mail::NotificationEvent::Kind logged_kind(DsnKind kind, bool to_postmaster) {
    using Kind = mail::NotificationEvent::Kind;
    switch (kind) {
        case DsnKind::failed:
            return to_postmaster ? Kind::double_bounce : Kind::failed;
        case DsnKind::delayed:
            return Kind::delayed;
        case DsnKind::relayed:
            return Kind::relayed;
    }
    RP_PANIC("no such DsnKind");
}

std::string id_text(mail::QueueId id) {
    return std::string(mail::view(id.text()));
}

}  // namespace

Bounce::Bounce(Scheduler& scheduler, const RetryPolicy& retry)
    : scheduler_(scheduler), options_(scheduler.options()), retry_(retry) {}

void Bounce::clear() {
    for (List& list : lists_) {
        list.count = 0;
    }
}

Bounce::Fate& Bounce::add(DsnKind kind, std::uint32_t recipient, store::RecipientStatus status,
                          const mail::Reply& reply, std::string_view relay, bool by_rule) {
    List& list = lists_[static_cast<std::size_t>(kind)];
    if (list.count == list.fates.size()) {
        list.fates.emplace_back();
    }
    Fate& fate = list.fates[list.count++];
    fate.recipient = recipient;
    fate.status = status;
    fate.reply.code = reply.code;
    fate.reply.status = reply.status;
    fate.reply.text.assign(reply.text, 0, store::Outcome::kReplyBytesMax);
    fate.relay.assign(relay);
    fate.by_rule = by_rule;
    fate.tried = !by_rule;
    fate.at = scheduler_.shard().wall_now();
    fate.history.clear();
    return fate;
}

rt::Task<Bounce::Sent> Bounce::send(DsnKind kind, store::Reader& reader) {
    const store::StoredMessage& message = reader.message();
    choose(kind, message);
    if (chosen_.empty()) {
        co_return Sent::yes;
    }
    if (!admitted(kind, message)) {
        co_return kind == DsnKind::failed ? Sent::over_limit : Sent::yes;
    }
    whole_ = may_come_whole(kind, message);
    if (whole_ && message.facts.has_8bit && mail::is_ascii(to_)) {
        whole_ = co_await can_be_converted(reader);
    }
    co_await read_header(reader);
    Stored stored = co_await store_notification(kind, reader);
    if (stored == Stored::unreadable) {
        whole_ = false;
        stored = co_await store_notification(kind, reader);
    }
    if (stored != Stored::yes) {
        scheduler_.notification_limit().give_back(mail::domain_of(to_));
    }
    co_return stored == Stored::yes ? Sent::yes : Sent::no_room;
}

// Those of whom somebody is to be told, and who.
void Bounce::choose(DsnKind kind, const store::StoredMessage& message) {
    chosen_.clear();
    to_ = message.envelope.reverse_path();
    to_postmaster_ = to_.empty() && kind == DsnKind::failed;
    if (to_postmaster_) {
        to_ = options_.double_bounce_to;
    }
    for (const Fate& fate : fates(kind)) {
        if (kind == DsnKind::failed && !message.envelope.notify(fate.recipient).failure()) {
            continue;
        }
        const std::string_view path = message.envelope.recipient(fate.recipient);
        if (to_.empty() || (to_postmaster_ && base::equal_ignoring_case(path, to_))) {
            scheduler_.log().notice(
                mail::Severity::info,
                "message " + id_text(message.id) + " to " + std::string(path) +
                    " has failed, has no sender to tell, and is dropped" +
                    (to_.empty() ? "; set queue.double_bounce_to to be told of such" : ""));
            continue;
        }
        chosen_.push_back(&fate);
    }
}

bool Bounce::admitted(DsnKind kind, const store::StoredMessage& message) {
    NotificationLimit& limit = scheduler_.notification_limit();
    const std::string_view domain = mail::domain_of(to_);
    const Verdict verdict = limit.admit(domain, scheduler_.shard().now());
    if (verdict == Verdict::admitted) {
        return true;
    }
    if (kind == DsnKind::failed) {
        come_again_ = limit.come_again(verdict, domain);
    }
    if (limit.first_refusal()) {
        tell_of_refusal(verdict, message);
    }
    return false;
}

void Bounce::tell_of_refusal(Verdict verdict, const store::StoredMessage& message) {
    const bool domain = verdict == Verdict::domain_full;
    scheduler_.log().notice(
        mail::Severity::warning,
        "too many notifications" +
            (domain ? " to " + std::string(mail::domain_of(to_)) : std::string()) +
            " in one minute, the first of them about message " + id_text(message.id) +
            "; word of failures waits until it is over, with the message, and word of delays and "
            "deliveries is dropped. Where somebody forges senders, refuse his mail at the door; "
            "where not, raise limits." +
            (domain ? "notifications_per_domain" : "notifications"));
}

bool Bounce::may_come_whole(DsnKind kind, const store::StoredMessage& message) const {
    return kind == DsnKind::failed && !to_postmaster_ &&
           message.envelope.parameters.ret == mail::ReturnContent::full &&
           message.facts.content_bytes() <= options_.returned_bytes_max &&
           (!message.facts.has_8bit_header || !mail::is_ascii(to_));
}

// A next hop without 8BITMIME must be able to take it: what cannot be converted comes back as its
// header alone.
rt::Task<bool> Bounce::can_be_converted(store::Reader& reader) {
    reader.rewind();
    if (downgrade_) {
        downgrade_->start(reader);
    } else {
        downgrade_ = std::make_unique<mail::EightBitDowngrade>(reader);
    }
    mail::SourceState state = downgrade_->plan(wakeup_);
    while (state == mail::SourceState::wait) {
        co_await wakeup_.woken("read content");
        state = downgrade_->plan(wakeup_);
    }
    co_return state == mail::SourceState::end &&
        downgrade_->verdict() <= mail::EightBitDowngrade::Verdict::possible;
}

// What the notification quotes. Where the spool cannot be read it quotes less.
rt::Task<void> Bounce::read_header(store::Reader& reader) {
    reader.rewind();
    header_.assign(reader.added_headers());
    while (header_.size() < mail::Dsn::kHeaderBytesMax &&
           header_.find("\r\n\r\n") == std::string::npos) {
        std::string_view span;
        const mail::SourceState state = reader.next(span, wakeup_);
        if (state == mail::SourceState::wait) {
            co_await wakeup_.woken("read content");
            continue;
        }
        if (state != mail::SourceState::ready) {
            co_return;
        }
        header_.append(span.substr(0, mail::Dsn::kHeaderBytesMax));
    }
}

rt::Task<Bounce::Stored> Bounce::store_notification(DsnKind kind, store::Reader& reader) {
    incoming_ =
        scheduler_.store().begin({.client_address = "", .helo = options_.hostname, .protocol = ""});
    if (!incoming_) {
        co_return Stored::no_room;
    }
    compose(kind, reader.message(), incoming_->id());
    Stored stored = Stored::yes;
    if (whole_) {
        stored = co_await store_original(reader);
    } else {
        const bool kept = co_await store_text();
        stored = kept ? Stored::yes : Stored::no_room;
    }
    if (stored == Stored::yes) {
        incoming_->commit(envelope_, facts_, "", wakeup_);
        co_await wakeup_.woken("commit notification");
        stored = incoming_->state() == mail::SinkState::ready ? Stored::yes : Stored::no_room;
    }
    if (stored == Stored::yes) {
        scheduler_.log().notification({.kind = logged_kind(kind, to_postmaster_),
                                       .id = reader.message().id,
                                       .notification = dsn_.id,
                                       .to = to_,
                                       .recipients = static_cast<std::uint32_t>(chosen_.size())});
    }
    incoming_.reset();
    co_return stored;
}

// The words about one recipient.
void Bounce::describe(DsnKind kind, const store::StoredMessage& message, std::size_t index) {
    const Fate& fate = *chosen_[index];
    const bool expired = fate.status == store::RecipientStatus::expired;
    mail::DsnRecipient& recipient = recipients_[index];
    recipient.path = message.envelope.recipient(fate.recipient);
    recipient.original_recipient = message.envelope.original_recipient(fate.recipient);
    recipient.status = expired ? mail::EnhancedStatus{5, 4, 7} : fate.reply.status;
    if (kind == DsnKind::delayed && recipient.status.klass == 5) {
        recipient.status.klass = 4;  // the host refused the connection, not the recipient
    }
    if (fate.reply.code != 0) {
        replies_[index] = mail::describe(fate.reply);
        recipient.reply = replies_[index];
        recipient.remote_host = fate.relay;
    } else {
        recipient.explanation = fate.reply.text;
    }
    recipient.expired = expired;
    if (fate.tried) {
        recipient.last_attempt = fate.at;
    }
}

void Bounce::compose(DsnKind kind, const store::StoredMessage& message, mail::QueueId id) {
    rt::Shard& shard = scheduler_.shard();
    dsn_ = {.kind = kind,
            .hostname = options_.hostname,
            .id = id,
            .now = shard.wall_now(),
            .original_id = message.id,
            .original_received = message.arrival,
            .sender = to_,
            .to_postmaster = to_postmaster_,
            .envelope_id = message.envelope.envelope_id(),
            .recipients = {},
            .retry_until = retry_.expires_at(message.arrival),
            .original_header = header_,
            .original_dot_stuffed = message.facts.dot_stuffed,
            .nonce = shard.prng().next()};
    replies_.assign(chosen_.size(), {});
    recipients_.assign(chosen_.size(), {});
    for (std::size_t i = 0; i < chosen_.size(); ++i) {
        describe(kind, message, i);
    }
    dsn_.recipients = recipients_;
    text_.clear();
    if (whole_) {
        mail::append_dsn_begin(text_, dsn_, message.facts);
        facts_ = {};
        facts_.has_8bit = message.facts.has_8bit || !mail::is_ascii(text_);
        facts_.has_8bit_header = !mail::is_ascii(to_);
    } else {
        facts_ = mail::append_dsn(text_, dsn_);
    }
    envelope_.clear();
    envelope_.set_reverse_path("");
    envelope_.add_recipient(to_);
    envelope_.parameters.smtputf8 = !mail::is_ascii(to_);
    envelope_.parameters.body_8bitmime = facts_.has_8bit;
}

// text_ into the store; false when there is no room.
rt::Task<bool> Bounce::store_text() {
    mail::SinkState state = incoming_->append(text_, wakeup_);
    if (state == mail::SinkState::wait) {
        co_await wakeup_.woken("store notification");
        state = incoming_->state();
    }
    co_return state == mail::SinkState::ready;
}

// What text_ holds, then the whole message as a part of the notification, and its end.
rt::Task<Bounce::Stored> Bounce::store_original(store::Reader& reader) {
    const bool dot_stuffed = reader.facts().dot_stuffed;
    mail::SourceState state = mail::SourceState::ready;
    reader.rewind();
    line_begins_ = true;
    text_.append(reader.added_headers());
    for (;;) {
        facts_.stored_bytes += text_.size();
        const bool kept = co_await store_text();
        if (!kept) {
            co_return Stored::no_room;
        }
        if (state == mail::SourceState::end) {
            co_return Stored::yes;
        }
        std::string_view span;
        state = reader.next(span, wakeup_);
        while (state == mail::SourceState::wait) {
            co_await wakeup_.woken("read content");
            state = reader.next(span, wakeup_);
        }
        text_.clear();
        if (state == mail::SourceState::failed) {
            co_return Stored::unreadable;
        }
        if (state == mail::SourceState::end) {
            mail::append_dsn_end(text_, dsn_);
        } else {
            add_plain(span, dot_stuffed);
        }
    }
}

// To text_, without the dots that a sender's stuffing added.
void Bounce::add_plain(std::string_view span, bool dot_stuffed) {
    while (!span.empty()) {
        if (dot_stuffed && line_begins_ && span.starts_with('.')) {
            span.remove_prefix(1);
            line_begins_ = false;  // the rest of the line may be in the next span
            continue;
        }
        const std::string_view line =
            span.substr(0, std::min(span.find('\n'), span.size() - 1) + 1);
        text_.append(line);
        line_begins_ = line.ends_with('\n');
        span.remove_prefix(line.size());
    }
}

}  // namespace queue
