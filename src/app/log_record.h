// Log events as bytes, for the way through a LogRing. Not a stored format: it lives inside one
// process.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "app/log_ring.h"
#include "base/bytes.h"
#include "base/time.h"
#include "mail/log_event.h"

namespace app {

struct NoticeEvent {
    mail::Severity severity = mail::Severity::info;
    std::string_view text;
};

using LogEvent = std::variant<mail::ReceptionEvent, mail::AttemptEvent, mail::RemovalEvent,
                              mail::NotificationEvent, NoticeEvent>;

struct LogRecord {
    base::WallTime time;
    LogEvent event;  // its views point into the bytes
};

// Where one record is built, on the stack.
class LogRecordBuffer {
  public:
    // Long texts are cut. What encode() gives holds until the next call.
    [[nodiscard]] base::Bytes encode(base::WallTime time, const mail::ReceptionEvent& event);
    [[nodiscard]] base::Bytes encode(base::WallTime time, const mail::AttemptEvent& event);
    [[nodiscard]] base::Bytes encode(base::WallTime time, const mail::RemovalEvent& event);
    [[nodiscard]] base::Bytes encode(base::WallTime time, const mail::NotificationEvent& event);
    [[nodiscard]] base::Bytes encode(base::WallTime time, const NoticeEvent& event);

  private:
    template <typename Event>
    base::Bytes put_event(base::WallTime time, const Event& event);

    std::byte bytes_[LogRing::kRecordBytesMax];  // not cleared: only what was written is read
};

// REQUIRES: `bytes` came from encode().
[[nodiscard]] LogRecord decode_log_record(base::Bytes bytes);

}  // namespace app
