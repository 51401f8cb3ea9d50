#include "queue/bounce.h"

#include "base/assert.h"
#include "mail/dsn.h"
#include "mail/text.h"

namespace queue {
namespace {

constexpr std::string_view kExpired = "The message could not be delivered in the time set for it.";

}  // namespace

Bounce::Bounce(store::Store& store, const Options& options) : store_(store), options_(options) {}

void Bounce::add(std::uint32_t recipient, store::RecipientStatus status, const mail::Reply& reply,
                 std::string_view relay) {
    RP_ASSERT(store::is_final(status) && status != store::RecipientStatus::delivered);
    if (count_ == failures_.size()) {
        failures_.emplace_back();
    }
    Failure& failure = failures_[count_++];
    failure.recipient = recipient;
    failure.status = status;
    failure.reply.code = reply.code;
    failure.reply.status = reply.status;
    failure.reply.text.assign(reply.text, 0, store::Outcome::kReplyBytesMax);
    failure.relay.assign(relay);
}

rt::Task<bool> Bounce::send(store::Reader& reader, base::WallTime now) {
    const store::StoredMessage& message = reader.message();
    if (message.envelope.reverse_path().empty()) {
        co_return true;
    }
    co_await read_header(reader);
    incoming_ = store_.begin({.client_address = "", .helo = options_.hostname, .protocol = ""});
    if (!incoming_) {
        co_return false;
    }
    compose(message, incoming_->id(), now);
    const bool stored = co_await store_text();
    incoming_.reset();
    co_return stored;
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

void Bounce::compose(const store::StoredMessage& message, mail::QueueId id, base::WallTime now) {
    std::vector<std::string> replies(count_);
    std::vector<mail::DsnRecipient> recipients(count_);
    for (std::size_t i = 0; i < count_; ++i) {
        const Failure& failure = failures_[i];
        const bool expired = failure.status == store::RecipientStatus::expired;
        mail::DsnRecipient& recipient = recipients[i];
        recipient.path = message.envelope.recipient(failure.recipient);
        recipient.status = expired ? mail::EnhancedStatus{5, 4, 7} : failure.reply.status;
        if (failure.reply.code != 0) {
            replies[i] = mail::describe(failure.reply);
            recipient.reply = replies[i];
            recipient.remote_host = failure.relay;
        } else {
            recipient.explanation = failure.reply.text;
        }
        if (expired && recipient.explanation.empty()) {
            recipient.explanation = kExpired;
        }
    }
    text_.clear();
    facts_ = mail::append_dsn(text_, {.hostname = options_.hostname,
                                      .id = id,
                                      .now = now,
                                      .original_id = message.id,
                                      .original_received = message.arrival,
                                      .sender = message.envelope.reverse_path(),
                                      .recipients = recipients,
                                      .original_header = header_,
                                      .original_dot_stuffed = message.facts.dot_stuffed});
    envelope_.clear();
    envelope_.set_reverse_path("");
    envelope_.add_recipient(message.envelope.reverse_path());
    envelope_.parameters = {};
    envelope_.parameters.smtputf8 = !mail::is_ascii(message.envelope.reverse_path());
    envelope_.parameters.body_8bitmime = facts_.has_8bit;
}

rt::Task<bool> Bounce::store_text() {
    mail::SinkState state = incoming_->append(text_, wakeup_);
    if (state == mail::SinkState::wait) {
        co_await wakeup_.woken("store notification");
        state = incoming_->state();
    }
    if (state != mail::SinkState::ready) {
        co_return false;
    }
    incoming_->commit(envelope_, facts_, "", wakeup_);
    co_await wakeup_.woken("commit notification");
    co_return incoming_->state() == mail::SinkState::ready;
}

}  // namespace queue
