// `ringpost queue list`, `queue show` and `queue explain`: the queue of a running server, for
// people and as JSON.
//
// They ask the server through its control socket (docs/CONTROL.md) and print as the answer arrives,
// so a long queue needs no memory here.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "app/queue_filter.h"

namespace app {

// Where the server's control socket is: the first of these that is not empty decides.
struct ServerPlace {
    std::string control = {};      // the socket itself
    std::string spool = {};        // the socket inside this spool
    std::string config_path = {};  // as this configuration says
};

struct QueueListOptions {
    ServerPlace server = {};
    bool json = false;
    std::uint64_t limit = 0;  // most messages to print; 0: all
    QueueFilterOptions filter = {};
};

// hold, release, retry, bounce, delete.
struct QueueRuleOptions {
    ServerPlace server = {};
    bool json = false;
    bool wait = false;        // for the end, with its progress shown
    std::string action = {};  // the command's name
    std::string reason = {};  // bounce: for the sender
    QueueFilterOptions filter = {};
};

struct QueueStatsOptions {
    ServerPlace server = {};
    bool json = false;
    std::string by = {};  // "": not grouped
    QueueFilterOptions filter = {};
};

struct QueueShowOptions {
    ServerPlace server = {};
    bool json = false;
    bool content = false;  // instead of all else: the content's bytes, with the added headers
    std::string id = {};
};

struct QueueExplainOptions {
    ServerPlace server = {};
    bool json = false;
    std::string id = {};
};

// The program's exit codes: 0, or 1 with a sentence on `err`.
[[nodiscard]] int run_queue_list(const QueueListOptions& options, std::FILE* out, std::FILE* err);
[[nodiscard]] int run_queue_rule(const QueueRuleOptions& options, std::FILE* out, std::FILE* err);
[[nodiscard]] int run_queue_stats(const QueueStatsOptions& options, std::FILE* out, std::FILE* err);
[[nodiscard]] int run_queue_show(const QueueShowOptions& options, std::FILE* out, std::FILE* err);
[[nodiscard]] int run_queue_explain(const QueueExplainOptions& options, std::FILE* out,
                                    std::FILE* err);

}  // namespace app
