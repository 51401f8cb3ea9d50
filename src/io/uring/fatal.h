// The end of a process whose environment broke: one line on stderr, exit code 75 (EX_TEMPFAIL, so
// that a supervisor starts it again). No destructor runs and nothing is flushed: what is on disk is
// the truth.
#pragma once

#include <string_view>

namespace io {

[[noreturn]] void end_process(std::string_view sentence) noexcept;

}  // namespace io
