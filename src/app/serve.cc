#include "app/serve.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <unistd.h>

#include "app/check.h"
#include "app/config_reader.h"
#include "app/control_server.h"
#include "app/descriptors.h"
#include "app/digest.h"
#include "app/log.h"
#include "app/queue_control.h"
#include "app/queue_rules.h"
#include "app/queue_show.h"
#include "app/relay.h"
#include "app/relay_queue_inspector.h"
#include "app/relay_queue_operator.h"
#include "app/relay_queue_view.h"
#include "app/relay_settings.h"
#include "app/shard_threads.h"
#include "app/signals.h"
#include "app/spool_place.h"
#include "app/version.h"

namespace app {
namespace {

constexpr int kCouldNotStart = 1;

int could_not_start(const base::Error& error) {
    std::fprintf(stderr, "ringpost: %s\n", describe_failed_start(error).c_str());
    return kCouldNotStart;
}

std::string listening(const RelaySettings& settings) {
    std::string text;
    for (const RelaySettings::Listener& listener : settings.listeners) {
        text += (text.empty() ? "" : ", ") + listener.address.text();
    }
    return text;
}

// Fewer sessions where the process may not open as many files: else deliveries would go without.
void fit_sessions(RelaySettings& settings, std::uint64_t limit, Log& log) {
    const DescriptorNeeds needs{.shards = settings.store.shards,
                                .listeners = static_cast<std::uint32_t>(settings.listeners.size()),
                                .connections = settings.connections_max(),
                                .sessions = settings.sessions_max};
    settings.sessions_max = sessions_that_fit(needs, limit);
    if (settings.sessions_max < needs.sessions) {
        log.notice(mail::Severity::warning,
                   "the limit of open files (" + std::to_string(limit) + ") has room for " +
                       std::to_string(settings.sessions_max) + " sessions per shard instead of " +
                       std::to_string(needs.sessions) +
                       ", beside deliveries and the spool; raise it to " +
                       std::to_string(descriptors_for(needs)) +
                       " (LimitNOFILE=, ulimit -Hn), or lower limits.sessions");
    }
}

// Runs until a signal; gives the program's exit code.
int serve(const Config& config, const std::string& fingerprint, bool salvage) {
    StopSignals signals(StopSignals::Hangup::is_told);
    const std::uint64_t descriptors = raise_descriptor_limit();
    auto threads = ShardThreads::start(config.shards);
    if (!threads) {
        return could_not_start(threads.error());
    }
    auto settings = RelaySettings::from(config, (*threads)->size());
    if (!settings) {
        return could_not_start(settings.error());
    }
    settings->store.salvage = salvage;
    const std::string control_path = config.control_path(::geteuid() == 0);
    // Now already: else it would be told behind a spool made in vain.
    if (const base::Status free = ControlServer::may_start(control_path); !free) {
        return could_not_start(free.error());
    }
    Log log(config.log, (*threads)->size(), stderr);
    fit_sessions(*settings, descriptors, log);
    {
        Relay relay(**threads, *settings, log);
        const base::Status started = relay.start();
        if (!started) {
            log.flush();
            return could_not_start(started.error());
        }
        RelayQueueView queue(relay);
        ControlCommands commands;
        add_queue_commands(commands, queue);
        RelayQueueInspector inspector(relay);
        add_inspection_commands(commands, inspector);
        RelayQueueOperator queue_operator(relay);
        add_operator_commands(commands, queue_operator, queue);
        const auto control = ControlServer::start(control_path, std::move(commands));
        if (!control) {
            log.flush();
            return could_not_start(control.error());
        }
        for (const std::string& doubt : doubts_about_spool(config.spool)) {
            log.notice(mail::Severity::warning, doubt);
        }
        log.notice(mail::Severity::info, "started: listening on " + listening(*settings) + ", " +
                                             std::to_string((*threads)->size()) +
                                             ((*threads)->size() == 1 ? " shard" : " shards") +
                                             ", spool " + config.spool +
                                             ", configuration sha256=" + fingerprint);
        while (signals.wait() == SIGHUP) {
            log.notice(mail::Severity::warning,
                       "SIGHUP changes nothing: the configuration is read at the start alone; "
                       "restart to have a changed one");
        }
        log.notice(mail::Severity::info, "stopping; once more to stop at once");
        signals.unblock();
        queue.stop();
        inspector.stop();
        queue_operator.stop();
    }
    log.notice(mail::Severity::info, "stopped");
    return 0;
}

}  // namespace

int run_serve(const ServeOptions& options) {
    const LoadedConfig loaded = options.use_default ? load_default_config(options.default_spool)
                                                    : load_config_file(options.config_path);
    const Config* const config = print_problems(loaded, stderr);
    if (config == nullptr) {
        return kCouldNotStart;
    }
    return serve(*config, sha256_hex(loaded.text), options.salvage);
}

}  // namespace app
