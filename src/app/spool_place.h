// What can be seen of a spool from outside: what is doubtful about its place, though it works, and
// whether somebody has it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace app {

// Sentences for the operator; none where all is well, or nothing can be said. REQUIRES: the folder
// is there.
[[nodiscard]] std::vector<std::string> doubts_about_spool(const std::string& path);

// Whether another process holds one of its locks now (see docs/FORMAT.md), so that a start would
// wait. False too where there is no spool, or nothing can be said.
[[nodiscard]] bool spool_is_locked(const std::string& path);

// The process that holds one of its locks now; nothing where there is none, or the kernel does not
// tell (another PID namespace).
[[nodiscard]] std::optional<int> spool_holder(const std::string& path);

}  // namespace app
