// Reads a configuration: TOML text to a checked Config, or everything that is wrong with it.
//
// Called on the main thread at start, and by the commands that need to know where a server is.
// Reads the file and nothing else: that a spool can be written or a port be bound is found out by
// who does it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "app/config_tree.h"

namespace app {

inline constexpr std::string_view kDefaultConfigPath = "/etc/ringpost/ringpost.toml";

struct ConfigResult {
    std::optional<Config> config;   // absent when there is any error
    std::vector<Problem> problems;  // errors and warnings, in the order of the document
};

// `is_root` decides the default of `control`, whose length is checked.
[[nodiscard]] ConfigResult read_config(std::string_view toml, bool is_root);

// A configuration with its origin, as serve and check use it.
struct LoadedConfig {
    std::string name;  // for messages: the file's name, or "(default)"
    std::string text;
    ConfigResult result;
};

// Never fails otherwise than by a problem: that the file cannot be read is one. At most 1 MiB.
[[nodiscard]] LoadedConfig load_config_file(const std::string& path);
// The embedded default, with its spool in `spool`.
[[nodiscard]] LoadedConfig load_default_config(const std::string& spool);

// "FILE:LINE:COLUMN: what", or "FILE: what" where the place is not known; "warning: " before a
// warning's text.
[[nodiscard]] std::string describe(const std::string& name, const Problem& problem);

// What to run without a configuration: SMTP on 127.0.0.1:2525, all mail to 127.0.0.1:2626, and the
// control socket in `spool`.
[[nodiscard]] std::string default_config_text(std::string_view spool);

// docs/CONFIG.md, from the table that read_config() reads by.
[[nodiscard]] std::string config_reference();

}  // namespace app
