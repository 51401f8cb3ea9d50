// A log event as one line, in either format. docs/LOGGING.md describes every field; keep the two
// together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "app/config.h"
#include "app/log_record.h"
#include "app/timestamp.h"

namespace app {

class LogLines {
  public:
    explicit LogLines(LogFormat format) : format_(format) {}

    // Appends the line with its line break. `shard` is absent for what the control plane has to
    // say. However the texts look, the line has no control characters and no second line break.
    void append(std::string& out, const LogRecord& record, std::optional<std::uint32_t> shard);

  private:
    LogFormat format_;
    Timestamps timestamps_;
};

// Of mail events: info.
[[nodiscard]] mail::Severity severity_of(const LogEvent& event);

}  // namespace app
