#include "app/queue_pattern.h"

#include <cerrno>

#include "app/suggest.h"
#include "mail/path.h"
#include "store/rule.h"

namespace app {
namespace {

using base::Result;

// Whatever was accepted, by whatever limits.
constexpr mail::PathLimits kLimits{.local_part_bytes_max = store::Rule::kTextBytesMax,
                                   .domain_bytes_max = store::Rule::kTextBytesMax,
                                   .path_bytes_max = store::Rule::kTextBytesMax + 2};

std::unexpected<base::Error> no_address(std::string_view name, std::string_view text) {
    return base::fail(EINVAL, shown(text) + " is no address: give local@domain, @domain" +
                                  (name == "sender" ? ", or <> for the null path" : ""));
}

std::string_view without_last_dot(std::string_view text) {
    return text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
}

// Nothing where `text` is no pattern of a domain.
std::string domain_pattern(std::string_view text) {
    const bool below = text.starts_with("*.") || text.starts_with('.');
    std::string_view domain = text.substr(below ? text.find('.') + 1 : 0);
    domain = without_last_dot(domain);
    if (!mail::is_domain(domain) && (below || !mail::is_address_literal(domain))) {
        return {};
    }
    return (below ? "*." : "") + std::string(domain);
}

Result<std::string> take_domain(std::string_view name, std::string_view text) {
    if (text == "*" || text == "*." || text == ".") {
        return base::fail(EINVAL, shown(text) + " is no domain: to mean any, leave " +
                                      std::string(name) + " away");
    }
    std::string pattern = domain_pattern(text);
    if (pattern.empty()) {
        return base::fail(EINVAL, shown(text) +
                                      " is no domain: give example.com, or *.example.com for all "
                                      "below it");
    }
    return pattern;
}

Result<std::string> take_address(std::string_view name, std::string_view text) {
    if (text == "<>" && name == "sender") {
        return std::string(text);
    }
    std::string_view address = text;
    if (address.starts_with('<') && address.ends_with('>')) {
        address = address.substr(1, address.size() - 2);
    }
    if (address == "@" || address == "@*" || address == "*@*" || address == "*") {
        return base::fail(EINVAL, shown(text) +
                                      " names no domain: give local@domain or @domain; "
                                      "to mean any, leave " +
                                      std::string(name) + " away");
    }
    if (address.starts_with('@')) {
        const std::string pattern = domain_pattern(address.substr(1));
        return pattern.empty() ? Result<std::string>(no_address(name, text)) : "@" + pattern;
    }
    address = without_last_dot(address);
    const auto path = mail::parse_mailbox(address, kLimits);
    if (!path || (path->domain.empty() && name == "sender")) {
        return no_address(name, text);
    }
    return std::string(address);
}

}  // namespace

Result<std::string> filter_pattern(std::string_view name, std::string_view text) {
    if (text.empty()) {
        return base::fail(
            EINVAL, "an empty " + std::string(name) + " means nothing; to mean any, leave it away");
    }
    if (text.size() > store::Rule::kTextBytesMax) {
        return base::fail(EINVAL, shown(text) + " is longer than " +
                                      std::to_string(store::Rule::kTextBytesMax) + " octets");
    }
    return name == "domain" || name == "tenant" ? take_domain(name, text)
                                                : take_address(name, text);
}

}  // namespace app
