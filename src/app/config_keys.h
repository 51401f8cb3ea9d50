// The keys of the configuration, each declared once: what reads it also documents it.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "app/config_tree.h"

namespace app {

// Collects what is wrong while a document is read, and where each key stood.
class ConfigReport {
  public:
    // Names what is being read, "queue.retry" or "listener[1].address"; the texts that follow begin
    // with it.
    void enter(std::string path, Position at);
    void error(Position at, std::string text);
    void warning(Position at, std::string text);
    // About a key that was read before, at its place (or its section's, when the key was left out).
    void error_about(const std::string& path, std::string text);
    void warning_about(const std::string& path, std::string text);
    // An item of the list that is being read stands at `at`.
    void note_item(std::size_t index, Position at);

    // The key was given.
    [[nodiscard]] bool given(const std::string& path) const { return positions_.contains(path); }
    // Nothing is wrong with the key so far.
    [[nodiscard]] bool clean(const std::string& path) const { return !failed_.contains(path); }
    // In the order of the document.
    [[nodiscard]] std::vector<Problem> take();

  private:
    [[nodiscard]] Position position(std::string path) const;

    std::string path_;
    std::map<std::string, Position> positions_;
    std::set<std::string> failed_;
    std::vector<Problem> problems_;
};

struct KeySpec {
    std::string_view name;
    std::string_view description;
    std::string_view example;  // as TOML
    bool required = false;
    std::string_view default_text = {};  // in words, where the value alone does not say it
    std::string_view type = {};
    std::string_view values = {};  // the choices, the unit or the range
    // Reads into, and prints from, the struct of the key's section.
    void (*read)(const TomlNode& node, void* section, ConfigReport& report) = nullptr;
    std::string (*print)(const void* section) = nullptr;
};

struct SectionSpec {
    std::string_view name;  // "" for the top level
    bool repeated = false;  // [[name]]
    std::string_view description;
    std::span<const KeySpec> keys;
    // Where the section's values go; a repeated one is appended.
    void* (*enter)(Config& config) = nullptr;
};

[[nodiscard]] std::span<const SectionSpec> config_sections();

}  // namespace app
