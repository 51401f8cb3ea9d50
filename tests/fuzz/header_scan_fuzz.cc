// Header sections: what the model finds, whole and in pieces. The first octet says how the rest is
// cut.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "base/prng.h"
#include "header_model.h"
#include "mail/header_scan.h"

namespace {

void check(const mail::HeaderScan& scan, const HeaderModel& model) {
    RP_ASSERT(scan.ended() == model.ended);
    RP_ASSERT(scan.received_count() == model.received);
    RP_ASSERT(scan.has_8bit() == model.has_8bit);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    const HeaderModel model = model_headers(text);
    mail::HeaderScan whole;
    whole.feed(text);
    check(whole, model);
    mail::HeaderScan pieces;
    base::Prng random(bytes[0]);
    while (!text.empty()) {
        const std::size_t piece = std::min(text.size(), 1 + random.below(2U << (bytes[0] % 8)));
        pieces.feed(text.substr(0, piece));
        text.remove_prefix(piece);
    }
    check(pieces, model);
    return 0;
}
