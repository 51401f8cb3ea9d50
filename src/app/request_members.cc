#include "app/request_members.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include <nlohmann/json.hpp>

#include "app/suggest.h"

namespace app {

base::Status check_members(const nlohmann::json& request, std::span<const std::string_view> known) {
    for (const auto& [name, value] : request.items()) {
        if (name == "command" || std::ranges::find(known, name) != known.end()) {
            continue;
        }
        std::string text = shown(name) + " is no member of this request";
        if (const std::string_view meant = nearest(name, known); !meant.empty()) {
            text.append("; did you mean \"").append(meant).append("\"?");
        }
        return base::fail(EINVAL, text);
    }
    return {};
}

}  // namespace app
