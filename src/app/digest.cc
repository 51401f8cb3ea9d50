#include "app/digest.h"

#include <array>
#include <cstdint>

#include <openssl/sha.h>

namespace app {

std::string sha256_hex(std::string_view text) {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    ::SHA256(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), digest.data());
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string result;
    result.reserve(2 * digest.size());
    for (const std::uint8_t byte : digest) {
        result.append(1, kHex[byte >> 4U]).append(1, kHex[byte & 15U]);
    }
    return result;
}

}  // namespace app
