// Letter: one message as a scripted client sends it, and everything by which it is known again:
// each path occurs in one letter only, and each line of content says whose it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "mail/dsn_parameters.h"

namespace sim::relay {

struct Letter {
    std::uint64_t number = 0;
    std::string reverse_path;             // "" is the null path
    std::vector<std::string> recipients;  // as they are sent
    std::string content;                  // as a receiver is to see it
    bool eight_bit = false;
    // RFC 3461, as sent; one of `notify` and `original` for each recipient.
    mail::ReturnContent ret = mail::ReturnContent::unspecified;
    std::string envelope_id;
    std::vector<mail::Notify> notify;
    std::vector<std::string> original;

    // " RET=FULL ENVID=…", " NOTIFY=… ORCPT=…", "" where nothing is asked for.
    [[nodiscard]] std::string mail_parameters() const;
    [[nodiscard]] std::string recipient_parameters(std::size_t recipient) const;
    // REQUIRES: one of the recipients.
    [[nodiscard]] std::size_t index_of(std::string_view path) const;
};

struct LetterShape {
    std::uint64_t number = 0;
    bool null_path = false;
    std::size_t recipients = 1;
    std::size_t bytes = 0;  // about
    bool eight_bit = false;
    bool dsn = false;  // asks for notifications of its own choice
};
[[nodiscard]] Letter make_letter(const LetterShape& shape, base::Prng& prng);

// "r2.17@dst.test" and "s17@src.test" belong to letter 17.
[[nodiscard]] std::optional<std::uint64_t> letter_of(std::string_view path);
[[nodiscard]] bool is_sender(std::string_view path);

// As it is sent by DATA, without the final dot.
[[nodiscard]] std::string stuffed(std::string_view content);
// RFC 2045 §6.7, soft line breaks included.
[[nodiscard]] std::string quoted_printable_decoded(std::string_view text);

}  // namespace sim::relay
