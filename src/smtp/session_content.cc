// How a session takes content, by DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030), and hands it on.
#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "mail/trace.h"
#include "smtp/session.h"

namespace smtp {

using mail::FixedReply;
using mail::SinkState;

FixedReply Session::reply_to(SinkState state) {
    return state == SinkState::storage_full
               ? FixedReply{452, {4, 3, 1}, "Insufficient system storage"}
               : FixedReply{451, {4, 3, 0}, "Local error, try again later"};
}

// Reads to the final dot, whatever becomes of the message, so that sync is kept.
rt::Task<Session::Step> Session::read_data() {
    const std::int32_t sent = co_await stream_.send(out_, after(config_->limits.reply_timeout));
    out_.clear();
    if (sent < 0) {
        co_return content_ended(0);
    }
    command_deadline_ = after(config_->limits.content_timeout);
    for (;;) {
        std::string_view input = stream_.input();
        const std::size_t size = input.size();
        std::string_view run;
        const DotReader::Event event = content_.next(input, run);
        stream_.consume(size - input.size());
        judge();
        if (message_ == nullptr) {
            discarded_bytes_ += size - input.size();
        }
        if (event == DotReader::Event::end) {
            break;
        }
        if (event == DotReader::Event::run) {
            if (!keep(run)) {
                co_await wakeup_.woken("append");
                sink_state(message_->state());
            }
            continue;
        }
        if (discarded_bytes_ > config_->limits.discard_bytes_max) {
            static_cast<void>(refuse_message());
            co_return Step::linger;
        }
        const std::int32_t got = co_await stream_.receive(command_deadline_);
        if (got <= 0) {
            co_return content_ended(got);
        }
        command_deadline_ = after(config_->limits.content_timeout);
    }
    const Step step = co_await finish_message();
    co_return step;
}

// Reads one chunk to its last octet, whatever becomes of it.
rt::Task<Session::Step> Session::read_chunk() {
    command_deadline_ = after(config_->limits.content_timeout);
    // A chunk of a message under way is looked at even when it is refused already, so that the
    // answer tells of all that is in it.
    const bool scanned = state_ == State::chunks;
    while (chunk_left_ > 0) {
        std::string_view input = stream_.input();
        if (input.empty()) {
            if (!out_.empty()) {  // the client may wait for these before it goes on
                const std::int32_t sent =
                    co_await stream_.send(out_, after(config_->limits.reply_timeout));
                out_.clear();
                if (sent < 0) {
                    co_return content_ended(0);
                }
            }
            const std::int32_t got = co_await stream_.receive(command_deadline_);
            if (got <= 0) {
                co_return content_ended(got);
            }
            command_deadline_ = after(config_->limits.content_timeout);
            continue;
        }
        if (discarded_bytes_ > config_->limits.discard_bytes_max) {
            static_cast<void>(chunk_ended());
            co_return Step::linger;
        }
        input = input.substr(0, std::min<std::uint64_t>(input.size(), chunk_left_));
        const std::size_t size = input.size();
        if (!scanned) {
            stream_.consume(size);
            chunk_left_ -= size;
            discarded_bytes_ += size;
            continue;
        }
        std::string_view run;
        const DotReader::Event event = content_.next(input, run);
        stream_.consume(size - input.size());
        chunk_left_ -= size - input.size();
        judge();
        if (refusal_.code != 0) {
            discarded_bytes_ += size - input.size();
        }
        if (event == DotReader::Event::run && !keep(run)) {
            co_await wakeup_.woken("append");
            sink_state(message_->state());
        }
    }
    std::string_view run;
    while (scanned && chunk_last_ && content_.finish(run)) {
        if (!keep(run)) {
            co_await wakeup_.woken("append");
            sink_state(message_->state());
        }
    }
    if (scanned) {
        judge();
    }
    Step step = chunk_ended();
    if (step == Step::chunk) {
        step = co_await finish_message();
    }
    co_return step;
}

// The reply to a chunk; Step::chunk when it was the last one and good, so the message is to be
// finished.
Session::Step Session::chunk_ended() {
    if (refusal_.code == 0) {
        if (chunk_last_) {
            return Step::chunk;
        }
        char text[64] = "Ok: ";
        char* end = std::to_chars(text + 4, text + 24, chunk_bytes_).ptr;
        end = std::ranges::copy(std::string_view(" octets"), end).out;
        reply(250, {2, 0, 0}, std::string_view(text, end));
        return Step::command;
    }
    if (in_transaction() && config_->offers_chunking) {
        return refuse_message();
    }
    const FixedReply fixed = refusal_;
    refusal_ = {};
    return refuse(fixed);
}

// Content is complete.
rt::Task<Session::Step> Session::finish_message() {
    judge();
    if (refusal_.code != 0) {
        co_return refuse_message();
    }
    message_->commit(envelope_, content_.facts(), trace_, wakeup_);
    co_await wakeup_.woken("commit");
    sink_state(message_->state());
    co_return refusal_.code != 0 ? refuse_message() : accept_message();
}

Session::Step Session::accept_message() {
    constexpr std::string_view kQueued = "Ok: queued as ";
    const mail::QueueId::Text id = id_.text();
    char text[kQueued.size() + mail::QueueId::kTextSize];
    std::ranges::copy(kQueued, text);
    std::ranges::copy(id, text + kQueued.size());
    const FixedReply queued{250, {2, 0, 0}, std::string_view(text, sizeof text)};
    reply(queued);
    log_message(mail::ReceptionEvent::Status::accepted, queued);
    errors_ = junk_ = 0;
    end_transaction();
    return Step::command;
}

// The message, or the chunk, was read and is not taken.
Session::Step Session::refuse_message() {
    const FixedReply fixed = refusal_;
    // What follows in a failed message is told off without a line in the log for each.
    if (state_ != State::chunk_failed) {
        log_message(mail::ReceptionEvent::Status::refused, fixed);
    }
    if (chunk_last_) {
        end_transaction();
    } else {
        message_.reset();
        refusal_ = {};
        transition(State::chunk_failed);
    }
    const Step step = refuse(fixed);
    return fixed == reply_for(ContentVerdict::bare_line_end) ? Step::linger : step;
}

// Looks at what the reader found; from a refusal on nothing is kept. The reader's last verdict
// stands, whatever was found before: it depends on the content alone and not on how the octets were
// cut, and none hides a bare line end.
void Session::judge() {
    if (content_.verdict() != ContentVerdict::good) {
        refusal_ = reply_for(content_.verdict());
        message_.reset();
    }
}

// True when the sink goes on at once. False: wait for wakeup_, then look at its state.
bool Session::keep(std::string_view run) {
    if (message_ == nullptr) {
        return true;
    }
    const SinkState state = message_->append(run, wakeup_);
    if (state == SinkState::wait) {
        return false;
    }
    sink_state(state);
    return true;
}

void Session::sink_state(SinkState state) {
    if (state == SinkState::storage_full || state == SinkState::failed) {
        refusal_ = reply_to(state);
        message_.reset();
    }
}

DotReader::Options Session::reading_options() const {
    DotReader::Options options;
    const bool refuses = config_->line_endings == LineEndingPolicy::refuse ||
                         (config_->line_endings == LineEndingPolicy::by_network &&
                          client_origin_ == policy::Origin::stranger);
    options.line_endings = refuses ? LineEndings::refuse : LineEndings::normalise;
    options.message_bytes_max = config_->limits.message_bytes_max;
    options.hops_max = config_->limits.hops_max;
    return options;
}

// Views of this session's own text.
mail::Origin Session::origin() const {
    mail::Origin origin;
    const std::string_view client = client_;
    const bool bracketed = client.starts_with('[');
    origin.client_address =
        bracketed ? client.substr(1, client.find(']') - 1) : client.substr(0, client.rfind(':'));
    origin.helo = helo_;
    origin.protocol = protocol();
    return origin;
}

void Session::build_trace_header() {
    mail::Trace trace;
    trace.origin = origin();
    trace.hostname = config_->hostname;
    trace.id = id_;
    trace.recipient = only_recipient();
    trace.received = services_.net.shard().wall_now();
    trace_.clear();
    mail::append_received(trace_, trace);
}

}  // namespace smtp
