// Views of bytes and text. Protocol text is std::string_view; storage is std::span<std::byte>.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace base {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

[[nodiscard]] inline std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline Bytes as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Little-endian scalars at any alignment; every disk format uses these. REQUIRES: sizeof(T) bytes
// at `at`.
template <typename T>
    requires std::is_integral_v<T>
[[nodiscard]] T load_le(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
template <typename T>
    requires std::is_integral_v<T>
void store_le(std::byte* at, T value) {
    std::memcpy(at, &value, sizeof value);
}
static_assert(std::endian::native == std::endian::little, "disk formats are little-endian");

[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
    return (value + step - 1) / step * step;
}

// ASCII case folding: SMTP verbs and domains compare without case, whatever the locale (RFC 5321
// §2.4).
[[nodiscard]] constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
[[nodiscard]] inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace base
