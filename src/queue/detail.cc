#include "queue/detail.h"

#include <algorithm>

#include "queue/content_reading.h"
#include "store/attempt_history.h"

namespace queue {
namespace {

void take_envelope(const store::StoredMessage& message, MessageDetail& detail) {
    const mail::Envelope& envelope = message.envelope;
    detail.client_address = message.client_address;
    detail.helo = message.helo;
    detail.protocol = message.protocol;
    detail.smtputf8 = envelope.parameters.smtputf8;
    detail.body_8bitmime = envelope.parameters.body_8bitmime;
    detail.declared_bytes = envelope.parameters.size_bytes;
    detail.ret = envelope.parameters.ret;
    detail.envelope_id = envelope.envelope_id();
    for (std::size_t i = 0; i < detail.recipients.size(); ++i) {
        detail.recipients[i].notify = envelope.notify(i);
        detail.recipients[i].original_recipient = envelope.original_recipient(i);
    }
}

// `attempts`: what is resident, where the record of the last one may not be durable yet.
void take_attempts(const store::StoredOutcome& outcome, std::uint32_t attempts,
                   DetailedRecipient& recipient) {
    store::AttemptHistory history;
    history.take(outcome);
    if (const std::uint64_t known = history.attempts(); known < attempts) {
        history.add_gap(attempts - known, outcome.at);
    }
    const bool own = outcome.attempts > 0 && !history.runs().empty() &&
                     history.runs().back().last == outcome.at && !history.runs().back().gap;
    for (const store::AttemptRun& run : history.runs()) {
        recipient.attempts.push_back(
            {.first = run.first,
             .last = run.last,
             .count = run.count,
             .gap = run.gap,
             .relay = std::string(run.relay),
             .reply = {.code = run.code, .status = run.status, .text = std::string(run.reply)}});
    }
    if (own) {  // the record has all of its own
        recipient.attempts.back().reply.text = outcome.reply.text;
        recipient.attempts.back().relay = outcome.relay;
    }
    recipient.delay_told = outcome.delay_told;
}

// Where the header section ends in `text`, the line end of its last line included.
std::size_t header_end(const std::string& text, std::size_t added) {
    if (text.compare(added, 2, "\r\n") == 0) {
        return added;  // content without a header
    }
    const std::size_t end = text.find("\r\n\r\n", added > 2 ? added - 2 : 0);
    return end == std::string::npos ? end : end + 2;
}

rt::Task<void> read_header(ContentReading& reading, MessageDetail& detail) {
    std::string& text = detail.header;
    const std::size_t added = reading.message().added_headers.size();
    std::size_t end = std::string::npos;
    for (bool more = true; more && end == std::string::npos;) {
        const std::size_t before = text.size();
        const base::Status read = co_await reading.read(text, 1);
        if (!read) {
            detail.header_readable = false;
            co_return;
        }
        more = text.size() > before && text.size() < MessageDetail::kHeaderBytesMax + added;
        end = header_end(text, added);
    }
    detail.header_cut = std::min(end, text.size()) > MessageDetail::kHeaderBytesMax;
    text.resize(std::min({end, text.size(), MessageDetail::kHeaderBytesMax}));
}

}  // namespace

rt::Task<bool> detail_message(Scheduler& scheduler, mail::QueueId id, const std::atomic<bool>& stop,
                              MessageDetail& detail) {
    detail = MessageDetail();
    ListedMessage& listed = detail.listed;
    const bool there = co_await show_message(scheduler, id, stop, listed);
    const Entry* entry = scheduler.find(id);
    if (!there || entry == nullptr) {
        co_return false;
    }
    const RetryPolicy& retry = scheduler.site_of(*entry).retry();
    detail.expires_at = retry.expires_at(listed.arrival);
    if (retry.tells_of_delay()) {
        detail.delay_notice_at = retry.delay_notice_at(listed.arrival);
    }
    if (!listed.readable) {
        co_return true;
    }
    ContentReading reading;
    const base::Status opened = co_await reading.open(scheduler, id);
    if (!opened) {
        listed.readable = false;
        co_return scheduler.find(id) != nullptr;
    }
    detail.recipients.resize(listed.recipients.size());
    take_envelope(reading.message(), detail);
    store::StoredOutcome outcome;
    for (std::uint32_t i = 0; i < detail.recipients.size(); ++i) {
        if (listed.recipients[i].attempts == 0 || stop.load(std::memory_order_relaxed)) {
            continue;
        }
        const base::Status told = co_await scheduler.store().read_outcome(id, i, outcome);
        take_attempts(told ? outcome : store::StoredOutcome(), listed.recipients[i].attempts,
                      detail.recipients[i]);
    }
    co_await read_header(reading, detail);
    co_return true;
}

}  // namespace queue
