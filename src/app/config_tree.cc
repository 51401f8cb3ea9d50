// The only file that includes toml++: header-only, without exceptions, and inside our own build, so
// that sanitizers and fuzzers see into it.
#include "app/config_tree.h"

#include <algorithm>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace app {
namespace {

Position position_of(const toml::source_region& region) {
    return {.line = region.begin.line, .column = region.begin.column};
}

// Recursion is as deep as the document nests, which toml++ bounds (256).
TomlNode convert(const toml::node& node) {
    TomlNode result;
    result.at = position_of(node.source());
    switch (node.type()) {
        case toml::node_type::string:
            result.kind = TomlNode::Kind::text;
            result.text = node.as_string()->get();
            break;
        case toml::node_type::integer:
            result.kind = TomlNode::Kind::integer;
            result.integer = node.as_integer()->get();
            break;
        case toml::node_type::floating_point:
            result.kind = TomlNode::Kind::real;
            break;
        case toml::node_type::boolean:
            result.kind = TomlNode::Kind::boolean;
            break;
        case toml::node_type::array:
            result.kind = TomlNode::Kind::list;
            for (const toml::node& item : *node.as_array()) {
                result.items.push_back(convert(item));
            }
            break;
        case toml::node_type::table:
            result.kind = TomlNode::Kind::table;
            for (const auto& [key, value] : *node.as_table()) {
                result.entries.push_back({.name = std::string(key.str()),
                                          .at = position_of(key.source()),
                                          .value = convert(value)});
            }
            // toml++ sorts by name; people read from top to bottom.
            std::ranges::sort(result.entries, {}, &TomlEntry::at);
            break;
        default:
            result.kind = TomlNode::Kind::date_time;
            break;
    }
    return result;
}

}  // namespace

std::string_view name_of(TomlNode::Kind kind) {
    switch (kind) {
        case TomlNode::Kind::text:
            return "text";
        case TomlNode::Kind::integer:
            return "a number";
        case TomlNode::Kind::real:
            return "a number with a fraction";
        case TomlNode::Kind::boolean:
            return "true or false";
        case TomlNode::Kind::date_time:
            return "a date or time";
        case TomlNode::Kind::list:
            return "a list";
        case TomlNode::Kind::table:
            return "a table";
    }
    return "";
}

std::expected<TomlNode, Problem> parse_toml(std::string_view document) {
    const toml::parse_result result = toml::parse(document, std::string_view());
    if (!result) {
        return std::unexpected(Problem{.at = position_of(result.error().source()),
                                       .text = std::string(result.error().description())});
    }
    return convert(result.table());
}

}  // namespace app
