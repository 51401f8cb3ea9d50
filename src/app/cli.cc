// The only file that includes CLI11. Its exceptions stop here.
#include "app/cli.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "app/config_reader.h"
#include "app/config_value.h"
#include "app/queue_pattern.h"
#include "app/suggest.h"
#include "app/version.h"
#include "mail/queue_id.h"
#include "store/format.h"
#include "store/rule.h"

namespace app {
namespace {

constexpr const char* kDefaultSpool = "./ringpost-spool";

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 failed, with the reason on standard error; 2 bad usage.";

// Answers of CLI11's checks: "" is good, anything else is the fault.
std::string check_listen(const std::string& text) {
    const base::Result<HostPort> address = parse_ip_port(text);
    return address ? "" : address.error().text();
}

std::string check_queue_id(const std::string& text) {
    return mail::QueueId::parse(text)
               ? ""
               : shown(text) + " is not a queue id; `ringpost queue list` shows them";
}

std::string check_count(const std::string& text) {
    constexpr std::size_t kDigitsMax = 18;
    const bool number = !text.empty() && text.size() <= kDigitsMax &&
                        std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    return number ? "" : shown(text) + " is not a number of messages";
}

// A script's variable that is not set gives "": what would else be no filter, or another server.
std::string check_given(const std::string& text) {
    return text.empty() ? "is empty; give a value, or leave the option away" : "";
}

std::string check_state(const std::string& text) {
    return text == "pending" || text == "deferred" || text == "held"
               ? ""
               : shown(text) + " is none of pending, deferred and held";
}

std::string check_reason(const std::string& text) {
    return text.size() <= store::Rule::kTextBytesMax
               ? check_given(text)
               : "is longer than " + std::to_string(store::Rule::kTextBytesMax) + " octets";
}

std::string check_age(const std::string& text) {
    const base::Result<base::Duration> age = parse_duration(text);
    return age ? "" : age.error().text();
}

// "2a", or the name of the file.
std::string check_segment(const std::string& text) {
    constexpr std::size_t kDigitsMax = 8;
    const bool number = !text.empty() && text.size() <= kDigitsMax &&
                        text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    return number || store::format::parse_segment_name(text)
               ? ""
               : shown(text) + " is not a segment's id in hexadecimal";
}

// A word where a command belongs: CLI11 only says that a command is missing. Empty: it is no such
// case.
std::string unknown_command(const CLI::App& app) {
    const std::vector<CLI::App*> chosen = app.get_subcommands();
    const CLI::App& last = chosen.empty() ? app : *chosen.front();
    const std::vector<std::string> left = last.remaining();
    const std::vector<const CLI::App*> known =
        last.get_subcommands([](const CLI::App*) { return true; });
    if (known.empty() || !last.get_subcommands().empty() || left.empty() ||
        left.front().starts_with('-')) {
        return "";
    }
    std::vector<std::string> names;
    names.reserve(known.size());
    for (const CLI::App* one : known) {
        names.push_back(one->get_name());
    }
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const std::string_view meant = nearest(left.front(), candidates);
    std::string text = shown(left.front()) + " is no command";
    if (!chosen.empty()) {
        text += " of " + last.get_name();
    }
    if (!meant.empty()) {
        text.append("; did you mean \"").append(meant).append("\"?");
    }
    return text;
}

// "--sender=", of which CLI11 would take the next word as the value. Empty: there is none.
std::string option_without_value(int argc, const char* const* argv) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--") {
            break;
        }
        if (word.starts_with("--") && word.find('=') == word.size() - 1) {
            return std::string(word.substr(0, word.size() - 1)) + ": " + check_given("");
        }
    }
    return "";
}

struct Parsed {
    ServeOptions serve{.config_path = std::string(kDefaultConfigPath),
                       .use_default = false,
                       .default_spool = kDefaultSpool};
    SinkOptions sink{.listen = "127.0.0.1:2626", .defer_percent = 0};
    CheckOptions check{.config_path = std::string(kDefaultConfigPath)};
    QueueListOptions list;
    QueueShowOptions show;
    QueueExplainOptions explain;
    QueueStatsOptions stats;
    std::array<QueueRuleOptions, 5> rules;  // as kRules
    SpoolVerifyOptions verify;
    SpoolDumpOptions dump;
    SpoolAddOptions add;
    std::string print_spool = kDefaultSpool;
};

CLI::Option* add_config(CLI::App* command, std::string& path) {
    return command->add_option("-c,--config", path, "The configuration file")
        ->type_name("FILE")
        ->capture_default_str();
}

CLI::App* add_serve(CLI::App& app, Parsed& parsed) {
    CLI::App* command = app.add_subcommand("serve", "Run the server, in the foreground");
    CLI::Option* config = add_config(command, parsed.serve.config_path);
    CLI::Option* use_default = command->add_flag(
        "--default", parsed.serve.use_default,
        "Use the embedded configuration: SMTP on 127.0.0.1:2525, all mail to 127.0.0.1:2626");
    use_default->excludes(config);
    command
        ->add_option("--spool", parsed.serve.default_spool,
                     "With --default: the directory that keeps the mail")
        ->type_name("DIR")
        ->capture_default_str()
        ->needs(use_default);
    command->add_flag("--salvage", parsed.serve.salvage,
                      "Start in spite of damage in the spool: go on with every message that is "
                      "whole, and log what is lost. For one start, after one that was refused");
    command->footer(
        "Runs until SIGINT or SIGTERM, and logs to standard error.\n\n"
        "  ringpost serve --config ringpost.toml\n"
        "  ringpost serve --default --spool /tmp/spool\n");
    return command;
}

CLI::App* add_check(CLI::App& app, Parsed& parsed) {
    CLI::App* command =
        app.add_subcommand("check", "Print everything that is wrong with a configuration");
    add_config(command, parsed.check.config_path);
    command->footer(
        "Ends with 0 when a server would start with it, else with 1.\n\n"
        "  ringpost check --config ringpost.toml\n");
    return command;
}

void add_server_place(CLI::App* command, ServerPlace& place) {
    place.config_path = kDefaultConfigPath;
    CLI::Option* config =
        command
            ->add_option("-c,--config", place.config_path,
                         "The configuration of the server, which says where its control socket is")
            ->type_name("FILE")
            ->capture_default_str();
    CLI::Option* use_default = command->add_flag_callback(
        "--default",
        [&place] {
            if (place.spool.empty()) {
                place.spool = kDefaultSpool;
            }
        },
        "The server was started with --default");
    CLI::Option* spool = command
                             ->add_option("--spool", place.spool,
                                          "The spool of the server, with the control socket in it")
                             ->type_name("DIR")
                             ->check(check_given, "");
    CLI::Option* control =
        command->add_option("--control", place.control, "The control socket of the server")
            ->type_name("PATH")
            ->check(check_given, "");
    use_default->excludes(config);
    spool->excludes(config);
    control->excludes(config)->excludes(spool)->excludes(use_default);
}

struct QueueCommands {
    CLI::App* list;
    CLI::App* show;
    CLI::App* explain;
    CLI::App* stats;
    std::vector<CLI::App*> rules;  // as kRules
};

struct RuleCommand {
    const char* name;
    const char* alias;
    const char* about;
};
constexpr std::array kRules = {
    RuleCommand{"hold", "", "Keep messages in the queue, untried, until they are released"},
    RuleCommand{"release", "", "Let go what is held: it is tried at once"},
    RuleCommand{"retry", "flush", "Try what is deferred now, instead of at its time"},
    RuleCommand{"bounce", "", "Give messages up, and tell their senders"},
    RuleCommand{"delete", "", "Take messages out of the queue, and tell nobody"},
};

void add_pattern(CLI::App* command, const std::string& word, std::string& value,
                 const std::string& about, const char* type) {
    command->add_option("--" + word, value, about)
        ->type_name(type)
        ->check(
            [word](const std::string& text) {
                const base::Result<std::string> pattern = filter_pattern(word, text);
                return pattern ? std::string() : std::string(pattern.error().text());
            },
            "");
}

void add_age(CLI::App* command, const char* name, std::string& value, const char* about) {
    command->add_option(name, value, about)->type_name("AGE")->check(check_age, "");
}

void add_filter(CLI::App* command, QueueFilterOptions& filter, bool ids) {
    if (ids) {
        command->add_option("id", filter.ids, "Queue ids")
            ->type_name("ID")
            ->check(check_queue_id, "");
    }
    add_pattern(command, "sender", filter.sender, "… from local@domain, @domain, or <>", "ADDRESS");
    add_pattern(command, "recipient", filter.recipient, "… for local@domain or @domain alone",
                "ADDRESS");
    add_pattern(command, "domain", filter.domain,
                "… for recipients at this domain alone; *.example.com: at all below it", "DOMAIN");
    add_pattern(command, "tenant", filter.tenant, "… of this tenant: the sender's domain",
                "DOMAIN");
    command->add_option("--state", filter.states, "… for recipients in this state alone")
        ->type_name("pending|deferred|held")
        ->check(check_state, "")
        ->allow_extra_args(false);  // given again for another one: what follows may be an id
    add_age(command, "--older-than", filter.older_than, "… that arrived so long ago, or longer");
    add_age(command, "--newer-than", filter.newer_than, "… that arrived since");
}

// All of a kind have the same options; the one that was given tells which it was.
CLI::App* add_queue_rule(CLI::App& queue, const RuleCommand& rule, QueueRuleOptions& options) {
    CLI::App* command = queue.add_subcommand(rule.name, rule.about);
    if (*rule.alias != '\0') {
        command->alias(rule.alias);
    }
    add_filter(command, options.filter, true);
    command->add_flag("--all", options.filter.all, "… whatever is queued");
    if (std::string_view(rule.name) == "bounce") {
        command->add_option("--reason", options.reason, "Words for the sender")
            ->type_name("TEXT")
            ->check(check_reason, "");
    }
    command->add_flag("--wait", options.wait,
                      "Stay until all messages have been looked at, and show how far it is; the "
                      "command is in force before that");
    command->add_flag("--json", options.json,
                      "Print a JSON object; docs/CONTROL.md has the fields");
    add_server_place(command, options.server);
    return command;
}

CLI::App* add_queue_stats(CLI::App& queue, QueueStatsOptions& options) {
    CLI::App* stats = queue.add_subcommand(
        "stats", "Count what is queued, and show next hops and commands that are under way");
    stats
        ->add_option("--by", options.by,
                     "Count by domain (of recipients), sender or tenant; looks at each message")
        ->type_name("domain|sender|tenant")
        ->check(CLI::IsMember({"domain", "sender", "tenant"}), "");
    add_filter(stats, options.filter, false);
    stats->add_flag("--json", options.json,
                    "Print one JSON object per line; docs/CONTROL.md has the fields");
    add_server_place(stats, options.server);
    return stats;
}

void add_queue_id(CLI::App* command, std::string& id) {
    command->add_option("id", id, "The queue id, as in the log and the listing")
        ->type_name("ID")
        ->required()
        ->check(check_queue_id, "");
}

CLI::App* add_queue_show(CLI::App& queue, QueueShowOptions& options) {
    CLI::App* show = queue.add_subcommand(
        "show", "Show one message: its envelope, every attempt at each recipient, its headers");
    add_queue_id(show, options.id);
    CLI::Option* json = show->add_flag("--json", options.json,
                                       "Print a JSON object; docs/CONTROL.md has the fields");
    show->add_flag("--content", options.content,
                   "Print its content instead, with the headers that were added, byte for byte")
        ->excludes(json);
    add_server_place(show, options.server);
    return show;
}

QueueCommands add_queue(CLI::App& app, Parsed& parsed) {
    CLI::App* queue =
        app.add_subcommand("queue", "Look at the queue of a running server, and command it");
    queue->require_subcommand(1);
    queue->footer(
        "  ringpost queue list --spool ./ringpost-spool\n"
        "  ringpost queue list --json | jq -r .id\n"
        "  ringpost queue show 000002000000G\n"
        "  ringpost queue explain 000002000000G\n"
        "  ringpost queue stats --by domain\n"
        "  ringpost queue hold --domain example.com\n"
        "  ringpost queue bounce --sender @src.test --older-than 2d --reason \"sent by "
        "mistake\"\n");

    CLI::App* list =
        queue->add_subcommand("list", "List the messages in the queue, in no order of time");
    list->add_flag("--json", parsed.list.json,
                   "Print one JSON object per message and line; docs/CONTROL.md has the "
                   "fields");
    list->add_option("--limit", parsed.list.limit, "Stop after so many messages (0: none left out)")
        ->type_name("N")
        ->check(check_count, "")
        ->capture_default_str();
    add_filter(list, parsed.list.filter, true);
    add_server_place(list, parsed.list.server);

    CLI::App* show = add_queue_show(*queue, parsed.show);
    CLI::App* explain = queue->add_subcommand(
        "explain",
        "Say why a message is not delivered yet: what it waits for, and when it is next");
    add_queue_id(explain, parsed.explain.id);
    explain->add_flag("--json", parsed.explain.json,
                      "Print a JSON object; docs/CONTROL.md has the fields");
    add_server_place(explain, parsed.explain.server);
    CLI::App* stats = add_queue_stats(*queue, parsed.stats);
    std::vector<CLI::App*> rules;
    for (std::size_t i = 0; i < kRules.size(); ++i) {
        rules.push_back(add_queue_rule(*queue, kRules[i], parsed.rules[i]));
    }
    return {list, show, explain, stats, std::move(rules)};
}

struct SpoolCommands {
    CLI::App* verify;
    CLI::App* dump;
    CLI::App* add;
};

void add_spool_path(CLI::App* command, std::string& path) {
    command->add_option("dir", path, "The spool")->type_name("DIR")->required();
}

SpoolCommands add_spool(CLI::App& app, Parsed& parsed) {
    CLI::App* spool =
        app.add_subcommand("spool", "Look at a spool on the disk, without a server; or extend it");
    spool->require_subcommand(1);
    spool->footer(
        "  ringpost spool verify ./ringpost-spool\n"
        "  ringpost spool dump ./ringpost-spool --message 000002000000G --content\n"
        "  ringpost spool add-partitions ./ringpost-spool 2\n");

    CLI::App* verify = spool->add_subcommand(
        "verify", "Read all of a spool, and tell what is damaged; changes nothing");
    verify->add_flag("--json", parsed.verify.json, "Print one JSON object per line");
    verify->footer(
        "Ends with 0 when the spool is sound, with 1 when it is damaged, and with 2 when it cannot "
        "be read.");
    add_spool_path(verify, parsed.verify.path);

    CLI::App* dump = spool->add_subcommand(
        "dump", "Print what a spool holds, record by record; changes nothing");
    dump->add_flag("--json", parsed.dump.json, "Print one JSON object per line");
    dump->add_option("--partition", parsed.dump.partition, "That partition alone")
        ->type_name("N")
        ->check(CLI::Range(0U, mail::QueueId::kPartitionsMax - 1), "");
    dump->add_option("--segment", parsed.dump.segment, "That segment alone")
        ->type_name("ID")
        ->check(check_segment, "");
    CLI::Option* message =
        dump->add_option("--message", parsed.dump.message, "The records of that message alone")
            ->type_name("QUEUEID")
            ->check(check_queue_id, "");
    dump->add_flag("--content", parsed.dump.content,
                   "With --message: its content alone, as it was received; with --json, both")
        ->needs(message);
    add_spool_path(dump, parsed.dump.path);

    CLI::App* add = spool->add_subcommand(
        "add-partitions", "Make further partitions; not while a server runs on the spool");
    add_spool_path(add, parsed.add.path);
    add->add_option("count", parsed.add.count, "How many more")
        ->type_name("N")
        ->required()
        ->check(CLI::Range(1U, mail::QueueId::kPartitionsMax - 1), "");
    return {verify, dump, add};
}

CLI::App* add_sink(CLI::App& app, Parsed& parsed) {
    CLI::App* command =
        app.add_subcommand("sink", "Accept mail by SMTP, discard it, and print the rate");
    command->add_option("-l,--listen", parsed.sink.listen, "Where to listen")
        ->type_name("ADDR:PORT")
        ->check(check_listen, "")
        ->capture_default_str();
    command
        ->add_option("--defer", parsed.sink.defer_percent,
                     "Put off so many of a hundred messages, with 451 behind their content")
        ->type_name("PERCENT")
        ->check(CLI::Range(0U, 100U), "")
        ->capture_default_str();
    command->footer(
        "Prints messages, bytes and rate each second, and a total at the end (SIGINT, SIGTERM).\n\n"
        "  ringpost sink --listen 127.0.0.1:2626\n"
        "  ringpost sink --defer 5\n");
    return command;
}

}  // namespace

int run_command_line(int argc, const char* const* argv, const Commands& commands) {
    CLI::App app("ringpost: a mail relay for Linux, built on io_uring", "ringpost");
    Parsed parsed;
    app.set_version_flag("-V,--version", version_text(),
                         "Print the version, and those of its libraries");
    app.set_help_all_flag("--help-all", "Print the help of every command");
    app.require_subcommand(1);
    app.footer(std::string("`ringpost COMMAND --help` tells more about each.\n") + kExitCodes);

    const CLI::App* serve = add_serve(app, parsed);
    const CLI::App* check = add_check(app, parsed);
    const QueueCommands queue = add_queue(app, parsed);
    const SpoolCommands spool = add_spool(app, parsed);
    const CLI::App* sink = add_sink(app, parsed);
    CLI::App* config = app.add_subcommand("config", "Print what there is to configure");
    config->require_subcommand(1);
    const CLI::App* reference =
        config->add_subcommand("doc", "Print the reference of all keys (docs/CONFIG.md)");
    CLI::App* embedded =
        config->add_subcommand("default", "Print the configuration of `ringpost serve --default`");
    embedded->add_option("--spool", parsed.print_spool, "Its spool")
        ->type_name("DIR")
        ->capture_default_str();

    if (const std::string text = option_without_value(argc, argv); !text.empty()) {
        std::fprintf(stderr, "%s\nRun with --help for more information.\n", text.c_str());
        return kExitUsage;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (const std::string text = unknown_command(app);
            error.get_exit_code() != 0 && !text.empty()) {
            std::fprintf(stderr, "ringpost: %s\nRun with --help for more information.\n",
                         text.c_str());
            return kExitUsage;
        }
        return app.exit(error) == 0 ? 0 : kExitUsage;  // prints help, the version, or the fault
    }
    if (*serve) {
        return commands.serve(parsed.serve);
    }
    if (*check) {
        return commands.check(parsed.check);
    }
    if (*queue.list) {
        return commands.queue_list(parsed.list);
    }
    if (*queue.show) {
        return commands.queue_show(parsed.show);
    }
    if (*queue.explain) {
        return commands.queue_explain(parsed.explain);
    }
    if (*queue.stats) {
        return commands.queue_stats(parsed.stats);
    }
    for (std::size_t i = 0; i < kRules.size(); ++i) {
        if (*queue.rules[i]) {
            parsed.rules[i].action = kRules[i].name;
            return commands.queue_rule(parsed.rules[i]);
        }
    }
    if (*spool.verify) {
        return commands.spool_verify(parsed.verify);
    }
    if (*spool.dump) {
        return commands.spool_dump(parsed.dump);
    }
    if (*spool.add) {
        return commands.spool_add(parsed.add);
    }
    if (*sink) {
        return commands.sink(parsed.sink);
    }
    const std::string text =
        *reference ? config_reference() : default_config_text(parsed.print_spool);
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                   std::fflush(stdout) == 0
               ? 0
               : 1;
}

}  // namespace app
