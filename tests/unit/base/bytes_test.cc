#include "base/bytes.h"

#include <array>

#include <gtest/gtest.h>

#include "base/time.h"

namespace base {
namespace {

TEST(Bytes, LittleEndianAtAnyAlignment) {
    std::array<std::byte, 9> bytes{};
    store_le<std::uint64_t>(bytes.data() + 1, 0x0102030405060708U);
    EXPECT_EQ(bytes[1], std::byte{8});
    EXPECT_EQ(bytes[8], std::byte{1});
    EXPECT_EQ(load_le<std::uint64_t>(bytes.data() + 1), 0x0102030405060708U);
    EXPECT_EQ(load_le<std::uint16_t>(bytes.data() + 1), 0x0708U);
}

TEST(Bytes, TextAndBack) {
    EXPECT_EQ(as_text(as_bytes("a\xff")), "a\xff");
    EXPECT_TRUE(as_text({}).empty());
}

TEST(Bytes, RoundUp) {
    EXPECT_EQ(round_up(0, 4096), 0U);
    EXPECT_EQ(round_up(1, 4096), 4096U);
    EXPECT_EQ(round_up(4096, 4096), 4096U);
}

TEST(Bytes, CaseIsAsciiOnly) {
    EXPECT_TRUE(equal_ignoring_case("EHLO", "ehlo"));
    EXPECT_FALSE(equal_ignoring_case("EHLO", "EHL"));
    EXPECT_FALSE(equal_ignoring_case("@", "`"));
    EXPECT_FALSE(equal_ignoring_case("\xc4", "\xe4"));
}

TEST(Time, UnixMilliseconds) {
    EXPECT_EQ(unix_ms(wall_from_unix_ms(1'795'348'800'123)), 1'795'348'800'123);
    EXPECT_EQ(unix_ms(wall_from_unix_ms(-1)), -1);
}

}  // namespace
}  // namespace base
