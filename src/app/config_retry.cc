// The keys `retry`: a list of waits, or a table of how they grow.
#include <charconv>

#include "app/config_types.h"

namespace app {
namespace {

constexpr std::int64_t kWaitLeastMs = 1000;
constexpr std::int64_t kWaitMostMs = std::int64_t{7} * 24 * 3600 * 1000;
using Wait = DurationType<kWaitLeastMs, kWaitMostMs>;

constexpr std::string_view kExample = R"({ first = "5m", growth = 1.5, cap = "4h", jitter = 0.1 })";

std::string print_number(double value) {
    char text[32];
    const auto done = std::to_chars(text, text + sizeof text, value);
    return {text, done.ptr};
}

struct Range {
    double least;
    double most;
};

void read_number(const TomlEntry& entry, double& value, Range range, ConfigReport& report) {
    const TomlNode& node = entry.value;
    if (node.kind != TomlNode::Kind::real && node.kind != TomlNode::Kind::integer) {
        report.error(node.at, entry.name + " is " + std::string(name_of(node.kind)) +
                                  " where a number such as " + print_number(value) + " belongs");
    } else if (!(node.real >= range.least && node.real <= range.most)) {  // nan is not in it
        report.error(node.at, entry.name + " is not from " + print_number(range.least) + " to " +
                                  print_number(range.most));
    } else {
        value = node.real;
    }
}

void read_growth(const TomlNode& table, queue::RetryGrowth& growth, ConfigReport& report) {
    bool cap_given = false;
    for (const TomlEntry& entry : table.entries) {
        if (entry.name == "first") {
            Wait::read(entry.value, growth.first, report);
        } else if (entry.name == "growth") {
            read_number(entry, growth.growth, {1, 100}, report);
        } else if (entry.name == "cap") {
            cap_given = true;
            Wait::read(entry.value, growth.cap, report);
        } else if (entry.name == "jitter") {
            read_number(entry, growth.jitter, {0, 1}, report);
        } else {
            constexpr std::string_view kNames[] = {"first", "growth", "cap", "jitter"};
            const std::string_view meant = nearest(entry.name, kNames);
            report.error(entry.at, "unknown key " + shown(entry.name) +
                                       (meant.empty() ? "; there are first, growth, cap and jitter"
                                                      : "; did you mean " + shown(meant) + "?"));
        }
    }
    if (growth.first > growth.cap) {
        report.error(table.at, "the first wait (" + print_duration(growth.first) +
                                   ") is longer than the cap (" + print_duration(growth.cap) +
                                   (cap_given ? ")" : ", which is the default); write a cap, too"));
    }
}

}  // namespace

std::string RetryType::values() {
    return "`[\"5m\", \"1h\"]`, or `" + std::string(kExample) + "`; no wait is longer than " +
           print_duration(std::chrono::milliseconds(kWaitMostMs));
}

void RetryType::read(const TomlNode& node, RetryConfig& value, ConfigReport& report) {
    if (node.kind == TomlNode::Kind::list) {
        RetryConfig list;
        ListType<Wait>::read(node, list.waits, report);
        if (node.items.empty()) {
            report.error(node.at, "is empty; write at least one wait, such as [\"5m\"]");
        }
        value = std::move(list);
    } else if (node.kind == TomlNode::Kind::table) {
        RetryConfig table;
        read_growth(node, table.growth, report);
        value = std::move(table);
    } else {
        report.error(node.at, "is " + std::string(name_of(node.kind)) +
                                  " where a list in square brackets belongs, or a table such as " +
                                  std::string(kExample));
    }
}

std::string RetryType::print(const RetryConfig& value) {
    if (!value.waits.empty()) {
        return ListType<Wait>::print(value.waits);
    }
    const queue::RetryGrowth& growth = value.growth;
    return "{ first = " + Wait::print(growth.first) + ", growth = " + print_number(growth.growth) +
           ", cap = " + Wait::print(growth.cap) + ", jitter = " + print_number(growth.jitter) +
           " }";
}

}  // namespace app
