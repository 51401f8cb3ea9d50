// Paths: whatever is taken is taken again, alike, from its own text; and it holds nothing that
// could break a line or leave its angle brackets.
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "mail/path.h"
#include "utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const mail::PathLimits limits;
    std::string_view rest = text;
    const auto path = mail::take_path(rest, limits);
    if (!path || path->null()) {
        return 0;
    }
    RP_ASSERT(text.ends_with(rest));
    RP_ASSERT(rest.empty() || rest.front() == ' ' || rest.front() == '\t');
    for (const char c : path->text) {
        RP_ASSERT(static_cast<unsigned char>(c) >= 32 && c != 127);
    }
    RP_ASSERT(is_utf8(path->text));
    if (path->domain.empty()) {
        RP_ASSERT(path->text == path->local_part);
    } else {
        RP_ASSERT(path->text == std::string(path->local_part) + "@" + std::string(path->domain));
        RP_ASSERT(mail::is_domain(path->domain) != mail::is_address_literal(path->domain));
    }
    const auto again = mail::parse_mailbox(path->text, limits);
    RP_ASSERT(again && again->text == path->text && again->domain == path->domain);
    const std::string bracketed = "<" + std::string(path->text) + "> SIZE=1";
    rest = bracketed;
    const auto from_brackets = mail::take_path(rest, limits);
    RP_ASSERT(from_brackets && from_brackets->text == path->text && rest == " SIZE=1");
    return 0;
}
