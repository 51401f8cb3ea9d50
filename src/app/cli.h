// The command line: which command, with which options. The commands themselves are one file each.
#pragma once

#include "app/check.h"
#include "app/queue_command.h"
#include "app/serve.h"
#include "app/sink.h"
#include "app/spool_command.h"

namespace app {

// What the command line calls. The program gives the real ones; tests give others.
struct Commands {
    int (*serve)(const ServeOptions& options);
    int (*sink)(const SinkOptions& options);
    int (*check)(const CheckOptions& options);
    int (*queue_list)(const QueueListOptions& options);
    int (*queue_rule)(const QueueRuleOptions& options);
    int (*queue_stats)(const QueueStatsOptions& options);
    int (*queue_show)(const QueueShowOptions& options);
    int (*queue_explain)(const QueueExplainOptions& options);
    int (*spool_verify)(const SpoolVerifyOptions& options);
    int (*spool_dump)(const SpoolDumpOptions& options);
    int (*spool_add)(const SpoolAddOptions& options);
};

// Exit codes of the program, beside those of its commands (0: done; 1: failed, as said on standard
// error).
inline constexpr int kExitUsage = 2;  // the command line was not understood

// Of `serve --default`, and of what asks such a server.
inline constexpr const char* kDefaultSpool = "./ringpost-spool";

// Parses and runs; prints help, version and faults of usage itself. The program's exit code.
[[nodiscard]] int run_command_line(int argc, const char* const* argv, const Commands& commands);

}  // namespace app
