// Which messages and recipients a rule means. Pure functions over a rule's words.
//
//   sender, recipient   "local@domain"; "@domain" for all of it; "<>" for the null reverse-path
//   domain              of the recipient: "example.com", or "*.example.com" for all below it
//   tenant              the domain of the sender
// All compare without case (ASCII). A word that is not there means any.
#pragma once

#include <string_view>

#include "mail/queue_id.h"
#include "store/rule.h"

namespace queue {

// It asks for addresses, which are not resident.
[[nodiscard]] bool needs_envelope(const store::Rule& rule);
// By what is resident: id and arrival. A rule without `newest` means every id.
[[nodiscard]] bool means_message(const store::Rule& rule, mail::QueueId id,
                                 std::int64_t arrival_ms);
[[nodiscard]] bool means_sender(const store::Rule& rule, std::string_view reverse_path);
[[nodiscard]] bool means_recipient(const store::Rule& rule, std::string_view forward_path);
[[nodiscard]] bool means_status(const store::Rule& rule, store::RecipientStatus status);

// As "local@domain", "@domain" or "<>" says.
[[nodiscard]] bool address_matches(std::string_view pattern, std::string_view path);

}  // namespace queue
