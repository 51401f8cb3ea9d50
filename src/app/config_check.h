// What no single key can tell: checks over a whole configuration.
#pragma once

#include "app/config.h"
#include "app/config_keys.h"

namespace app {

// Reports to `report`, which has the keys' places. Looks only at values that were read without
// fault.
void check_config(const Config& config, bool is_root, ConfigReport& report);

}  // namespace app
