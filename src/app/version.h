// What `ringpost --version` prints, and the server logs at start.
#pragma once

#include <string>
#include <string_view>

namespace app {

// "0.1.0"
[[nodiscard]] std::string_view version();

// One line for ringpost and one for each library whose behaviour matters, without a line break at
// the end.
[[nodiscard]] std::string version_text();

}  // namespace app
