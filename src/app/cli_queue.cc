#include "app/cli_queue.h"

#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "app/cli_check.h"
#include "app/queue_pattern.h"

namespace app {
namespace {

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

void add_queue_id(CLI::App* command, std::string& id) {
    command->add_option("id", id, "The queue id, as in the log and the listing")
        ->type_name("ID")
        ->required()
        ->check(check_queue_id, "");
}

}  // namespace

QueueCommandLine::QueueCommandLine(CLI::App& app) {
    static_assert(kRules.size() == kRuleCount);
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
    add_list(*queue);
    add_show(*queue);
    add_explain(*queue);
    add_stats(*queue);
    for (std::size_t i = 0; i < kRules.size(); ++i) {
        add_rule(*queue, i);
    }
}

std::optional<int> QueueCommandLine::run(const Commands& commands) {
    if (*list_) {
        return commands.queue_list(list_options_);
    }
    if (*show_) {
        return commands.queue_show(show_options_);
    }
    if (*explain_) {
        return commands.queue_explain(explain_options_);
    }
    if (*stats_) {
        return commands.queue_stats(stats_options_);
    }
    for (std::size_t i = 0; i < kRules.size(); ++i) {
        if (*rules_[i]) {
            rule_options_[i].action = kRules[i].name;
            return commands.queue_rule(rule_options_[i]);
        }
    }
    return std::nullopt;
}

void QueueCommandLine::add_list(CLI::App& queue) {
    list_ = queue.add_subcommand("list", "List the messages in the queue, in no order of time");
    list_->add_flag("--json", list_options_.json,
                    "Print one JSON object per message and line; docs/CONTROL.md has the fields");
    list_
        ->add_option("--limit", list_options_.limit,
                     "Stop after so many messages (0: none left out)")
        ->type_name("N")
        ->check(check_count, "")
        ->capture_default_str();
    add_filter(list_, list_options_.filter, true);
    add_server_place(list_, list_options_.server);
}

void QueueCommandLine::add_show(CLI::App& queue) {
    show_ = queue.add_subcommand(
        "show", "Show one message: its envelope, every attempt at each recipient, its headers");
    add_queue_id(show_, show_options_.id);
    CLI::Option* json = show_->add_flag("--json", show_options_.json,
                                        "Print a JSON object; docs/CONTROL.md has the fields");
    show_
        ->add_flag("--content", show_options_.content,
                   "Print its content instead, with the headers that were added, byte for byte")
        ->excludes(json);
    add_server_place(show_, show_options_.server);
}

void QueueCommandLine::add_explain(CLI::App& queue) {
    explain_ = queue.add_subcommand(
        "explain",
        "Say why a message is not delivered yet: what it waits for, and when it is next");
    add_queue_id(explain_, explain_options_.id);
    explain_->add_flag("--json", explain_options_.json,
                       "Print a JSON object; docs/CONTROL.md has the fields");
    add_server_place(explain_, explain_options_.server);
}

void QueueCommandLine::add_stats(CLI::App& queue) {
    stats_ = queue.add_subcommand(
        "stats", "Count what is queued, and show next hops and commands that are under way");
    stats_
        ->add_option("--by", stats_options_.by,
                     "Count by domain (of recipients), sender or tenant; looks at each message")
        ->type_name("domain|sender|tenant")
        ->check(CLI::IsMember({"domain", "sender", "tenant"}), "");
    add_filter(stats_, stats_options_.filter, false);
    stats_->add_flag("--json", stats_options_.json,
                     "Print one JSON object per line; docs/CONTROL.md has the fields");
    add_server_place(stats_, stats_options_.server);
}

// All of a kind have the same options; the one that was given tells which it was.
void QueueCommandLine::add_rule(CLI::App& queue, std::size_t number) {
    const RuleCommand& rule = kRules[number];
    QueueRuleOptions& options = rule_options_[number];
    CLI::App* command = queue.add_subcommand(rule.name, rule.about);
    rules_[number] = command;
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
}

}  // namespace app
