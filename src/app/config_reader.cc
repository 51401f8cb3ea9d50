#include "app/config_reader.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include <unistd.h>

#include "app/config_check.h"
#include "app/config_keys.h"
#include "app/config_value.h"
#include "app/suggest.h"

namespace app {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20U;

const SectionSpec* find_section(std::string_view name) {
    for (const SectionSpec& section : config_sections()) {
        if (section.name == name) {
            return &section;
        }
    }
    return nullptr;
}

const KeySpec* find_key(const SectionSpec& section, std::string_view name) {
    for (const KeySpec& key : section.keys) {
        if (key.name == name) {
            return &key;
        }
    }
    return nullptr;
}

std::string header_of(const SectionSpec& section) {
    const std::string name(section.name);
    return section.repeated ? "[[" + name + "]]" : "[" + name + "]";
}

std::string place_of(const SectionSpec& section) {
    return section.name.empty() ? "at the top of the file, before any section"
                                : "into " + header_of(section);
}

// The key of another section that is spelled nearly so, and where it belongs.
std::string suggestion_elsewhere(const SectionSpec& section, std::string_view name) {
    for (const SectionSpec& other : config_sections()) {
        std::vector<std::string_view> names;
        for (const KeySpec& key : other.keys) {
            names.push_back(key.name);
        }
        const std::string_view meant = nearest(name, names);
        if (&other != &section && !meant.empty()) {
            return "; did you mean " + shown(meant) + ", which belongs " + place_of(other) + "?";
        }
    }
    return "";
}

// What was probably meant by a key that does not exist: one of this section by its spelling, or one
// of another section.
std::string suggestion(const SectionSpec& section, std::string_view name) {
    std::vector<std::string_view> names;
    for (const KeySpec& key : section.keys) {
        names.push_back(key.name);
    }
    if (section.name.empty()) {
        for (const SectionSpec& other : config_sections()) {
            if (!other.name.empty()) {
                names.push_back(other.name);
            }
        }
    }
    for (const SectionSpec& other : config_sections()) {
        if (&other != &section && find_key(other, name) != nullptr) {
            return "; it belongs " + place_of(other);
        }
    }
    if (const std::string_view meant = nearest(name, names); !meant.empty()) {
        const SectionSpec* other = section.name.empty() ? find_section(meant) : nullptr;
        return "; did you mean " + (other != nullptr ? header_of(*other) : shown(meant)) + "?";
    }
    if (const std::string elsewhere = suggestion_elsewhere(section, name); !elsewhere.empty()) {
        return elsewhere;
    }
    std::string text = "; there are ";
    for (std::size_t i = 0; i < names.size(); ++i) {
        text.append(i == 0 ? "" : i + 1 == names.size() ? " and " : ", ").append(names[i]);
    }
    return text;
}

void read_section(const SectionSpec& section, const std::string& path, const TomlNode& table,
                  void* values, ConfigReport& report) {
    const std::string prefix = path.empty() ? "" : path + ".";
    for (const TomlEntry& entry : table.entries) {
        if (const KeySpec* key = find_key(section, entry.name)) {
            report.enter(prefix + entry.name, entry.at);
            key->read(entry.value, values, report);
        } else if (!section.name.empty() || find_section(entry.name) == nullptr ||
                   entry.name.empty()) {
            report.enter(path, table.at);
            report.error(entry.at,
                         "unknown key " + shown(entry.name) + suggestion(section, entry.name));
        }
    }
    for (const KeySpec& key : section.keys) {
        if (key.required && !report.given(prefix + std::string(key.name))) {
            report.enter(path, table.at);
            const Position at = path.empty() ? Position{} : table.at;
            report.error(at, std::string(key.name) + " is missing; write for example " +
                                 std::string(key.name) + " = " + std::string(key.example));
        }
    }
}

void read_repeated(const SectionSpec& section, const TomlEntry& entry, Config& config,
                   ConfigReport& report) {
    const std::string name(section.name);
    report.enter(name, entry.at);
    if (entry.value.kind != TomlNode::Kind::list) {
        report.error(entry.at, "is " + std::string(name_of(entry.value.kind)) +
                                   "; begin each with a line [[" + name + "]]");
        return;
    }
    std::size_t index = 0;
    for (const TomlNode& item : entry.value.items) {
        const std::string path = name + "[" + std::to_string(index++) + "]";
        report.enter(path, item.at);
        void* values = section.enter(config);
        if (item.kind != TomlNode::Kind::table) {
            report.error(item.at, "is " + std::string(name_of(item.kind)) +
                                      "; begin each with a line [[" + name + "]]");
        } else {
            read_section(section, path, item, values, report);
        }
    }
}

void read_document(const TomlNode& document, Config& config, ConfigReport& report) {
    read_section(*find_section(""), "", document, &config, report);
    for (const TomlEntry& entry : document.entries) {
        const SectionSpec* section = entry.name.empty() ? nullptr : find_section(entry.name);
        if (section == nullptr) {
            continue;  // a key of the top level, or unknown and reported
        }
        if (section->repeated) {
            read_repeated(*section, entry, config, report);
            continue;
        }
        report.enter(entry.name, entry.at);
        if (entry.value.kind == TomlNode::Kind::table) {
            read_section(*section, entry.name, entry.value, section->enter(config), report);
        } else {
            const bool list = entry.value.kind == TomlNode::Kind::list;
            report.error(entry.at, "is " + std::string(name_of(entry.value.kind)) +
                                       "; begin it with a line [" + entry.name + "]" +
                                       (list ? ", once, with single brackets" : ""));
        }
    }
}

}  // namespace

std::string Config::control_path(bool is_root) const {
    if (!control.empty()) {
        return control;
    }
    return is_root ? "/run/ringpost/control.sock" : spool + "/control.sock";
}

ConfigResult read_config(std::string_view toml, bool is_root) {
    ConfigResult result;
    std::expected<TomlNode, Problem> document = parse_toml(toml);
    if (!document) {
        result.problems.push_back(std::move(document.error()));
        return result;
    }
    Config config;
    ConfigReport report;
    read_document(*document, config, report);
    check_config(config, is_root, report);
    result.problems = report.take();
    for (const Problem& problem : result.problems) {
        if (problem.severity == Problem::Severity::error) {
            return result;
        }
    }
    result.config = std::move(config);
    return result;
}

LoadedConfig load_config_file(const std::string& path) {
    LoadedConfig loaded{.name = path, .text = {}, .result = {}};
    const auto refuse = [&loaded](std::string text) {
        loaded.result.problems.push_back({.at = {}, .text = std::move(text)});
        return loaded;
    };
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               std::fclose);
    if (file == nullptr) {
        return refuse("cannot be read: " + std::string(std::strerror(errno)) +
                      "; name another file with --config FILE");
    }
    loaded.text.resize(kFileBytesMax + 1);
    errno = 0;
    loaded.text.resize(std::fread(loaded.text.data(), 1, loaded.text.size(), file.get()));
    if (std::ferror(file.get()) != 0) {
        return refuse("cannot be read: " + std::string(std::strerror(errno)));
    }
    if (loaded.text.size() > kFileBytesMax) {
        return refuse("is larger than 1 MiB; it does not look like a configuration");
    }
    loaded.result = read_config(loaded.text, ::geteuid() == 0);
    return loaded;
}

LoadedConfig load_default_config(const std::string& spool) {
    std::error_code error;
    const std::filesystem::path whole = std::filesystem::absolute(spool, error);
    LoadedConfig loaded{
        .name = "(default)",
        .text = default_config_text(error ? spool : whole.lexically_normal().string()),
        .result = {}};
    loaded.result = read_config(loaded.text, ::geteuid() == 0);
    return loaded;
}

std::string describe(const std::string& name, const Problem& problem) {
    std::string text = name;
    if (problem.at.line != 0) {
        text += ":" + std::to_string(problem.at.line) + ":" + std::to_string(problem.at.column);
    }
    text += problem.severity == Problem::Severity::warning ? ": warning: " : ": ";
    return text + problem.text;
}

}  // namespace app
