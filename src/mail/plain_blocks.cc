#include "mail/plain_blocks.h"

#include <array>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace mail {
namespace {

// 64 octets as bits: which of them are what.
struct Block {
    std::uint64_t cr;
    std::uint64_t lf;
    std::uint64_t dot;
    bool nul;
    bool high;  // above 127
};

// Whether all of it is plain; then the walk is behind it.
[[gnu::always_inline]] inline bool take(const Block& block, PlainBlocks& walk) {
    const std::uint64_t begins = block.lf << 1U | walk.line_before;
    const bool dots = walk.dots_count && (block.dot & begins) != 0;
    if (block.nul || dots || block.lf != (block.cr << 1U | walk.cr_before)) {
        return false;
    }
    walk.has_8bit = walk.has_8bit || block.high;
    walk.cr_before = block.cr >> (PlainBlocks::kBytes - 1);
    walk.line_before = block.lf >> (PlainBlocks::kBytes - 1);
    walk.last_lf = block.lf;
    return true;
}

#ifdef __x86_64__

std::uint64_t bits_of(__m128i mask, unsigned at) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(mask))) << at;
}

Block read_sse2(const char* at) {
    Block block{};
    __m128i least = _mm_set1_epi8(-1);
    __m128i any = _mm_setzero_si128();
    for (unsigned i = 0; i < PlainBlocks::kBytes; i += sizeof(__m128i)) {
        const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + i));
        block.cr |= bits_of(_mm_cmpeq_epi8(octets, _mm_set1_epi8('\r')), i);
        block.lf |= bits_of(_mm_cmpeq_epi8(octets, _mm_set1_epi8('\n')), i);
        block.dot |= bits_of(_mm_cmpeq_epi8(octets, _mm_set1_epi8('.')), i);
        least = _mm_min_epu8(least, octets);
        any = _mm_or_si128(any, octets);
    }
    block.nul = _mm_movemask_epi8(_mm_cmpeq_epi8(least, _mm_setzero_si128())) != 0;
    block.high = _mm_movemask_epi8(any) != 0;
    return block;
}

std::size_t count_sse2(const char* data, std::size_t blocks, PlainBlocks& walk) {
    std::size_t count = 0;
    while (count < blocks && take(read_sse2(data + count * PlainBlocks::kBytes), walk)) {
        ++count;
    }
    return count;
}

[[gnu::target("avx2")]] std::uint64_t bits_of(__m256i mask, unsigned at) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(mask))) << at;
}

[[gnu::target("avx2")]] Block read_avx2(const char* at) {
    Block block{};
    __m256i least = _mm256_set1_epi8(-1);
    __m256i any = _mm256_setzero_si256();
    for (unsigned i = 0; i < PlainBlocks::kBytes; i += sizeof(__m256i)) {
        const __m256i octets = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + i));
        block.cr |= bits_of(_mm256_cmpeq_epi8(octets, _mm256_set1_epi8('\r')), i);
        block.lf |= bits_of(_mm256_cmpeq_epi8(octets, _mm256_set1_epi8('\n')), i);
        block.dot |= bits_of(_mm256_cmpeq_epi8(octets, _mm256_set1_epi8('.')), i);
        least = _mm256_min_epu8(least, octets);
        any = _mm256_or_si256(any, octets);
    }
    block.nul = _mm256_movemask_epi8(_mm256_cmpeq_epi8(least, _mm256_setzero_si256())) != 0;
    block.high = _mm256_movemask_epi8(any) != 0;
    return block;
}

[[gnu::target("avx2")]] std::size_t count_avx2(const char* data, std::size_t blocks,
                                               PlainBlocks& walk) {
    std::size_t count = 0;
    while (count < blocks && take(read_avx2(data + count * PlainBlocks::kBytes), walk)) {
        ++count;
    }
    return count;
}

[[gnu::target("avx512bw")]] Block read_avx512(const char* at) {
    const __m512i octets = _mm512_loadu_si512(at);
    return {.cr = _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('\r')),
            .lf = _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('\n')),
            .dot = _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('.')),
            .nul = _mm512_testn_epi8_mask(octets, octets) != 0,
            .high = _mm512_movepi8_mask(octets) != 0};
}

[[gnu::target("avx512bw")]] std::size_t count_avx512(const char* data, std::size_t blocks,
                                                     PlainBlocks& walk) {
    std::size_t count = 0;
    while (count < blocks && take(read_avx512(data + count * PlainBlocks::kBytes), walk)) {
        ++count;
    }
    return count;
}

constexpr std::array<internal::CountPlainBlocks, 3> kWays = {count_sse2, count_avx2, count_avx512};

std::size_t ways_here() {
    const bool avx2 = __builtin_cpu_supports("avx2") != 0;
    return avx2 && __builtin_cpu_supports("avx512bw") != 0 ? 3 : avx2 ? 2 : 1;
}

#else

std::size_t count_none(const char*, std::size_t, PlainBlocks&) {
    return 0;
}

constexpr std::array<internal::CountPlainBlocks, 1> kWays = {count_none};

std::size_t ways_here() {
    return kWays.size();
}

#endif

}  // namespace

std::span<const internal::CountPlainBlocks> internal::plain_block_ways() {
    return std::span(kWays).first(ways_here());
}

std::size_t count_plain_blocks(const char* data, std::size_t blocks, PlainBlocks& walk) {
    static const internal::CountPlainBlocks best = internal::plain_block_ways().back();
    return best(data, blocks, walk);
}

}  // namespace mail
