// Paths and mailboxes: taken where the model takes them and nowhere else, with the same parts; what
// is built by the grammar is taken, and so is what was taken, from its own text.
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "mail/path.h"
#include "path_model.h"

namespace {

constexpr mail::PathLimits kLimits;

void check_parts(const mail::Path& path) {
    const std::string_view domain =
        path.domain.empty() ? "" : path.text.substr(path.text.rfind('@') + 1);
    RP_ASSERT(path.domain == domain);
    RP_ASSERT(path.local_part ==
              path.text.substr(0, path.text.size() - domain.size() - (domain.empty() ? 0 : 1)));
    RP_ASSERT(path.literal() == domain.starts_with('['));
    RP_ASSERT(path.non_ascii ==
              std::ranges::any_of(path.text, [](char c) { return (c & 0x80) != 0; }));
}

// Any text.
void check_verdict(std::string_view text) {
    const auto mailbox = mail::parse_mailbox(text, kLimits);
    RP_ASSERT(mailbox.has_value() == path_model::is_mailbox(text));
    if (mailbox) {
        RP_ASSERT(mailbox->text == text);
        check_parts(*mailbox);
    }
    RP_ASSERT(mail::is_domain(text) == path_model::is_domain(text));
    RP_ASSERT(mail::is_address_literal(text) == path_model::is_literal(text));

    std::string_view rest = text;
    const auto path = mail::take_path(rest, kLimits);
    const auto expected = path_model::take_path(text);
    RP_ASSERT(path.has_value() == expected.has_value());
    if (!path) {
        return;
    }
    RP_ASSERT(path->text == expected->mailbox && rest == expected->rest);
    if (path->null()) {
        return;
    }
    check_parts(*path);
    const std::string bracketed = "<" + std::string(path->text) + "> SIZE=1";
    rest = bracketed;
    const auto again = mail::take_path(rest, kLimits);
    RP_ASSERT(again && again->text == path->text && rest == " SIZE=1");
}

// What the grammar makes is taken, and with one thing wrong it is not.
void check_built(Choices choices) {
    const std::string mailbox = path_model::build_mailbox(choices, choices.coin());
    const std::size_t at = mailbox.rfind('@');
    const bool fits = at <= kLimits.local_part_bytes_max && mailbox.size() <= 254;
    const auto parsed = mail::parse_mailbox(mailbox, kLimits);
    RP_ASSERT(parsed.has_value() == fits);
    RP_ASSERT(fits || parsed.error() == mail::PathError::too_long);
    RP_ASSERT(!fits || (parsed->local_part == mailbox.substr(0, at) &&
                        parsed->domain == mailbox.substr(at + 1)));
    const std::string path = path_model::build_path(choices, mailbox);
    std::string_view rest = path;
    const auto taken = mail::take_path(rest, kLimits);
    RP_ASSERT(taken.has_value() == fits);
    RP_ASSERT(!fits || (taken->text == mailbox && rest.empty()));

    for (const std::string& wrong :
         {mailbox + "@", mailbox + ".", "@" + mailbox, mailbox + "\x7f", mailbox.substr(0, at),
          mailbox.substr(0, at + 1), mailbox.substr(at), mailbox + "-", mailbox + "\xff",
          mailbox.substr(0, at) + "@-" + mailbox.substr(at + 1)}) {
        RP_ASSERT(path_model::same_word(wrong, "postmaster") ||
                  !mail::parse_mailbox(wrong, kLimits));
    }
    for (const std::string& wrong : {"<" + mailbox, "<" + mailbox + ">>", "<<" + mailbox + ">",
                                     "<" + mailbox + ">x", "<" + mailbox + "> >"}) {
        rest = wrong;
        RP_ASSERT(!mail::take_path(rest, kLimits) || rest == " >");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    check_verdict(text);
    check_built(Choices(text));
    return 0;
}
