// The filter of `ringpost queue`: which messages and recipients a command is about. On the command
// line, in a request to the server, and as the store's rule.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "base/time.h"
#include "mail/queue_id.h"
#include "store/rule.h"

namespace app {

// As given on the command line; "" and empty mean any.
struct QueueFilterOptions {
    std::vector<std::string> ids = {};
    std::string sender = {};
    std::string recipient = {};
    std::string domain = {};
    std::string tenant = {};
    std::vector<std::string> states = {};
    std::string older_than = {};
    std::string newer_than = {};
    bool all = false;

    [[nodiscard]] bool empty() const {
        return ids.empty() && sender.empty() && recipient.empty() && domain.empty() &&
               tenant.empty() && states.empty() && older_than.empty() && newer_than.empty();
    }
};

// Into the parameters of a request. Errors: a word that is none of its kind, as a sentence.
[[nodiscard]] base::Status put_filter(nlohmann::json& request, const QueueFilterOptions& filter);

struct QueueFilter {
    store::Rule rule;  // without ids
    std::vector<mail::QueueId> ids;
    bool given = false;  // any of it; else it means all
};
// Out of a request that may have `others` besides, and nothing else; ages count from `now`. Errors
// are sentences for who sent it.
[[nodiscard]] base::Result<QueueFilter> filter_of(const nlohmann::json& request, base::WallTime now,
                                                  std::span<const std::string_view> others);
// … of a command that changes the queue: what it means is said, if it is "all".
[[nodiscard]] base::Result<QueueFilter> chosen_by(const nlohmann::json& request, base::WallTime now,
                                                  std::span<const std::string_view> others);

}  // namespace app
