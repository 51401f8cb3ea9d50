#include "base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace base {
namespace internal {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1U) ^ ((value & 1U) != 0 ? 0x82f63b78U : 0U);
        }
        table[i] = value;
    }
    return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

}  // namespace

std::uint32_t crc32c_by_table(std::uint32_t crc, Bytes bytes) {
    crc = ~crc;
    for (const std::byte b : bytes) {
        crc = kTable[(crc ^ static_cast<std::uint32_t>(b)) & 0xffU] ^ (crc >> 8U);
    }
    return ~crc;
}

}  // namespace internal

namespace {

#if defined(__x86_64__)

bool crc32c_has_instruction() {
    return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::uint32_t crc,
                                                                      Bytes bytes) {
    std::uint64_t wide = ~crc;
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        wide = _mm_crc32_u64(wide, load_le<std::uint64_t>(at));
    }
    auto narrow = static_cast<std::uint32_t>(wide);
    for (; left > 0; ++at, --left) {
        narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*at));
    }
    return ~narrow;
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

bool crc32c_has_instruction() {
    return true;
}

std::uint32_t crc32c_by_instruction(std::uint32_t crc, Bytes bytes) {
    crc = ~crc;
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        crc = __crc32cd(crc, load_le<std::uint64_t>(at));
    }
    for (; left > 0; ++at, --left) {
        crc = __crc32cb(crc, static_cast<std::uint8_t>(*at));
    }
    return ~crc;
}

#else

bool crc32c_has_instruction() {
    return false;
}
std::uint32_t crc32c_by_instruction(std::uint32_t crc, Bytes bytes) {
    return internal::crc32c_by_table(crc, bytes);
}

#endif

}  // namespace

std::uint32_t crc32c(std::uint32_t crc, Bytes bytes) {
    static const bool by_instruction = crc32c_has_instruction();
    return by_instruction ? crc32c_by_instruction(crc, bytes)
                          : internal::crc32c_by_table(crc, bytes);
}

}  // namespace base
