#include "mail/status_code.h"
#include "base/decimal.h"

#include <charconv>
#include <optional>

namespace mail {
namespace {

// One to three digits off the front; RFC 3463 §2 allows no more, and no leading zeros, which we do
// not mind.
std::optional<std::uint16_t> take_number(std::string_view& text) {
    std::uint16_t value = 0;
    const std::string_view digits = text.substr(0, 3);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc()) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - digits.data()));
    return value;
}

bool take(std::string_view& text, char c) {
    if (!text.starts_with(c)) {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

}  // namespace

EnhancedStatus take_enhanced_status(std::string_view& text) {
    std::string_view rest = text;
    if (rest.size() < 5 || (rest[0] != '2' && rest[0] != '4' && rest[0] != '5') || rest[1] != '.') {
        return {};
    }
    const auto klass = static_cast<std::uint8_t>(rest[0] - '0');
    rest.remove_prefix(2);
    const std::optional<std::uint16_t> subject = take_number(rest);
    if (!subject || !take(rest, '.')) {
        return {};
    }
    const std::optional<std::uint16_t> detail = take_number(rest);
    if (!detail || (!rest.empty() && rest[0] != ' ' && rest[0] != '\t')) {
        return {};
    }
    while (take(rest, ' ') || take(rest, '\t')) {
    }
    text = rest;
    return {klass, *subject, *detail};
}

void append_status(std::string& out, EnhancedStatus status) {
    if (!status.present()) {
        return;
    }
    out.push_back(static_cast<char>('0' + status.klass));
    for (const std::uint16_t number : {status.subject, status.detail}) {
        out.push_back('.');
        base::append_decimal(out, number);
    }
}

void append_reply(std::string& out, std::uint16_t code, EnhancedStatus status,
                  std::string_view text) {
    for (;;) {
        const std::size_t end = text.find('\n');
        base::append_decimal(out, code);
        out.push_back(end == std::string_view::npos ? ' ' : '-');
        if (status.present()) {
            append_status(out, status);
            out.push_back(' ');
        }
        out.append(text.substr(0, end));
        out.append("\r\n");
        if (end == std::string_view::npos) {
            return;
        }
        text.remove_prefix(end + 1);
    }
}

std::string describe(const Reply& reply) {
    std::string out = std::to_string(reply.code);
    if (reply.status.present()) {
        out.push_back(' ');
        append_status(out, reply.status);
    }
    if (!reply.text.empty()) {
        out.push_back(' ');
    }
    for (const char c : reply.text) {
        if (c == '\n') {
            out.append(" / ");
        } else {
            out.push_back(c);
        }
    }
    return out;
}

}  // namespace mail
