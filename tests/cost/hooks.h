// Functions in the place of the C library's: malloc and its kin, memcpy, memmove. Each works as the
// original does, and counts where the calling thread has asked for it. They also stand for what
// shared libraries call (operator new, std::string::append in libstdc++).
//
// memcpy and memmove of fewer than kCountedFrom bytes are not counted: those are fields, not
// content. What a compiler makes moves of in place of a call (structs of a known size) is not seen.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cost {

inline constexpr std::size_t kCountedFrom = 64;

struct Counts {
    std::uint64_t allocations = 0;  // malloc, calloc, realloc, aligned ones
    std::uint64_t allocated_bytes = 0;
    std::uint64_t copies = 0;
    std::uint64_t copied_bytes = 0;
};

// Of the calling thread, from now on.
void count_this_thread(bool wanted);
// Raises SIGTRAP at each counted allocation of the calling thread from now on.
void stop_at_allocation();
// Of all threads that ever counted.
[[nodiscard]] Counts counts();

}  // namespace cost
