// CRC-32C (Castagnoli, RFC 3720 §B.4), by the processor's instruction where there is one, else by
// table.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace base {

// Continues `crc` over `bytes`; start with 0, or with a seed that binds the sum to its place.
// Chaining holds: crc32c(crc32c(s, a), b) == crc32c(s, a + b).
[[nodiscard]] std::uint32_t crc32c(std::uint32_t crc, Bytes bytes);

namespace internal {
// What every processor can, for the test that compares them.
[[nodiscard]] std::uint32_t crc32c_by_table(std::uint32_t crc, Bytes bytes);
}  // namespace internal

}  // namespace base
