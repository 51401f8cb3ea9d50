// `ringpost check`: everything that is wrong with a configuration.
#pragma once

#include <cstdio>
#include <string>

#include "app/config_reader.h"

namespace app {

struct CheckOptions {
    std::string config_path;
};

// Prints errors and warnings to `err`, or "FILE: ok" and a summary to `out`. The program's exit
// code: 0 when the server would take the configuration (warnings are no obstacle), else 1.
[[nodiscard]] int run_check(const CheckOptions& options, std::FILE* out, std::FILE* err);

// What a valid configuration will do, in a few lines.
[[nodiscard]] std::string summary(const Config& config, bool is_root);

// Prints each problem on a line of its own. Gives the configuration, or nullptr when it cannot be
// used.
[[nodiscard]] const Config* print_problems(const LoadedConfig& loaded, std::FILE* err);

}  // namespace app
