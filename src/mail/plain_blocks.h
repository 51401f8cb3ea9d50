// plain_blocks: how far content is plain: lines that end in CRLF, begin with no dot, and hold no
// NUL. Looks at 64 octets at a time, with the widest instructions that the processor has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mail {

// Where a walk over blocks stands; carried from one to the next.
struct PlainBlocks {
    static constexpr std::size_t kBytes = 64;

    bool dots_count;              // a dot that begins a line is not plain
    std::uint64_t line_before;    // 1: a line begins with the next octet
    std::uint64_t cr_before = 0;  // 1: the last octet was a CR
    std::uint64_t last_lf = 0;    // the line feeds of the last block, a bit each
    bool has_8bit = false;        // an octet above 127 was among them
};

// How many of the `blocks` at `data`, from the first on, are plain. A CR that ends the last of them
// is not yet known to be: cr_before says so. 0 where there is no way to look at blocks.
// REQUIRES: walk.cr_before == 0.
[[nodiscard]] std::size_t count_plain_blocks(const char* data, std::size_t blocks,
                                             PlainBlocks& walk);

namespace internal {
using CountPlainBlocks = std::size_t (*)(const char*, std::size_t, PlainBlocks&);
// The ways that this processor has, the best one last; for the test that compares them.
[[nodiscard]] std::span<const CountPlainBlocks> plain_block_ways();
}  // namespace internal

}  // namespace mail
