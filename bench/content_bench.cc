// What it costs to look at content and to sum it up, by the octet.
#include <string>

#include <benchmark/benchmark.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "mail/plain_blocks.h"
#include "mail/wire_scanner.h"

namespace {

// Lines of 78 octets, as mail clients make them.
std::string content(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
        text.append(76, static_cast<char>('a' + text.size() % 26));
        text += "\r\n";
    }
    return text;
}

void report(benchmark::State& state, std::size_t bytes) {
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void count_plain_blocks(benchmark::State& state) {
    const auto ways = mail::internal::plain_block_ways();
    const auto way = static_cast<std::size_t>(state.range(0));
    if (way >= ways.size()) {
        state.SkipWithError("this processor has no such instructions");
        return;
    }
    const std::string text = content(10240);
    for (auto unused [[maybe_unused]] : state) {
        mail::PlainBlocks walk{.dots_count = true, .line_before = 1};
        benchmark::DoNotOptimize(
            ways[way](text.data(), text.size() / mail::PlainBlocks::kBytes, walk));
    }
    report(state, text.size());
}
BENCHMARK(count_plain_blocks)->DenseRange(0, 2);

void scan_content(benchmark::State& state) {
    const std::string text = content(10240);
    for (auto unused [[maybe_unused]] : state) {
        mail::WireScanner scanner(mail::WireScanner::Dots::until_final,
                                  mail::WireScanner::Nul::report);
        std::string_view input = text;
        std::string_view run;
        while (scanner.next(input, run) == mail::WireScanner::Event::run) {
            benchmark::DoNotOptimize(run.data());
        }
    }
    report(state, text.size());
}
BENCHMARK(scan_content);

void crc32c(benchmark::State& state) {
    const std::string text = content(10240);
    for (auto unused [[maybe_unused]] : state) {
        benchmark::DoNotOptimize(base::crc32c(0, base::as_bytes(text)));
    }
    report(state, text.size());
}
BENCHMARK(crc32c);

}  // namespace

BENCHMARK_MAIN();
