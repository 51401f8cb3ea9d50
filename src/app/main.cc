// The program: `ringpost COMMAND …`.
#include <cstdio>

#include "app/check.h"
#include "app/cli.h"
#include "app/queue_command.h"
#include "app/serve.h"
#include "app/sink.h"
#include "app/spool_command.h"

int main(int argc, char** argv) {
    const app::Commands commands{
        .serve = app::run_serve,
        .sink = app::run_sink,
        .check =
            [](const app::CheckOptions& options) {
                return app::run_check(options, stdout, stderr);
            },
        .queue_list =
            [](const app::QueueListOptions& options) {
                return app::run_queue_list(options, stdout, stderr);
            },
        .queue_rule =
            [](const app::QueueRuleOptions& options) {
                return app::run_queue_rule(options, stdout, stderr);
            },
        .queue_stats =
            [](const app::QueueStatsOptions& options) {
                return app::run_queue_stats(options, stdout, stderr);
            },
        .queue_show =
            [](const app::QueueShowOptions& options) {
                return app::run_queue_show(options, stdout, stderr);
            },
        .queue_explain =
            [](const app::QueueExplainOptions& options) {
                return app::run_queue_explain(options, stdout, stderr);
            },
        .spool_verify =
            [](const app::SpoolVerifyOptions& options) {
                return app::run_spool_verify(options, stdout, stderr);
            },
        .spool_dump =
            [](const app::SpoolDumpOptions& options) {
                return app::run_spool_dump(options, stdout, stderr);
            },
        .spool_add =
            [](const app::SpoolAddOptions& options) {
                return app::run_spool_add(options, stdout, stderr);
            },
    };
    return app::run_command_line(argc, argv, commands);
}
