// Header sections: the same whole and in pieces. The first octet says how the rest is cut.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "base/prng.h"
#include "mail/header_scan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    mail::HeaderScan whole;
    whole.feed(text);
    mail::HeaderScan pieces;
    base::Prng random(bytes[0]);
    while (!text.empty()) {
        const std::size_t piece = std::min(text.size(), 1 + random.below(2U << (bytes[0] % 8)));
        pieces.feed(text.substr(0, piece));
        text.remove_prefix(piece);
    }
    RP_ASSERT(whole.ended() == pieces.ended());
    RP_ASSERT(whole.received_count() == pieces.received_count());
    RP_ASSERT(whole.has_8bit() == pieces.has_8bit());
    return 0;
}
