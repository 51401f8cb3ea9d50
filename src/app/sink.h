// `ringpost sink`: accepts and discards mail, and counts it.
#pragma once

#include <string>

namespace app {

struct SinkOptions {
    std::string listen;  // "127.0.0.1:2626"; checked by the command line
};

// Runs until SIGINT or SIGTERM, printing messages, bytes and rate each second and at the end. The
// program's exit code.
[[nodiscard]] int run_sink(const SinkOptions& options);

}  // namespace app
