// Dates as header fields have them (RFC 5322 §3.3).
#pragma once

#include <string>

#include "base/time.h"

namespace mail {

// Appends "Sun, 22 Nov 2026 09:05:07 +0000": always in UTC, so that nothing depends on the
// machine's time zone. Years are held to 1900–9999, the four digits of the grammar; a clock outside
// of that gives the nearest day within.
void append_date(std::string& out, base::WallTime time);

}  // namespace mail
