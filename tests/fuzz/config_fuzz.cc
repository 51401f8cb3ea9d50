// The configuration reader takes any text: it gives a configuration or problems, never both
// nothing, and what it gives is within the limits that its table declares.
#include <cstdint>
#include <string_view>

#include "app/check.h"
#include "app/config_reader.h"
#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const app::ConfigResult result = app::read_config(text, size % 2 == 0);
    RP_ASSERT(result.config.has_value() || !result.problems.empty());
    for (const app::Problem& problem : result.problems) {
        RP_ASSERT(!problem.text.empty());
        RP_ASSERT(!app::describe("f", problem).contains('\n'));
    }
    if (result.config) {
        const app::Config& config = *result.config;
        RP_ASSERT(!config.hostname.empty() && !config.listeners.empty() &&
                  config.routes.size() == 1);
        RP_ASSERT(!config.routes[0].hosts.empty() && !config.queue.retry.empty());
        RP_ASSERT(config.shards <= 256 && config.limits.recipients >= 100);
        RP_ASSERT(config.control_path(size % 2 == 0).size() <= 107);
        RP_ASSERT(!app::summary(config, true).empty());
    }
    return 0;
}
