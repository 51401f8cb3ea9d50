#include "base/assert.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

namespace base {

void panic(const char* file, int line, const char* what) noexcept {
    char text[512];
    const int size = std::snprintf(text, sizeof text, "panic: %s:%d: %s\n", file, line, what);
    if (size > 0) {
        const auto length = static_cast<std::size_t>(size);
        const ssize_t written =
            ::write(STDERR_FILENO, text, length < sizeof text ? length : sizeof text - 1);
        static_cast<void>(written);
    }
    std::abort();
}

}  // namespace base
