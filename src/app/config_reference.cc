// docs/CONFIG.md and the embedded default configuration.
#include <string>

#include "app/config_keys.h"
#include "app/config_reader.h"

namespace app {
namespace {

constexpr std::string_view kIntroduction =
    R"(# Configuration

<!-- Made by `ringpost config doc` from the table that reads the configuration. Change src/app/config_keys.cc. -->

ringpost reads one TOML file: `ringpost serve --config FILE`, by default `/etc/ringpost/ringpost.toml`. It is read once,
at start. A key that does not exist is an error, not a remark; `ringpost check --config FILE` prints everything that is
wrong, with line and column, and ends with 1 if there is anything.

Durations are text: a number and a unit (`"500ms"`, `"30s"`, `"5m"`, `"12h"`, `"5d"`, `"2w"`), or a sum of them
(`"1h30m"`). Sizes are a number of bytes, or text with a unit of 1000 (`"50MB"`) or of 1024 (`"50MiB"`).

The least that works:

```toml
hostname = "relay.example.com"

[[listener]]
protocol = "smtp"
address  = "0.0.0.0:25"

[[route]]
hosts = ["smarthost.example.com:25"]
```

`ringpost serve --default` uses this one, with the spool that `--spool` names:

```toml
)";

// Escapes for a basic string of TOML.
std::string toml_text(std::string_view text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            result += '\\';
            result += c;
        } else if ((c >= 0 && c < ' ') || c == 0x7f) {
            constexpr std::string_view kHex = "0123456789ABCDEF";
            const auto value = static_cast<unsigned char>(c);
            result.append("\\u00").append(1, kHex[value >> 4U]).append(1, kHex[value & 15U]);
        } else {
            result += c;
        }
    }
    return result + '"';
}

void describe_key(const SectionSpec& section, const KeySpec& key, const void* defaults,
                  std::string& text) {
    text.append("### ")
        .append(section.name.empty() ? "" : std::string(section.name) + ".")
        .append(key.name);
    text.append("\n\n").append(key.description).append("\n\n");
    text.append("- type: ").append(key.type);
    text.append(key.values.empty() ? "" : " (")
        .append(key.values)
        .append(key.values.empty() ? "\n" : ")\n");
    text.append("- default: ");
    if (key.required) {
        text.append("none; it must be given");
    } else if (!key.default_text.empty()) {
        text.append(key.default_text);
    } else {
        text.append("`").append(key.print(defaults)).append("`");
    }
    text.append("\n- example: `")
        .append(key.name)
        .append(" = ")
        .append(key.example)
        .append("`\n\n");
}

}  // namespace

std::string default_config_text(std::string_view spool) {
    std::string text = "hostname = \"localhost\"\n";
    text.append("spool    = ").append(toml_text(spool)).append("\n");
    text.append("control  = ").append(toml_text(std::string(spool) + "/control.sock")).append("\n");
    text.append(R"(
[[listener]]
protocol = "smtp"
address  = "127.0.0.1:2525"

[relay]
networks = ["127.0.0.0/8", "::1/128"]

[queue]
retry  = ["5s", "30s", "5m"]
expire = "5d"

[[route]]
hosts = ["127.0.0.1:2626"]
)");
    return text;
}

std::string config_reference() {
    std::string text(kIntroduction);
    text.append(default_config_text("./ringpost-spool")).append("```\n");
    for (const SectionSpec& section : config_sections()) {
        if (section.name.empty()) {
            text.append("\n## Top level");
        } else {
            text.append("\n## ").append(section.repeated ? "[[" : "[").append(section.name);
            text.append(section.repeated ? "]]" : "]");
        }
        text.append("\n\n").append(section.description).append("\n\n");
        Config config;
        const void* defaults = section.enter(config);
        for (const KeySpec& key : section.keys) {
            describe_key(section, key, defaults, text);
        }
        text.pop_back();
    }
    return text;
}

}  // namespace app
