// Command lines: what comes out lies inside the line and inside the limits, and errors carry a
// proper reply.
#include <cstdint>

#include "base/assert.h"
#include "mail/text.h"
#include "smtp/command_parser.h"
#include "utf8.h"

namespace {

bool inside(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view line(reinterpret_cast<const char*>(bytes), size);
    const smtp::Limits limits;
    const auto parsed = smtp::parse_command(line, limits);
    RP_ASSERT(inside(smtp::given_path(line), line));
    if (!parsed) {
        const mail::FixedReply& reply = parsed.error().reply;
        const smtp::Verb verb = parsed.error().verb;
        const bool hello = verb == smtp::Verb::ehlo || verb == smtp::Verb::helo;
        RP_ASSERT(reply.code >= 500 && reply.code < 600 && reply.status.klass == (hello ? 0 : 5));
        RP_ASSERT(!reply.text.empty());
        RP_ASSERT(parsed.error().loses_sync == (parsed.error().verb == smtp::Verb::bdat));
        return 0;
    }
    const smtp::Command& command = *parsed;
    RP_ASSERT(inside(command.argument, line) && inside(command.path.text, line));
    if (command.verb == smtp::Verb::http || command.verb == smtp::Verb::header) {
        return 0;
    }
    RP_ASSERT(size + 2 <= limits.mail_line_bytes_max);
    for (const char c : line) {
        RP_ASSERT(static_cast<unsigned char>(c) >= 32 || c == '\t');
    }
    const mail::Path& path = command.path;
    RP_ASSERT(path.text.size() + 2 <= limits.path.path_bytes_max);
    RP_ASSERT(path.local_part.size() <= limits.path.local_part_bytes_max);
    RP_ASSERT(is_utf8(path.text) && path.non_ascii != mail::is_ascii(path.text));
    RP_ASSERT(command.verb != smtp::Verb::rcpt || !path.null());
    RP_ASSERT(command.verb != smtp::Verb::mail || !path.non_ascii || command.smtputf8);
    RP_ASSERT(command.verb == smtp::Verb::rcpt || path.null() || !path.domain.empty());
    return 0;
}
