// Assertions that stay on in release builds.
//
// What holds by construction is asserted on both sides of each boundary. A failed assertion is a
// Panic (our own bug): it prints the place and ends the process with abort(), so that no 250 leaves
// on broken state. What can fail because of the environment or of a peer is never asserted; it is a
// Result, or Driver::fatal().
#pragma once

namespace base {

// Prints "panic: FILE:LINE: EXPRESSION" to stderr and aborts. Async-signal-safe.
[[noreturn]] void panic(const char* file, int line, const char* what) noexcept;

}  // namespace base

#define RP_ASSERT(condition)                               \
    do {                                                   \
        if (!(condition)) [[unlikely]]                     \
            ::base::panic(__FILE__, __LINE__, #condition); \
    } while (false)

#define RP_PANIC(what) ::base::panic(__FILE__, __LINE__, what)
