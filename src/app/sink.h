// `ringpost sink`: accepts and discards mail, and counts it; puts off some of it, when asked to.
#pragma once

#include <cstdint>
#include <string>

namespace app {

struct SinkOptions {
    std::string listen;               // "127.0.0.1:2626"; checked by the command line
    std::uint32_t defer_percent = 0;  // of the messages; they are not counted
};

// Runs until SIGINT or SIGTERM, printing messages, bytes and rate each second and at the end. The
// program's exit code.
[[nodiscard]] int run_sink(const SinkOptions& options);

}  // namespace app
