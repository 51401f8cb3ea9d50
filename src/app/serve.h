// `ringpost serve`: the server.
#pragma once

#include <string>

namespace app {

struct ServeOptions {
    std::string config_path;    // a file; unused with use_default
    bool use_default = false;   // run the embedded default configuration …
    std::string default_spool;  // … with its spool here
    bool salvage = false;       // start in spite of a damaged spool (docs/FORMAT.md)
};

// Runs until SIGINT or SIGTERM. The program's exit code: 0 after a clean stop, 1 when it could not
// start or go on.
[[nodiscard]] int run_serve(const ServeOptions& options);

}  // namespace app
