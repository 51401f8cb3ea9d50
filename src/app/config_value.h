// The values of the configuration as text: how each is read and printed. Pure functions.
//
// Every parse_… returns the value, or an Error whose text completes the sentence "KEY …: " for a
// person, with what was probably meant where that can be told. The text may come from anyone: no
// input makes these fail otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "app/config.h"
#include "base/result.h"

namespace app {

// "500ms", "5s", "30m", "1h", "5d", "1w", and sums such as "1h30m". At most 10 years.
[[nodiscard]] base::Result<base::Duration> parse_duration(std::string_view text);
[[nodiscard]] std::string print_duration(base::Duration duration);

// "10MiB", "50MB", "4096" (bytes), "100KiB", "1GB". At most 2^62.
[[nodiscard]] base::Result<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string print_size(std::uint64_t bytes);

// A host name: labels of letters, digits and hyphens (RFC 1123 §2.1, underscores refused); returned
// in lower case.
[[nodiscard]] base::Result<std::string> parse_host_name(std::string_view text);

// "host:port" and "[v6]:port", with a port from 1 to 65535.
[[nodiscard]] base::Result<HostPort> parse_host_port(std::string_view text);
// The same with an IP address for a host.
[[nodiscard]] base::Result<HostPort> parse_ip_port(std::string_view text);

// "example.com", "*.example.com", and Postfix's ".example.com" for the latter.
[[nodiscard]] base::Result<DomainPattern> parse_domain_pattern(std::string_view text);

// "local@domain", or "" for none.
[[nodiscard]] base::Result<std::string> parse_mailbox_or_none(std::string_view text);

// A file name: not empty, no control characters.
[[nodiscard]] base::Result<std::string> parse_path(std::string_view text);

}  // namespace app
