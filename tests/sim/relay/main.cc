// relay_sim: runs the relay through simulated worlds, one per seed, each twice: here, and in
// another process, where everything lies at other addresses.
//
//   relay_sim --seed N [--trace | --trace-all]   one seed; its notes on a failure, or always
//   relay_sim --seeds N [--from M]               so many seeds
//   relay_sim --seconds S                        fresh seeds from a random start, for so long
//   relay_sim --file PATH                        the seeds in that file, one a line, # comments
//   --first       stop at the first seed that fails
//   --coverage    fail where a fault never met a state that it should
//
// The exit code is 0 when nothing was found wrong.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include <unistd.h>

#include "sim/relay/coverage.h"
#include "sim/relay/echo.h"
#include "sim/relay/simulation.h"

namespace sim::relay {
namespace {

struct Arguments {
    std::optional<std::uint64_t> seed;
    std::optional<std::uint64_t> seeds;
    std::uint64_t from = 1;
    std::optional<std::uint64_t> seconds;
    std::string file;
    bool trace = false;
    bool trace_all = false;
    bool coverage = false;
    bool first = false;
    bool echo = false;  // be the other process
};

constexpr const char* kUsage =
    "usage: relay_sim --seed N [--trace | --trace-all]\n"
    "       relay_sim [--seeds N] [--from M] [--seconds S] [--file PATH] [--first] "
    "[--coverage]\n";

bool parse(int count, char** values, Arguments& arguments) {
    for (int i = 1; i < count; ++i) {
        const std::string_view name = values[i];
        const auto number = [&] {
            return i + 1 < count ? std::strtoull(values[++i], nullptr, 10) : 0;
        };
        if (name == "--seed") {
            arguments.seed = number();
        } else if (name == "--seeds") {
            arguments.seeds = number();
        } else if (name == "--from") {
            arguments.from = number();
        } else if (name == "--seconds") {
            arguments.seconds = number();
        } else if (name == "--file" && i + 1 < count) {
            arguments.file = values[++i];
        } else if (name == "--trace") {
            arguments.trace = true;
        } else if (name == "--trace-all") {
            arguments.trace = arguments.trace_all = true;
        } else if (name == "--coverage") {
            arguments.coverage = true;
        } else if (name == "--echo") {
            arguments.echo = true;
        } else if (name == "--first") {
            arguments.first = true;
        } else {
            return false;
        }
    }
    return arguments.echo || arguments.seed || arguments.seeds || arguments.seconds ||
           !arguments.file.empty();
}

// An assertion that fails ends the process: the seed is told first.
volatile std::sig_atomic_t replay_size = 0;
char replay_text[128];

void tell_seed(std::uint64_t seed) {
    const int size = std::snprintf(
        replay_text, sizeof replay_text, "\nIt was seed %llu. Replay: tools/dev sim --seed %llu\n",
        static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
    replay_size = size;
}

void on_abort(int number) {
    const auto written = ::write(STDERR_FILENO, replay_text, static_cast<std::size_t>(replay_size));
    static_cast<void>(written);
    std::signal(number, SIG_DFL);
    std::raise(number);
}

struct Totals {
    std::uint64_t seeds = 0;
    std::uint64_t failed = 0;
    std::uint64_t events = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t taken = 0;
    std::uint64_t copies = 0;
    std::uint64_t notified = 0;
    std::uint64_t starts = 0;
    std::uint64_t hash = 0;  // of all their traces: the same from every compiler
    Meetings meetings;
};

Result run(std::uint64_t seed, std::FILE* notes, std::FILE* events) {
    Simulation simulation(seed, notes, events);
    return simulation.run();
}

// The other process: a seed comes, its trace's hash goes.
int run_echo() {
    std::uint64_t seed = 0;
    while (::read(STDIN_FILENO, &seed, sizeof seed) == sizeof seed) {
        tell_seed(seed);
        const std::uint64_t hash = run(seed, nullptr, nullptr).trace_hash;
        if (::write(STDOUT_FILENO, &hash, sizeof hash) != sizeof hash) {
            return 1;
        }
    }
    return 0;
}

// True when nothing is wrong with it.
bool run_seed(std::uint64_t seed, const Arguments& arguments, Echo& echo, Totals& totals) {
    tell_seed(seed);
    echo.ask(seed);
    Result result =
        run(seed, arguments.trace ? stdout : nullptr, arguments.trace_all ? stdout : nullptr);
    if (echo.answer() != result.trace_hash) {
        result.faults.push_back("two runs of it differ: something depends on more than the seed");
    }
    totals.hash = totals.hash * 31 + result.trace_hash;
    ++totals.seeds;
    totals.events += result.events;
    totals.acknowledged += result.acknowledged;
    totals.taken += result.taken;
    totals.copies += result.copies;
    totals.notified += result.notified;
    totals.starts += result.starts;
    totals.meetings.add(result.meetings);
    if (result.faults.empty()) {
        return true;
    }
    ++totals.failed;
    if (arguments.seed && !arguments.trace) {
        run(seed, stdout, nullptr);
    }
    std::printf("seed %llu:\n", static_cast<unsigned long long>(seed));
    for (const std::string& fault : result.faults) {
        std::printf("  %s\n", fault.c_str());
    }
    std::printf("  replay: tools/dev sim --seed %llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    return false;
}

void run_file(const Arguments& arguments, Echo& echo, Totals& totals) {
    std::ifstream file(arguments.file);
    std::string line;
    while (std::getline(file, line)) {
        const std::size_t begin = line.find_first_not_of(' ');
        if (begin != std::string::npos && line[begin] != '#') {
            static_cast<void>(run_seed(std::strtoull(line.c_str() + begin, nullptr, 10), arguments,
                                       echo, totals));
        }
    }
    if (totals.seeds == 0) {
        std::printf("%s holds no seed\n", arguments.file.c_str());
        ++totals.failed;
    }
}

int run_all(const Arguments& arguments) {
    Totals totals;
    Echo echo;
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    if (arguments.seed) {
        static_cast<void>(run_seed(*arguments.seed, arguments, echo, totals));
    } else if (!arguments.file.empty()) {
        run_file(arguments, echo, totals);
    } else {
        const std::uint64_t from =
            arguments.seeds ? arguments.from : std::uint64_t{std::random_device()()} << 16U;
        std::printf("seeds from %llu\n", static_cast<unsigned long long>(from));
        const std::uint64_t count = arguments.seeds.value_or(UINT64_MAX);
        const std::uint64_t failures_max = arguments.first ? 1 : 5;
        for (std::uint64_t i = 0; i < count && totals.failed < failures_max; ++i) {
            if (arguments.seconds && elapsed() >= static_cast<double>(*arguments.seconds)) {
                break;
            }
            static_cast<void>(run_seed(from + i, arguments, echo, totals));
        }
    }
    const auto ull = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    if (!arguments.seed) {
        std::printf("what each fault met:\n%s", totals.meetings.text().c_str());
    }
    std::printf(
        "%llu seeds, each twice, in %.1f s (%.1f seeds/s): %llu events, %llu starts, "
        "%llu messages acknowledged, %llu taken by next hops, %llu copies, %llu notifications; "
        "traces %016llx; %llu seeds failed\n",
        ull(totals.seeds), elapsed(), static_cast<double>(totals.seeds) / elapsed(),
        ull(totals.events), ull(totals.starts), ull(totals.acknowledged), ull(totals.taken),
        ull(totals.copies), ull(totals.notified), ull(totals.hash), ull(totals.failed));
    bool good = totals.failed == 0;
    if (arguments.coverage) {
        for (const std::string& gap : gaps_in(totals.meetings)) {
            std::printf("too seldom: %s\n", gap.c_str());
            good = false;
        }
    }
    return good ? 0 : 1;
}

}  // namespace
}  // namespace sim::relay

int main(int count, char** values) {
    sim::relay::Arguments arguments;
    if (!sim::relay::parse(count, values, arguments)) {
        std::fputs(sim::relay::kUsage, stderr);
        return 2;
    }
    std::signal(SIGABRT, sim::relay::on_abort);
    std::signal(SIGSEGV, sim::relay::on_abort);
    return arguments.echo ? sim::relay::run_echo() : sim::relay::run_all(arguments);
}
