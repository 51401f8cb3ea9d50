// What is doubtful about the place of a spool, though it works.
#pragma once

#include <string>
#include <vector>

namespace app {

// Sentences for the operator; none where all is well, or nothing can be said. REQUIRES: the folder
// is there.
[[nodiscard]] std::vector<std::string> doubts_about_spool(const std::string& path);

}  // namespace app
