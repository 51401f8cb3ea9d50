#include "mail/quoted_printable.h"

namespace mail {
namespace {

constexpr std::size_t kLineBytesMax = 76;
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

}  // namespace

void QuotedPrintable::append(std::string& out, std::string_view part) {
    for (const char c : part) {
        settle_blank(out, false);
        if (c == ' ' || c == '\t') {
            blank_ = c;
        } else if (c > 32 && c < 127 && c != '=') {
            put(out, {&c, 1});
        } else {
            put_encoded(out, c);
        }
    }
}

void QuotedPrintable::end_line(std::string& out) {
    end_text(out);
    out.append("\r\n");
}

void QuotedPrintable::end_text(std::string& out) {
    settle_blank(out, true);
    column_ = 0;
}

// A token is one octet or its three-octet encoding, and is never split. One column is left for the
// '=' of a soft break.
void QuotedPrintable::put(std::string& out, std::string_view token) {
    if (column_ + token.size() > kLineBytesMax - 1) {
        out.append("=\r\n");
        column_ = 0;
    }
    if (column_ == 0 && token == "-") {
        token = "=2D";
    }
    out.append(token);
    column_ += token.size();
}

void QuotedPrintable::put_encoded(std::string& out, char c) {
    const auto octet = static_cast<unsigned char>(c);
    const char token[3] = {'=', kHexDigits[octet >> 4U], kHexDigits[octet & 15U]};
    put(out, {token, sizeof token});
}

void QuotedPrintable::settle_blank(std::string& out, bool at_line_end) {
    if (blank_ == '\0') {
        return;
    }
    const char c = blank_;
    blank_ = '\0';
    if (at_line_end) {
        put_encoded(out, c);
    } else {
        put(out, {&c, 1});
    }
}

}  // namespace mail
