// SHA-256, by BoringSSL.
#pragma once

#include <string>
#include <string_view>

namespace app {

// 64 lower-case hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view text);

}  // namespace app
