// Which c-ares the program runs with.
#pragma once

#include <string_view>

namespace dns {

// The version of the shared library that was loaded ("1.18.1"), not of the headers. Holds for the
// program's life.
[[nodiscard]] std::string_view library_version();

}  // namespace dns
