// Replaces the program's operator new by one that counts. The definitions lie in a file of their
// own, so that no compiler sees through them where memory is taken.
#pragma once

#include <cstdint>

// How often operator new was called since the start.
[[nodiscard]] std::uint64_t allocations();
