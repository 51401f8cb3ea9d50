// A TOML document as a plain tree with positions. Keeps the TOML library (slow to compile) inside
// one source file.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace app {

// Both count from 1; a column counts characters, not bytes. Zero: the place is not known.
struct Position {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    friend auto operator<=>(const Position&, const Position&) = default;
};

// Something wrong with a configuration, as a sentence. A warning does not keep the program from
// starting.
struct Problem {
    enum class Severity : std::uint8_t { error, warning };
    Position at;
    std::string text;
    Severity severity = Severity::error;
};

struct TomlEntry;

struct TomlNode {
    enum class Kind : std::uint8_t { text, integer, real, boolean, date_time, list, table };

    Kind kind = Kind::table;
    Position at;
    std::string text;                // of a text, UTF-8
    std::int64_t integer = 0;        // of an integer
    double real = 0;                 // of a real, and of an integer
    std::vector<TomlNode> items;     // of a list
    std::vector<TomlEntry> entries;  // of a table, in the document's order
};

struct TomlEntry {
    std::string name;
    Position at;
    TomlNode value;
};

// "text", "a number", … for messages.
[[nodiscard]] std::string_view name_of(TomlNode::Kind kind);

// The document's table, or the first thing in it that is not TOML.
[[nodiscard]] std::expected<TomlNode, Problem> parse_toml(std::string_view document);

}  // namespace app
