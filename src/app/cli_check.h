// Checks of values on the command line, as CLI11 wants them: "" is good, anything else is the
// fault.
#pragma once

#include <string>

namespace app {

[[nodiscard]] std::string check_listen(const std::string& text);
[[nodiscard]] std::string check_queue_id(const std::string& text);
[[nodiscard]] std::string check_count(const std::string& text);
// A script's variable that is not set gives "": what would else be no filter, or another server.
[[nodiscard]] std::string check_given(const std::string& text);
[[nodiscard]] std::string check_state(const std::string& text);
[[nodiscard]] std::string check_reason(const std::string& text);
[[nodiscard]] std::string check_age(const std::string& text);
// "2a", or the name of the file.
[[nodiscard]] std::string check_segment(const std::string& text);

}  // namespace app
