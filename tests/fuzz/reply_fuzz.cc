// Replies: the same whole and in pieces, bounded and printable. The first octet says how the rest
// is cut.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/prng.h"
#include "smtp/reply_parser.h"
#include "utf8.h"

namespace {

std::vector<std::string> parse(std::string_view wire, std::uint8_t seed) {
    smtp::ReplyParser parser;
    base::Prng random(seed);
    std::vector<std::string> replies;
    while (!wire.empty()) {
        const std::size_t size =
            seed == 0 ? wire.size() : std::min(wire.size(), 1 + random.below(2U << (seed % 8)));
        std::string_view input = wire.substr(0, size);
        wire.remove_prefix(size);
        for (;;) {
            const smtp::ReplyParser::Event event = parser.next(input);
            if (event == smtp::ReplyParser::Event::more) {
                RP_ASSERT(input.empty());
                break;
            }
            if (event == smtp::ReplyParser::Event::broken) {
                replies.emplace_back(parser.broken_reason());
                RP_ASSERT(!replies.back().empty());
                return replies;
            }
            const mail::Reply& reply = parser.reply();
            RP_ASSERT(reply.code >= 200 && reply.code < 600);
            RP_ASSERT(!reply.status.present() || reply.status.klass == reply.code / 100);
            RP_ASSERT(reply.text.size() <= smtp::Limits::reply_text_bytes_max);
            RP_ASSERT(is_utf8(reply.text));
            for (const char c : reply.text) {
                RP_ASSERT(static_cast<unsigned char>(c) >= 32 || c == '\n');
            }
            replies.push_back(mail::describe(reply));
            const smtp::ServerExtensions& extensions = parser.extensions();
            replies.back() += extensions.chunking ? " chunking" : "";
            replies.back() += std::to_string(extensions.size_bytes_max);
        }
    }
    return replies;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::string_view wire(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    RP_ASSERT(parse(wire, bytes[0]) == parse(wire, 0));
    return 0;
}
