#include "app/log_line.h"

#include <iterator>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "app/clean_text.h"
#include "app/timestamp.h"
#include "base/assert.h"
#include "base/decimal.h"

namespace app {
namespace {

// The two formats differ only in how a field is written; which fields an event has is said once, in
// visit_event().
class TextLine {
  public:
    TextLine(std::string& out, Timestamps& timestamps) : out_(out), timestamps_(timestamps) {}

    void begin(base::WallTime time, std::string_view level, std::string_view event) {
        timestamps_.append(out_, time);
        out_.append(" ").append(level).append(" ").append(event);
    }
    void token(std::string_view name, std::string_view value) {
        put(name, "=");
        append_clean(out_, value, CleanStyle::token);
    }
    void path(std::string_view name, std::string_view value) {
        put(name, "=<");
        append_clean(out_, value, CleanStyle::bracket);
        out_ += '>';
    }
    void quote(std::string_view name, std::string_view value) {
        put(name, "=\"");
        append_clean(out_, value, CleanStyle::quote);
        out_ += '"';
    }
    void number(std::string_view name, std::uint64_t value) {
        put(name, "=");
        base::append_decimal(out_, value);
    }
    void seconds(std::string_view name, base::Duration value) {
        const std::int64_t ms = std::chrono::round<std::chrono::milliseconds>(value).count();
        put(name, ms < 0 ? "=-" : "=");
        const auto size = static_cast<std::uint64_t>(ms < 0 ? -ms : ms);
        base::append_decimal(out_, size / 1000);
        out_.push_back('.');
        base::append_decimal(out_, size % 1000, 3);
    }
    void yes(std::string_view name) { put(name, "=yes"); }
    void sentence(std::string_view value) {
        out_ += ' ';
        append_clean(out_, value, CleanStyle::plain);
    }
    void end() { out_ += '\n'; }

  private:
    // Grows once for the three: most fields are a few octets.
    void put(std::string_view name, std::string_view behind) {
        const std::size_t at = out_.size();
        out_.append(1 + name.size() + behind.size(), ' ');
        name.copy(out_.data() + at + 1, name.size());
        behind.copy(out_.data() + at + 1 + name.size(), behind.size());
    }

    std::string& out_;
    Timestamps& timestamps_;
};

class JsonLine {
  public:
    explicit JsonLine(std::string& out) : out_(out) {}

    void begin(base::WallTime time, std::string_view level, std::string_view event) {
        json_["time"] = iso8601(time);
        json_["level"] = level;
        json_["event"] = event;
    }
    void token(std::string_view name, std::string_view value) { json_[std::string(name)] = value; }
    void path(std::string_view name, std::string_view value) { token(name, value); }
    void quote(std::string_view name, std::string_view value) { token(name, value); }
    void number(std::string_view name, std::uint64_t value) { json_[std::string(name)] = value; }
    void seconds(std::string_view name, base::Duration value) {
        const auto ms = std::chrono::floor<std::chrono::milliseconds>(value);
        json_[std::string(name)] = static_cast<double>(ms.count()) / 1000;
    }
    void yes(std::string_view name) { json_[std::string(name)] = true; }
    void sentence(std::string_view value) { token("text", value); }
    void end() {
        // All ASCII, so that nothing but a JSON parser ever acts on what a stranger sent.
        out_ += json_.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
        out_ += '\n';
    }

  private:
    std::string& out_;
    nlohmann::ordered_json json_;
};

std::string_view name_of(mail::Severity severity) {
    switch (severity) {
        case mail::Severity::debug:
            return "debug";
        case mail::Severity::info:
            return "info";
        case mail::Severity::warning:
            return "warning";
        case mail::Severity::error:
            return "error";
    }
    RP_PANIC("no such Severity");
}

std::string_view name_of(mail::ReceptionEvent::Status status) {
    using Status = mail::ReceptionEvent::Status;
    switch (status) {
        case Status::accepted:
            return "accepted";
        case Status::refused:
            return "refused";
        case Status::lost:
            return "lost";
    }
    RP_PANIC("no such reception status");
}

std::string_view name_of(mail::AttemptEvent::Status status) {
    using Status = mail::AttemptEvent::Status;
    switch (status) {
        case Status::sent:
            return "sent";
        case Status::deferred:
            return "deferred";
        case Status::delayed:
            return "delayed";
        case Status::bounced:
            return "bounced";
        case Status::expired:
            return "expired";
    }
    RP_PANIC("no such attempt status");
}

std::string_view name_of(mail::NotificationEvent::Kind kind) {
    using Kind = mail::NotificationEvent::Kind;
    switch (kind) {
        case Kind::failed:
            return "failed";
        case Kind::delayed:
            return "delayed";
        case Kind::relayed:
            return "relayed";
        case Kind::double_bounce:
            return "double_bounce";
    }
    RP_PANIC("no such kind of notification");
}

template <typename Line>
void put_id(Line& line, mail::QueueId id) {
    line.token("id", id.value() == 0 ? std::string_view("NOQUEUE") : mail::view(id.text()));
}

template <typename Line>
void put_given(Line& line, std::string_view name, std::string_view value) {
    if (!value.empty()) {
        line.token(name, value);
    }
}

template <typename Line>
void put_dsn(Line& line, mail::EnhancedStatus dsn) {
    if (dsn.present()) {
        std::string text;
        mail::append_status(text, dsn);
        line.token("dsn", text);
    }
}

// Of a reply that had none.
mail::EnhancedStatus unspecified(mail::AttemptEvent::Status status) {
    switch (status) {
        case mail::AttemptEvent::Status::sent:
            return {2, 0, 0};
        case mail::AttemptEvent::Status::deferred:
        case mail::AttemptEvent::Status::delayed:
            return {4, 0, 0};
        case mail::AttemptEvent::Status::bounced:
        case mail::AttemptEvent::Status::expired:
            return {5, 0, 0};
    }
    RP_PANIC("no such status of an attempt");
}

// The reply as it was on the wire, in one line. There the class of its status is that of its code;
// `dsn` may say otherwise, where the reply was to a greeting and not to a recipient.
template <typename Line>
void put_reply(Line& line, std::uint16_t code, mail::EnhancedStatus dsn, std::string_view text) {
    std::string reply;
    if (code != 0) {
        reply = std::to_string(code);
        if (dsn.present()) {
            dsn.klass = static_cast<std::uint8_t>(code / 100);
        }
        if (dsn.present()) {
            reply += ' ';
            mail::append_status(reply, dsn);
        }
        reply += text.empty() ? "" : " ";
    }
    reply += text;
    if (!reply.empty()) {
        line.quote("reply", reply);
    }
}

template <typename Line>
void put_tls(Line& line, std::string_view tls) {
    line.token("tls", tls.empty() ? "none" : tls);
}

template <typename Line>
void put_fields(Line& line, const mail::ReceptionEvent& event) {
    put_id(line, event.id);
    put_given(line, "client", event.client);
    put_given(line, "helo", event.helo);
    put_given(line, "proto", event.protocol);
    line.path("from", event.from);
    if (!event.to.empty()) {
        line.path("to", event.to);
    }
    line.number("nrcpt", event.recipients);
    line.number("size", event.size_bytes);
    if (event.bare_line_ends > 0) {
        line.number("bare_line_ends", event.bare_line_ends);
    }
    line.seconds("delay", event.delay);
    put_dsn(line, event.dsn);
    line.token("status", name_of(event.status));
    put_tls(line, event.tls);
    put_reply(line, event.code, event.dsn, event.reply);
}

template <typename Line>
void put_fields(Line& line, const mail::AttemptEvent& event) {
    put_id(line, event.id);
    line.path("from", event.from);
    line.path("to", event.to);
    line.token("relay", event.relay.empty() ? "none" : event.relay);
    line.seconds("delay", event.delay);
    put_dsn(line, event.dsn.present() ? event.dsn : unspecified(event.status));
    line.token("status", name_of(event.status));
    line.number("size", event.size_bytes);
    put_tls(line, event.tls);
    line.number("attempts", event.attempts);
    if (event.next_attempt > base::Duration::zero()) {
        line.seconds("next", event.next_attempt);
    }
    if (event.possible_duplicate) {
        line.yes("possible_duplicate");
    }
    put_reply(line, event.code, event.dsn, event.reply);
}

template <typename Line>
void put_fields(Line& line, const mail::RemovalEvent& event) {
    put_id(line, event.id);
    if (event.known) {
        line.path("from", event.from);
        line.number("size", event.size_bytes);
    }
    line.seconds("delay", event.delay);
    line.token("status", "removed");
    line.number("delivered", event.delivered);
    line.number("failed", event.failed);
    if (event.deleted > 0) {
        line.number("deleted", event.deleted);
    }
}

template <typename Line>
void put_fields(Line& line, const mail::NotificationEvent& event) {
    put_id(line, event.id);
    line.path("to", event.to);
    line.number("nrcpt", event.recipients);
    line.token("kind", name_of(event.kind));
    line.token("notification", mail::view(event.notification.text()));
}

template <typename Line>
void put_fields(Line& line, const NoticeEvent& event) {
    line.sentence(event.text);
}

std::string_view name_of(const LogEvent& event) {
    constexpr std::string_view kNames[] = {"reception", "attempt", "removal", "notification",
                                           "notice"};
    static_assert(std::size(kNames) == std::variant_size_v<LogEvent>);
    return kNames[event.index()];
}

template <typename Line>
void put_line(Line line, const LogRecord& record, std::optional<std::uint32_t> shard) {
    line.begin(record.time, name_of(severity_of(record.event)), name_of(record.event));
    if (shard) {
        line.number("shard", *shard);
    }
    std::visit([&line](const auto& event) { put_fields(line, event); }, record.event);
    line.end();
}

}  // namespace

mail::Severity severity_of(const LogEvent& event) {
    const auto* notice = std::get_if<NoticeEvent>(&event);
    return notice != nullptr ? notice->severity : mail::Severity::info;
}

void LogLines::append(std::string& out, const LogRecord& record,
                      std::optional<std::uint32_t> shard) {
    switch (format_) {
        case LogFormat::text:
            put_line(TextLine(out, timestamps_), record, shard);
            return;
        case LogFormat::json:
            put_line(JsonLine(out), record, shard);
            return;
    }
}

}  // namespace app
