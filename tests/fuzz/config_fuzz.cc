// The configuration reader. Any text gives a configuration or problems; a configuration is within
// the bounds that the table of keys declares, and printed by that table it reads as the same one. A
// file built by the table is read with its values; with one thing wrong it is refused. The latter
// is for inputs that begin with an octet above 127, which no TOML does.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/check.h"
#include "app/config_keys.h"
#include "app/config_reader.h"
#include "base/assert.h"
#include "choices.h"

namespace {

using app::KeySpec;
using app::SectionSpec;

// "30s", "64KiB", "100": milliseconds, octets, or what it counts.
std::uint64_t amount(std::string_view text) {
    constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
        {"ms", 1},          {"s", 1000},        {"m", 60'000},      {"h", 3'600'000},
        {"d", 86'400'000},  {"w", 604'800'000}, {"KiB", 1U << 10U}, {"MiB", 1U << 20U},
        {"GiB", 1U << 30U}, {"KB", 1000},       {"MB", 1'000'000},  {"GB", 1'000'000'000}};
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::uint64_t number = std::stoull(std::string(text.substr(0, digits)));
    text.remove_prefix(digits);
    for (const auto& [name, factor] : kUnits) {
        if (text == name) {
            return number * factor;
        }
    }
    RP_ASSERT(text.empty());
    return number;
}

// What is printed, without its quotes.
std::string_view unquoted(std::string_view text) {
    return text.starts_with('"') ? text.substr(1, text.size() - 2) : text;
}

// The items of a printed list, or the one value.
std::vector<std::string_view> items(std::string_view text) {
    std::vector<std::string_view> all;
    if (!text.starts_with('[')) {
        all.push_back(unquoted(text));
        return all;
    }
    for (text = text.substr(1, text.size() - 2); !text.empty();) {
        const std::size_t end = std::min(text.find(", "), text.size());
        all.push_back(unquoted(text.substr(0, end)));
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return all;
}

// Of a key whose declaration says "… 1 to 256", "… from 1s to 7d".
struct Bounds {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
};

std::optional<Bounds> bounds_of(const KeySpec& key) {
    const std::size_t to = key.values.find(" to ");
    if (to == std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t from = key.values.rfind(' ', to - 1);
    return Bounds{amount(key.values.substr(from + 1, to - from - 1)),
                  amount(key.values.substr(to + 4))};
}

bool may_be_auto(const KeySpec& key) {
    return key.values.contains("\"auto\"");
}

// The structs of a section, one for each time it stands there.
std::vector<const void*> values_of(const SectionSpec& section, app::Config& config) {
    std::vector<const void*> all;
    if (section.name == "listener") {
        for (const app::ListenerConfig& one : config.listeners) {
            all.push_back(&one);
        }
    } else if (section.name == "route") {
        for (const app::RouteConfig& one : config.routes) {
            all.push_back(&one);
        }
    } else {
        RP_ASSERT(!section.repeated);
        all.push_back(section.enter(config));
    }
    return all;
}

std::string header_of(const SectionSpec& section) {
    const std::string name(section.name);
    return name.empty() ? "" : section.repeated ? "[[" + name + "]]\n" : "[" + name + "]\n";
}

void check_bounds(const KeySpec& key, const void* values) {
    const std::optional<Bounds> bounds = bounds_of(key);
    const std::string printed = key.print(values);
    const bool bounded = bounds && !printed.empty();  // a route's may be left out
    for (const std::string_view item : bounded ? items(printed) : std::vector<std::string_view>()) {
        RP_ASSERT((item == "auto" && may_be_auto(key)) ||
                  (amount(item) >= bounds->least && amount(item) <= bounds->most));
    }
}

void check_config(app::Config config, bool is_root) {
    RP_ASSERT(config.control_path(is_root).size() <= 107);
    RP_ASSERT(!app::summary(config, is_root).empty());
    std::string text;
    for (const SectionSpec& section : app::config_sections()) {
        for (const void* values : values_of(section, config)) {
            text += header_of(section);
            for (const KeySpec& key : section.keys) {
                check_bounds(key, values);
                const bool given = !key.print(values).empty();
                if (given && (key.name != "control" || !config.control.empty())) {
                    text += std::string(key.name) + " = " + key.print(values) + "\n";
                }
            }
        }
    }
    if ((config.spool + config.control).find_first_of("\"\\") != std::string::npos) {
        return;  // the table prints for people, who quote such a path themselves
    }
    const app::ConfigResult again = app::read_config(text, is_root);
    RP_ASSERT(again.config && *again.config == config);
}

// A key as it was written, with what it has to print as.
struct Written {
    const SectionSpec* section = nullptr;
    const KeySpec* key = nullptr;
    std::size_t index = 0;           // of its section
    std::vector<std::string> items;  // unquoted
    bool list = false;
    bool plain = false;  // a number stands without quotes
};

struct File {
    std::vector<Written> keys;
    std::uint64_t least_expire = 0;
};

std::uint64_t any_within(Choices& choices, std::uint64_t least, std::uint64_t most) {
    const std::uint64_t where = choices.below(256) * 256 + choices.below(256);
    return choices.below(4) == 0   ? least
           : choices.below(4) == 0 ? most
                                   : least + (most - least) / 65535 * where;
}

void write_value(Written& written, File& file, Choices& choices) {
    const KeySpec& key = *written.key;
    const std::string_view type = key.type;
    written.list = type.starts_with("list");
    const std::size_t count = written.list ? 1 + choices.below(3) : 1;
    const std::string index = std::to_string(1000 + written.index);
    for (std::size_t i = 0; i < count; ++i) {
        const std::string number = std::to_string(i);
        std::string item;
        if (const std::optional<Bounds> bounds = bounds_of(key)) {
            const std::uint64_t least =
                key.name == "expire" ? std::max(bounds->least, file.least_expire) : bounds->least;
            const std::uint64_t value = any_within(choices, least, bounds->most);
            item = std::to_string(value);
            if (type.ends_with("duration") || type.ends_with("durations")) {
                item = value % 1000 == 0 ? std::to_string(value / 1000) + "s" : item + "ms";
            } else if (type == "number" && may_be_auto(key) && choices.coin()) {
                item = "auto";
            }
            written.plain = type == "number" || type == "size" ? item != "auto" : false;
        } else if (key.name == "retry") {
            const std::uint64_t value = any_within(choices, 1000, 604'800'000);
            file.least_expire = i == 0 ? value : file.least_expire;
            item = std::to_string(value) + "ms";
        } else if (type == "mail address") {
            item = std::string(choices.one_of("", "postmaster@x.example"));
        } else if (type == "choice") {
            std::vector<std::string> names;
            for (std::string_view left = key.values; left.contains("`\"");) {
                left.remove_prefix(left.find("`\"") + 2);
                names.emplace_back(left.substr(0, left.find('"')));
            }
            item = names[choices.below(names.size())];
        } else if (type == "host name") {
            item = choices.word("abcxyz0189", 1, 20) + ".x" + choices.word("a-", 0, 5) + "0";
        } else if (type == "path") {
            item = "/" + choices.word("abc/._- ~", 1, 60);
        } else if (type == "IP address and port") {
            item = std::string(choices.one_of("127.0.0.1:", "[::1]:", "0.0.0.0:")) + index;
        } else if (type == "list of hosts with ports") {
            item = std::string(choices.one_of("192.0.2.", "10.9.8.")) + number + ":25";
        } else if (type == "list of networks") {
            item = "10." + number + ".0.0/" + std::to_string(16 + choices.below(17));
        } else if (type == "list of domains") {
            item = std::string(choices.one_of("", "*.")) + "d" + number + ".example";
        } else {
            RP_PANIC("a type of key that this target cannot write");
        }
        written.items.push_back(item);
    }
}

File build(Choices& choices) {
    File file;
    for (const SectionSpec& section : app::config_sections()) {
        const std::size_t times = section.name == "listener" ? 1 + choices.below(3) : 1;
        for (std::size_t index = 0; index < times; ++index) {
            for (const KeySpec& key : section.keys) {
                Written written{&section, &key, index, {}, false, false};
                write_value(written, file, choices);
                file.keys.push_back(written);
            }
        }
    }
    return file;
}

std::string text_of(const Written& written) {
    std::string text;
    for (const std::string& item : written.items) {
        const std::string quote = written.plain ? "" : "\"";
        text += (text.empty() ? "" : ", ") + quote + item + quote;
    }
    return std::string(written.key->name) + " = " + (written.list ? "[" + text + "]" : text) + "\n";
}

std::string text_of(const File& file) {
    std::string text;
    const SectionSpec* section = nullptr;
    std::size_t index = 0;
    for (const Written& written : file.keys) {
        if (written.section != section || written.index != index) {
            text += header_of(*written.section);
        }
        section = written.section;
        index = written.index;
        text += text_of(written);
    }
    return text;
}

void check_written(const Written& written, app::Config& config) {
    const void* values = values_of(*written.section, config)[written.index];
    const std::string printed = written.key->print(values);
    const std::vector<std::string_view> read = items(printed);
    RP_ASSERT(read.size() == written.items.size());
    for (std::size_t i = 0; i < read.size(); ++i) {
        const bool number =
            written.key->name == "retry" || (bounds_of(*written.key) && read[i] != "auto");
        RP_ASSERT(number ? amount(read[i]) == amount(written.items[i])
                         : read[i] == written.items[i]);
    }
}

// Makes one thing wrong.
void spoil(File& file, Choices& choices) {
    Written& written = file.keys[choices.below(file.keys.size())];
    const std::optional<Bounds> bounds = bounds_of(*written.key);
    std::string& item = written.items[choices.below(written.items.size())];
    const std::size_t how = choices.below(5);
    if (how < 3 && bounds) {
        const bool under = choices.coin() && bounds->least > 0;
        const bool time = written.key->type.contains("duration");
        item = std::to_string(under ? bounds->least - 1 : bounds->most + 1) + (time ? "ms" : "");
        written.plain = !time;
    } else if (how == 1) {
        item = written.key->type.contains("path") ? "" : "?";
        written.plain = false;
    } else if (how == 2) {
        item = "1979-05-27";
        written.plain = true;
    } else if (how == 3) {
        static const KeySpec unknown{"nonsense", "", "", false, {}, {}, {}, nullptr, nullptr};
        written.key = &unknown;
    } else {
        file.keys.push_back(file.keys.back());  // a key twice
    }
}

void check_built(Choices choices) {
    const bool is_root = choices.coin();
    File file = build(choices);
    app::ConfigResult result = app::read_config(text_of(file), is_root);
    RP_ASSERT(result.config);
    for (const Written& written : file.keys) {
        check_written(written, *result.config);
    }
    spoil(file, choices);
    RP_ASSERT(!app::read_config(text_of(file), is_root).config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (size > 0 && data[0] > 127) {
        check_built(Choices(text.substr(1)));
        return 0;
    }
    const bool is_root = size % 2 == 0;
    const app::ConfigResult result = app::read_config(text, is_root);
    RP_ASSERT(result.config.has_value() || !result.problems.empty());
    for (const app::Problem& problem : result.problems) {
        RP_ASSERT(!problem.text.empty());
        RP_ASSERT(!app::describe("f", problem).contains('\n'));
        RP_ASSERT(!result.config || problem.severity == app::Problem::Severity::warning);
    }
    if (result.config) {
        check_config(*result.config, is_root);
    }
    return 0;
}
