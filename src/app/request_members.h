// The members of a request to the control socket: one that its command does not know is refused,
// since a filter that is misspelt would else mean everything.
#pragma once

#include <span>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace app {

// `known`, beside "command". Errors: a sentence with the name of the first that is not.
[[nodiscard]] base::Status check_members(const nlohmann::json& request,
                                         std::span<const std::string_view> known);

}  // namespace app
