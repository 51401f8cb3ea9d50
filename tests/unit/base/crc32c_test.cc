#include "base/crc32c.h"

#include <string>

#include <gtest/gtest.h>

#include "base/prng.h"

namespace base {
namespace {

TEST(Crc32c, KnownVectors) {
    EXPECT_EQ(crc32c(0, as_bytes("123456789")), 0xe3069283U);
    EXPECT_EQ(crc32c(0, {}), 0U);
    // RFC 3720 §B.4.
    EXPECT_EQ(crc32c(0, as_bytes(std::string(32, '\0'))), 0x8a9136aaU);
    EXPECT_EQ(crc32c(0, as_bytes(std::string(32, '\xff'))), 0x62a8ab43U);
    std::string ascending;
    for (int i = 0; i < 32; ++i) {
        ascending += static_cast<char>(i);
    }
    EXPECT_EQ(crc32c(0, as_bytes(ascending)), 0x46dd794eU);
    EXPECT_EQ(crc32c(0, as_bytes(std::string(ascending.rbegin(), ascending.rend()))), 0x113fdb5cU);
}

TEST(Crc32c, ChainsAtEveryCut) {
    const std::string text = "every cut of this text gives the same sum";
    const std::uint32_t whole = crc32c(7, as_bytes(text));
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const std::string_view view = text;
        EXPECT_EQ(crc32c(crc32c(7, as_bytes(view.substr(0, cut))), as_bytes(view.substr(cut))),
                  whole);
    }
}

// Where the processor has no instruction, the table is all there is, and agrees with itself.
TEST(Crc32c, TableAndInstructionAgree) {
    Prng random(1);
    for (std::size_t size = 0; size < 200; ++size) {
        std::string text(size + 8, '\0');
        for (char& c : text) {
            c = static_cast<char>(random.below(256));
        }
        const Bytes bytes = as_bytes(text).subspan(size % 8, size);  // at every alignment
        const auto seed = static_cast<std::uint32_t>(random.next());
        EXPECT_EQ(internal::crc32c_by_table(seed, bytes), crc32c(seed, bytes));
    }
}

}  // namespace
}  // namespace base
