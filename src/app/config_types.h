// The types that keys of the configuration can have: how each is read from TOML, printed as TOML,
// and described.
//
// A type is a struct with Value, kName, values(), read() and print(). read() reports every fault it
// finds and leaves the value alone where there is one. Only config_keys.cc and config_retry.cc
// include this.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_keys.h"
#include "app/config_value.h"
#include "app/suggest.h"

namespace app {

// A text that `Parse` understands.
template <typename V, auto Parse, auto Print>
struct TextType {
    using Value = V;
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        if (node.kind != TomlNode::Kind::text) {
            report.error(node.at,
                         "is " + std::string(name_of(node.kind)) + " where text in quotes belongs");
            return;
        }
        if (base::Result<Value> parsed = Parse(node.text)) {
            value = std::move(*parsed);
        } else {
            report.error(node.at, parsed.error().text());
        }
    }
    static std::string print(const Value& value) { return '"' + Print(value) + '"'; }
};

inline std::string print_text(const std::string& text) {
    return text;
}

struct HostNameType : TextType<std::string, parse_host_name, print_text> {
    static constexpr std::string_view kName = "host name";
    static constexpr std::string_view values() { return ""; }
};
struct PathType : TextType<std::string, parse_path, print_text> {
    static constexpr std::string_view kName = "path";
    static constexpr std::string_view values() { return ""; }
};
struct HostPortType
    : TextType<HostPort, parse_host_port, static_cast<std::string (*)(const HostPort&)>(to_text)> {
    static constexpr std::string_view kName = "host and port";
    static constexpr std::string_view kListName = "list of hosts with ports";
    static constexpr std::string_view values() { return "`host:port`, `[IPv6]:port`"; }
};
struct IpPortType
    : TextType<HostPort, parse_ip_port, static_cast<std::string (*)(const HostPort&)>(to_text)> {
    static constexpr std::string_view kName = "IP address and port";
    static constexpr std::string_view values() { return "`IPv4:port`, `[IPv6]:port`"; }
};
struct NetworkType : TextType<net::Network, net::Network::parse,
                              static_cast<std::string (*)(const net::Network&)>(to_text)> {
    static constexpr std::string_view kName = "network";
    static constexpr std::string_view kListName = "list of networks";
    static constexpr std::string_view values() { return "`address/prefix`, or an address"; }
};
struct DomainPatternType : TextType<DomainPattern, parse_domain_pattern,
                                    static_cast<std::string (*)(const DomainPattern&)>(to_text)> {
    static constexpr std::string_view kName = "domain";
    static constexpr std::string_view kListName = "list of domains";
    static constexpr std::string_view values() {
        return "`example.com` is the domain alone; `*.example.com`, or `.example.com`, all below "
               "it";
    }
};

template <std::int64_t MinMs, std::int64_t MaxMs>
struct DurationType {
    using Value = base::Duration;
    static constexpr std::string_view kName = "duration";
    static constexpr std::string_view kListName = "list of durations";
    static std::string values() {
        return "units ms, s, m, h, d, w; from " + print_duration(std::chrono::milliseconds(MinMs)) +
               " to " + print_duration(std::chrono::milliseconds(MaxMs));
    }
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        if (node.kind == TomlNode::Kind::integer) {
            report.error(node.at, "is a number without a unit; did you mean \"" +
                                      std::to_string(node.integer) + "s\"?");
            return;
        }
        Value parsed{};
        if (node.kind != TomlNode::Kind::text) {
            report.error(node.at, "is " + std::string(name_of(node.kind)) +
                                      " where a duration such as \"30s\" belongs");
        } else if (base::Result<Value> result = parse_duration(node.text); !result) {
            report.error(node.at, result.error().text());
        } else if (parsed = *result; parsed < std::chrono::milliseconds(MinMs) ||
                                     parsed > std::chrono::milliseconds(MaxMs)) {
            report.error(node.at, shown(node.text) + " is not from " +
                                      print_duration(std::chrono::milliseconds(MinMs)) + " to " +
                                      print_duration(std::chrono::milliseconds(MaxMs)));
        } else {
            value = parsed;
        }
    }
    static std::string print(const Value& value) { return '"' + print_duration(value) + '"'; }
};

template <std::uint64_t Min, std::uint64_t Max>
struct SizeType {
    using Value = std::uint64_t;
    static constexpr std::string_view kName = "size";
    static std::string values() {
        return "bytes, or with a unit: KB, MB, GB, KiB, MiB, GiB; from " + print_size(Min) +
               " to " + print_size(Max);
    }
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        base::Result<Value> result = base::fail(0);
        if (node.kind == TomlNode::Kind::integer) {
            result = node.integer < 0 ? 0 : static_cast<Value>(node.integer);
        } else if (node.kind == TomlNode::Kind::text) {
            result = parse_size(node.text);
        } else {
            report.error(node.at, "is " + std::string(name_of(node.kind)) +
                                      " where a size such as \"10MiB\" belongs");
            return;
        }
        if (!result) {
            report.error(node.at, result.error().text());
        } else if (*result < Min || *result > Max) {
            report.error(node.at, "is not from " + print_size(Min) + " to " + print_size(Max));
        } else {
            value = *result;
        }
    }
    static std::string print(const Value& value) { return '"' + print_size(value) + '"'; }
};

template <std::uint32_t Min, std::uint32_t Max>
struct CountType {
    using Value = std::uint32_t;
    static constexpr std::string_view kName = "number";
    static std::string values() { return std::to_string(Min) + " to " + std::to_string(Max); }
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        if (node.kind != TomlNode::Kind::integer) {
            report.error(node.at,
                         "is " + std::string(name_of(node.kind)) + " where a number belongs");
        } else if (node.integer < std::int64_t{Min} || node.integer > std::int64_t{Max}) {
            report.error(node.at, "is " + std::to_string(node.integer) + ", not from " + values());
        } else {
            value = static_cast<Value>(node.integer);
        }
    }
    static std::string print(const Value& value) { return std::to_string(value); }
};

// A number, or "auto" for 0.
template <std::uint32_t Max>
struct AutoCountType {
    using Value = std::uint32_t;
    static constexpr std::string_view kName = "number";
    static std::string values() { return "`\"auto\"`, or 1 to " + std::to_string(Max); }
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        if (node.kind != TomlNode::Kind::text) {
            CountType<1, Max>::read(node, value, report);
        } else if (node.text == "auto") {
            value = 0;
        } else {
            report.error(node.at,
                         "is " + shown(node.text) + "; write \"auto\", or a number without quotes");
        }
    }
    static std::string print(const Value& value) {
        return value == 0 ? "\"auto\"" : std::to_string(value);
    }
};

template <typename E>
struct Choice {
    std::string_view name;
    E value;
};

template <typename E, const auto& Choices>
struct ChoiceType {
    using Value = E;
    static constexpr std::string_view kName = "choice";
    static std::string values() {
        std::string text;
        for (const Choice<E>& choice : Choices) {
            text.append(text.empty() ? "" : ", ").append("`\"").append(choice.name).append("\"`");
        }
        return text;
    }
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        std::vector<std::string_view> names;
        for (const Choice<E>& choice : Choices) {
            if (node.kind == TomlNode::Kind::text && node.text == choice.name) {
                value = choice.value;
                return;
            }
            names.push_back(choice.name);
        }
        std::string text = node.kind == TomlNode::Kind::text
                               ? "is " + shown(node.text)
                               : "is " + std::string(name_of(node.kind));
        text += names.size() == 1 ? "; only " : "; one of ";
        for (std::size_t i = 0; i < names.size(); ++i) {
            text.append(i == 0 ? "\"" : ", \"").append(names[i]).append("\"");
        }
        text += " belongs here";
        if (const std::string_view meant = nearest(node.text, names);
            names.size() > 1 && !meant.empty()) {
            text.append("; did you mean \"").append(meant).append("\"?");
        }
        report.error(node.at, std::move(text));
    }
    static std::string print(const Value& value) {
        for (const Choice<E>& choice : Choices) {
            if (choice.value == value) {
                return '"' + std::string(choice.name) + '"';
            }
        }
        return "";
    }
};

template <typename Item>
struct ListType {
    using Value = std::vector<typename Item::Value>;
    static constexpr std::string_view kName = Item::kListName;
    static std::string values() { return std::string(Item::values()); }
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        if (node.kind != TomlNode::Kind::list) {
            report.error(node.at, "is " + std::string(name_of(node.kind)) +
                                      " where a list in square brackets belongs");
            return;
        }
        Value items;
        for (const TomlNode& item : node.items) {
            report.note_item(items.size(), item.at);
            typename Item::Value one{};
            Item::read(item, one, report);
            items.push_back(std::move(one));
        }
        value = std::move(items);
    }
    static std::string print(const Value& value) {
        std::string text = "[";
        for (const auto& item : value) {
            text.append(text.size() > 1 ? ", " : "").append(Item::print(item));
        }
        return text + "]";
    }
};

// A list of waits, or a table of how they grow (RetryConfig).
struct RetryType {
    using Value = RetryConfig;
    static constexpr std::string_view kName = "list of durations, or a table";
    static std::string values();
    static void read(const TomlNode& node, Value& value, ConfigReport& report);
    static std::string print(const Value& value);
};

// A mailbox such as "postmaster@example.com", or "" for none.
struct MailboxType : TextType<std::string, parse_mailbox_or_none, print_text> {
    static constexpr std::string_view kName = "mail address";
    static constexpr std::string_view values() { return "`local@domain`, or empty"; }
};

// What may be left out; then another section's value holds.
template <typename Type>
struct OptionalType {
    using Value = std::optional<typename Type::Value>;
    static constexpr std::string_view kName = Type::kName;
    static std::string values() { return std::string(Type::values()); }
    static void read(const TomlNode& node, Value& value, ConfigReport& report) {
        typename Type::Value one{};
        Type::read(node, one, report);
        value = std::move(one);
    }
    static std::string print(const Value& value) { return value ? Type::print(*value) : ""; }
};

}  // namespace app
