// The words of a filter over the queue: patterns of addresses and domains, as an operator writes
// them, on the command line and in a request to the server alike.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace app {

// `name` is the word's: sender, recipient, domain or tenant. Gives the pattern that is meant, as
// queue/rule_match.h has it: without the angle brackets in which lists and the log show addresses,
// and without a dot at the end of a domain. Errors: a sentence about a pattern that is empty, or
// that no address can match.
[[nodiscard]] base::Result<std::string> filter_pattern(std::string_view name,
                                                       std::string_view text);

}  // namespace app
