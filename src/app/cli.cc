// CLI11 is seen here and in cli_queue.cc alone; its exceptions stop here.
#include "app/cli.h"

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "app/cli_check.h"
#include "app/cli_queue.h"
#include "app/config_reader.h"
#include "app/suggest.h"
#include "app/version.h"
#include "mail/queue_id.h"

namespace app {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 failed, with the reason on standard error; 2 bad usage.";

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
    QueueCommandLine queue(app);
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
    if (const std::optional<int> code = queue.run(commands)) {
        return *code;
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
