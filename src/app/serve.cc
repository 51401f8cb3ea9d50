#include "app/serve.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <unistd.h>

#include "app/config_reader.h"
#include "app/control_server.h"
#include "app/digest.h"
#include "app/log.h"
#include "app/queue_control.h"
#include "app/relay.h"
#include "app/relay_queue_view.h"
#include "app/relay_settings.h"
#include "app/shard_threads.h"
#include "app/signals.h"
#include "app/version.h"

namespace app {
namespace {

constexpr int kCouldNotStart = 1;

int could_not_start(const base::Error& error) {
    std::fprintf(stderr, "ringpost: %s\n", error.describe().c_str());
    return kCouldNotStart;
}

std::string listening(const RelaySettings& settings) {
    std::string text;
    for (const RelaySettings::Listener& listener : settings.listeners) {
        text += (text.empty() ? "" : ", ") + listener.address.text();
    }
    return text;
}

// Runs until a signal; gives the program's exit code.
int serve(const Config& config, const std::string& fingerprint, bool salvage) {
    StopSignals signals;
    auto threads = ShardThreads::start(config.shards);
    if (!threads) {
        return could_not_start(threads.error());
    }
    auto settings = RelaySettings::from(config, (*threads)->size());
    if (!settings) {
        return could_not_start(settings.error());
    }
    settings->store.salvage = salvage;
    Log log(config.log, (*threads)->size(), stderr);
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
        const auto control =
            ControlServer::start(config.control_path(::geteuid() == 0), std::move(commands));
        if (!control) {
            log.flush();
            return could_not_start(control.error());
        }
        log.notice(mail::Severity::info, "started: listening on " + listening(*settings) + ", " +
                                             std::to_string((*threads)->size()) +
                                             " shards, spool " + config.spool +
                                             ", configuration sha256=" + fingerprint);
        signals.wait();
        log.notice(mail::Severity::info, "stopping; once more to stop at once");
        signals.unblock();
        queue.stop();
    }
    log.notice(mail::Severity::info, "stopped");
    return 0;
}

}  // namespace

int run_serve(const ServeOptions& options) {
    LoadedConfig loaded = options.use_default ? load_default_config(options.default_spool)
                                              : load_config_file(options.config_path);
    for (const Problem& problem : loaded.result.problems) {
        std::fprintf(stderr, "%s\n", describe(loaded.name, problem).c_str());
    }
    if (!loaded.result.config) {
        return kCouldNotStart;
    }
    return serve(*loaded.result.config, sha256_hex(loaded.text), options.salvage);
}

}  // namespace app
