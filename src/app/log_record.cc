#include "app/log_record.h"

#include <cstring>
#include <type_traits>

#include "app/clean_text.h"
#include "base/assert.h"

namespace app {
namespace {

// What no field in a log line exceeds. Paths have at most 256 octets (RFC 5321 §4.5.3.1.3); a
// little more shows what was refused. All together stay below LogRing::kRecordBytesMax.
constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kPathBytesMax = 400;
constexpr std::size_t kReplyBytesMax = 1000;
constexpr std::size_t kNoticeBytesMax = 4000;

// One list of fields for each event, for both directions. A Visitor takes plain values, and texts
// with their limits.
template <typename Event, typename Visitor>
void visit_fields(Event& event, Visitor& visit) {
    using Plain = std::remove_const_t<Event>;
    if constexpr (std::is_same_v<Plain, mail::ReceptionEvent>) {
        visit.value(event.status), visit.value(event.id), visit.value(event.recipients),
            visit.value(event.size_bytes), visit.value(event.bare_line_ends);
        visit.value(event.delay), visit.value(event.dsn), visit.value(event.code);
        visit.text(event.client, kNameBytesMax), visit.text(event.helo, kNameBytesMax);
        visit.text(event.protocol, kNameBytesMax), visit.text(event.from, kPathBytesMax);
        visit.text(event.to, kPathBytesMax), visit.text(event.reply, kReplyBytesMax);
        visit.text(event.tls, kNameBytesMax);
    } else if constexpr (std::is_same_v<Plain, mail::AttemptEvent>) {
        visit.value(event.status), visit.value(event.id), visit.value(event.delay),
            visit.value(event.size_bytes);
        visit.value(event.attempts), visit.value(event.dsn), visit.value(event.code),
            visit.value(event.next_attempt);
        visit.value(event.possible_duplicate);
        visit.text(event.from, kPathBytesMax), visit.text(event.to, kPathBytesMax);
        visit.text(event.relay, kPathBytesMax), visit.text(event.reply, kReplyBytesMax);
        visit.text(event.tls, kNameBytesMax);
    } else if constexpr (std::is_same_v<Plain, mail::RemovalEvent>) {
        visit.value(event.id), visit.value(event.size_bytes), visit.value(event.delay);
        visit.value(event.delivered), visit.value(event.failed), visit.value(event.deleted);
        visit.value(event.known);
        visit.text(event.from, kPathBytesMax);
    } else if constexpr (std::is_same_v<Plain, mail::NotificationEvent>) {
        visit.value(event.kind), visit.value(event.id), visit.value(event.notification);
        visit.value(event.recipients);
        visit.text(event.to, kPathBytesMax);
    } else {
        static_assert(std::is_same_v<Plain, NoticeEvent>);
        visit.value(event.severity);
        visit.text(event.text, kNoticeBytesMax);
    }
}

class Writer {
  public:
    explicit Writer(base::MutableBytes bytes) : bytes_(bytes) {}

    template <typename T>
    void value(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        copy(&value, sizeof value);
    }
    void text(std::string_view text, std::size_t bytes_max) {
        const std::string_view cut = cut_text(text, bytes_max);
        value(static_cast<std::uint16_t>(cut.size()));
        copy(cut.data(), cut.size());
    }
    [[nodiscard]] base::Bytes written() const { return bytes_.first(used_); }

  private:
    void copy(const void* from, std::size_t size) {
        RP_ASSERT(size <= bytes_.size() - used_);
        if (size > 0) {
            std::memcpy(bytes_.data() + used_, from, size);
        }
        used_ += size;
    }

    base::MutableBytes bytes_;
    std::size_t used_ = 0;
};

class Reader {
  public:
    explicit Reader(base::Bytes bytes) : bytes_(bytes) {}

    template <typename T>
    void value(T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
    }
    void text(std::string_view& text, std::size_t /*bytes_max*/) {
        std::uint16_t size = 0;
        value(size);
        text = base::as_text(take(size));
    }
    [[nodiscard]] bool at_end() const { return bytes_.empty(); }

  private:
    base::Bytes take(std::size_t size) {
        RP_ASSERT(size <= bytes_.size());
        const base::Bytes taken = bytes_.first(size);
        bytes_ = bytes_.subspan(size);
        return taken;
    }

    base::Bytes bytes_;
};

template <std::size_t Index = 0>
LogEvent decode_event(std::size_t index, Reader& reader) {
    if constexpr (Index == std::variant_size_v<LogEvent>) {
        RP_PANIC("no such log event");
    } else {
        if (index != Index) {
            return decode_event<Index + 1>(index, reader);
        }
        std::variant_alternative_t<Index, LogEvent> event;
        visit_fields(event, reader);
        return event;
    }
}

}  // namespace

template <typename Event>
base::Bytes LogRecordBuffer::put_event(base::WallTime time, const Event& event) {
    static const auto index = static_cast<std::uint8_t>(LogEvent(Event()).index());
    Writer writer{base::MutableBytes(bytes_)};
    writer.value(index);
    writer.value(time);
    visit_fields(event, writer);
    return writer.written();
}

base::Bytes LogRecordBuffer::encode(base::WallTime time, const mail::ReceptionEvent& event) {
    return put_event(time, event);
}
base::Bytes LogRecordBuffer::encode(base::WallTime time, const mail::AttemptEvent& event) {
    return put_event(time, event);
}
base::Bytes LogRecordBuffer::encode(base::WallTime time, const mail::RemovalEvent& event) {
    return put_event(time, event);
}
base::Bytes LogRecordBuffer::encode(base::WallTime time, const mail::NotificationEvent& event) {
    return put_event(time, event);
}
base::Bytes LogRecordBuffer::encode(base::WallTime time, const NoticeEvent& event) {
    return put_event(time, event);
}

LogRecord decode_log_record(base::Bytes bytes) {
    Reader reader(bytes);
    std::uint8_t index = 0;
    LogRecord record;
    reader.value(index);
    reader.value(record.time);
    record.event = decode_event(index, reader);
    RP_ASSERT(reader.at_end());
    return record;
}

}  // namespace app
