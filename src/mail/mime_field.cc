#include "mail/mime_field.h"

#include "base/bytes.h"

namespace mail {
namespace {

constexpr bool is_white(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// RFC 2045 §5.1: token.
constexpr bool is_token_character(char c) {
    return c > 32 && c < 127 &&
           std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
}

// White space and nested comments (RFC 5322 §3.2.2) off the front.
void skip_comments(std::string_view& text) {
    std::size_t depth = 0;
    while (!text.empty()) {
        const char c = text.front();
        if (c == '(') {
            ++depth;
        } else if (depth == 0 && !is_white(c)) {
            return;
        } else if (depth > 0 && c == ')') {
            --depth;
        } else if (depth > 0 && c == '\\' && text.size() > 1) {
            text.remove_prefix(1);
        }
        text.remove_prefix(1);
    }
}

std::string_view take_token(std::string_view& text) {
    skip_comments(text);
    std::size_t size = 0;
    while (size < text.size() && is_token_character(text[size])) {
        ++size;
    }
    const std::string_view token = text.substr(0, size);
    text.remove_prefix(size);
    return token;
}

bool take_character(std::string_view& text, char c) {
    skip_comments(text);
    if (!text.starts_with(c)) {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

// A token or a quoted string into `space`; "" when it does not fit. Many a mailer leaves out the
// quotes where they are needed, so an unquoted value goes up to white space or ';'.
std::string_view take_value(std::string_view& text, std::span<char> space) {
    skip_comments(text);
    const bool quoted = text.starts_with('"');
    if (quoted) {
        text.remove_prefix(1);
    }
    std::size_t size = 0;
    bool fits = true;
    while (!text.empty()) {
        char c = text.front();
        if (quoted ? c == '"' : (is_white(c) || c == ';')) {
            break;
        }
        if (quoted && c == '\\' && text.size() > 1) {
            text.remove_prefix(1);
            c = text.front();
        }
        text.remove_prefix(1);
        fits = fits && size < space.size();
        if (fits) {
            space[size++] = c;
        }
    }
    if (quoted && !text.empty()) {
        text.remove_prefix(1);
    }
    return fits ? std::string_view(space.data(), size) : std::string_view();
}

}  // namespace

ContentType parse_content_type(std::string_view value, std::span<char> space) {
    ContentType result;
    const std::string_view type = take_token(value);
    if (type.empty() || !take_character(value, '/')) {
        return result;
    }
    const std::string_view subtype = take_token(value);
    if (subtype.empty()) {
        return result;
    }
    result.type = type;
    result.subtype = subtype;
    bool seen = false;
    while (!value.empty()) {
        if (!take_character(value, ';')) {
            if (!value.empty()) {
                value.remove_prefix(1);
            }
            continue;
        }
        const std::string_view name = take_token(value);
        if (!take_character(value, '=')) {
            continue;
        }
        if (!base::equal_ignoring_case(name, "boundary")) {
            static_cast<void>(take_value(value, {}));
            continue;
        }
        // Given twice, readers disagree about which one counts: none.
        result.boundary = seen ? std::string_view() : take_value(value, space);
        if (seen) {
            return result;
        }
        seen = true;
    }
    return result;
}

std::string_view parse_token(std::string_view value) {
    return take_token(value);
}

}  // namespace mail
