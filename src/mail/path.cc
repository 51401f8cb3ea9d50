#include "mail/path.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/bytes.h"
#include "mail/text.h"

namespace mail {
namespace {

constexpr std::size_t kLabelBytesMax = 63;  // RFC 1035 §2.3.4

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}
constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
    return base::lower(c) >= 'a' && base::lower(c) <= 'z';
}

// RFC 5322 §3.2.3.
constexpr bool is_atext(char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

// The size of the character at the front if it is a well-formed non-ASCII one and no C1 control,
// else 0.
std::size_t non_ascii_character(std::string_view text) {
    const std::size_t size = utf8_sequence(text);
    const bool c1 = size == 2 && text[0] == '\xc2' && static_cast<unsigned char>(text[1]) < 0xa0;
    return size < 2 || c1 ? 0 : size;
}

void skip_blanks(std::string_view& text) {
    while (!text.empty() && is_blank(text.front())) {
        text.remove_prefix(1);
    }
}

// The size of the quoted string at the front (RFC 5321 §4.1.2 Quoted-string), 0 when it is not one.
std::size_t quoted_string_size(std::string_view text) {
    std::size_t at = 1;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            return at + 1;
        }
        if (c == '\\') {
            ++at;
        }
        if (at < text.size() && text[at] >= 32 && text[at] <= 126) {
            ++at;
            continue;
        }
        const std::size_t size = non_ascii_character(text.substr(at));
        if (size == 0) {
            return 0;
        }
        at += size;
    }
    return 0;
}

// The size of the local part at the front: a quoted string, or atext and dots; 0 when there is
// none.
std::size_t local_part_size(std::string_view text) {
    if (text.starts_with('"')) {
        return quoted_string_size(text);
    }
    std::size_t at = 0;
    while (at < text.size()) {
        if (is_atext(text[at]) || text[at] == '.') {
            ++at;
            continue;
        }
        const std::size_t size = non_ascii_character(text.substr(at));
        if (size == 0) {
            break;
        }
        at += size;
    }
    return at;
}

// The octets at the front that could be a domain or an address literal.
std::size_t domain_size(std::string_view text) {
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        return end == std::string_view::npos ? 0 : end + 1;
    }
    const auto* end = std::ranges::find_if(text, [](char c) {
        return !(is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.' ||
                 static_cast<unsigned char>(c) > 127);
    });
    return static_cast<std::size_t>(end - text.begin());
}

bool is_label(std::string_view label) {
    if (label.empty() || label.front() == '-' || label.back() == '-') {
        return false;
    }
    bool ascii = true;
    for (std::size_t at = 0; at < label.size();) {
        const char c = label[at];
        if (is_letter(c) || is_digit(c) || c == '-' || c == '_') {
            ++at;
            continue;
        }
        const std::size_t size = non_ascii_character(label.substr(at));
        if (size == 0) {
            return false;
        }
        at += size;
        ascii = false;
    }
    // A U-label's limit is that of its A-label, which only IDNA knows; the domain's limit bounds it
    // here.
    return !ascii || label.size() <= kLabelBytesMax;
}

// "@one,@two:" off the front, when it is there (RFC 5321 §4.1.2 A-d-l). False when it is malformed.
bool drop_source_route(std::string_view& text) {
    if (!text.starts_with('@')) {
        return true;
    }
    for (;;) {
        if (!text.starts_with('@')) {
            return false;
        }
        text.remove_prefix(1);
        const std::size_t size = domain_size(text);
        const std::string_view domain = text.substr(0, size);
        if (!is_domain(domain) && !is_address_literal(domain)) {
            return false;
        }
        text.remove_prefix(size);
        if (text.starts_with(':')) {
            text.remove_prefix(1);
            return true;
        }
        if (!text.starts_with(',')) {
            return false;
        }
        text.remove_prefix(1);
    }
}

// A mailbox off the front: Local-part "@" ( Domain / address-literal ), or a local part alone.
std::expected<Path, PathError> take_mailbox(std::string_view& text, const PathLimits& limits) {
    Path path;
    const std::string_view begin = text;
    const std::size_t local_size = local_part_size(text);
    if (local_size == 0) {
        return std::unexpected(PathError::syntax);
    }
    path.local_part = text.substr(0, local_size);
    text.remove_prefix(local_size);
    if (text.starts_with('@')) {
        text.remove_prefix(1);
        path.domain = text.substr(0, domain_size(text));
        text.remove_prefix(path.domain.size());
        if (path.domain.size() > limits.domain_bytes_max) {
            return std::unexpected(PathError::too_long);
        }
        if (!is_domain(path.domain) && !is_address_literal(path.domain)) {
            return std::unexpected(PathError::syntax);
        }
    }
    path.text = begin.substr(0, begin.size() - text.size());
    path.non_ascii = !is_ascii(path.text);
    if (local_size > limits.local_part_bytes_max || path.text.size() + 2 > limits.path_bytes_max) {
        return std::unexpected(PathError::too_long);
    }
    return path;
}

std::expected<Path, PathError> check_domain(const Path& path) {
    if (path.domain.empty() && !base::equal_ignoring_case(path.local_part, "postmaster")) {
        return std::unexpected(PathError::no_domain);
    }
    return path;
}

}  // namespace

std::expected<Path, PathError> take_path(std::string_view& text, const PathLimits& limits) {
    skip_blanks(text);
    const bool bracketed = text.starts_with('<');
    if (bracketed) {
        text.remove_prefix(1);
        skip_blanks(text);
    }
    std::expected<Path, PathError> path;
    if (!bracketed || !text.starts_with('>')) {
        if (!drop_source_route(text)) {
            return std::unexpected(PathError::syntax);
        }
        path = take_mailbox(text, limits);
        if (!path) {
            return path;
        }
    }
    if (bracketed) {
        skip_blanks(text);
        if (!text.starts_with('>')) {
            return std::unexpected(PathError::syntax);
        }
        text.remove_prefix(1);
    }
    if (!text.empty() && !is_blank(text.front())) {
        return std::unexpected(PathError::syntax);
    }
    return path->null() ? path : check_domain(*path);
}

std::expected<Path, PathError> parse_mailbox(std::string_view text, const PathLimits& limits) {
    std::expected<Path, PathError> path = take_mailbox(text, limits);
    if (!path) {
        return path;
    }
    if (!text.empty()) {
        return std::unexpected(PathError::syntax);
    }
    return check_domain(*path);
}

bool is_domain(std::string_view text) {
    for (;;) {
        const std::size_t dot = text.find('.');
        if (!is_label(text.substr(0, dot))) {
            return false;
        }
        if (dot == std::string_view::npos) {
            return true;
        }
        text.remove_prefix(dot + 1);
    }
}

bool is_address_literal(std::string_view text) {
    if (text.size() < 3 || text.front() != '[' || text.back() != ']') {
        return false;
    }
    text = text.substr(1, text.size() - 2);
    constexpr std::string_view kTag = "IPv6:";
    const bool v6 = base::equal_ignoring_case(text.substr(0, kTag.size()), kTag);
    if (v6) {
        text.remove_prefix(kTag.size());
    }
    char copy[INET6_ADDRSTRLEN];
    if (text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) {
        return false;
    }
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = '\0';
    in6_addr address;
    return ::inet_pton(v6 ? AF_INET6 : AF_INET, copy, &address) == 1;
}

}  // namespace mail
