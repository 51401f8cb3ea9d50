#include "mail/dsn.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/assert.h"
#include "base/bytes.h"
#include "mail/date.h"
#include "mail/dsn_parameters.h"
#include "mail/field_name.h"
#include "mail/hidden_text.h"
#include "mail/quoted_printable.h"
#include "mail/text.h"
#include "mail/trace.h"

namespace mail {
namespace {

constexpr std::size_t kLineBytesMax = 998;  // RFC 5322 §2.1.1
constexpr std::string_view kExpired = "The message could not be delivered in the time set for it.";

// What each kind says.
struct Words {
    std::string_view subject;
    std::string_view text;
    std::string_view action;
    std::uint8_t klass;  // of its status codes
};
constexpr Words kFailed{
    .subject = "Undelivered mail returned to sender",
    .text =
        "Your message could not be delivered to the recipients named below.\r\n"
        "The reason for each of them follows; after it come the technical details\r\n",
    .action = "failed",
    .klass = 5};
constexpr Words kDelayed{
    .subject = "Delayed mail (still being tried)",
    .text =
        "Your message has not yet been delivered to the recipients named below.\r\n"
        "You need not send it again: it is tried for some time more. If that fails,\r\n"
        "you will be told, unless you wanted no such word. After this come the\r\n"
        "technical details\r\n",
    .action = "delayed",
    .klass = 4};
constexpr Words kRelayed{
    .subject = "Mail handed on",
    .text =
        "Your message was handed to the mail systems that serve the recipients named\r\n"
        "below. Those do not report deliveries, so you will hear no more, unless one\r\n"
        "fails. After this come the technical details\r\n",
    .action = "relayed",
    .klass = 2};
constexpr Words kToPostmaster{
    .subject = "Undelivered notification",
    .text =
        "A message without a sender to tell, mostly itself a notification, could not be\r\n"
        "delivered to the recipients named below, and is given up. The reason for each\r\n"
        "of them follows; after it come the technical details\r\n",
    .action = "failed",
    .klass = 5};

const Words& words_of(const Dsn& dsn) {
    switch (dsn.kind) {
        case DsnKind::failed:
            return dsn.to_postmaster ? kToPostmaster : kFailed;
        case DsnKind::delayed:
            return kDelayed;
        case DsnKind::relayed:
            return kRelayed;
    }
    RP_PANIC("no such DsnKind");
}

// RFC 6533's types, with UTF-8 as it is.
bool is_global(const Dsn& dsn) {
    return !is_ascii(dsn.sender);
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
    out.append(name);
    out.append(value);
    out.append("\r\n");
}

void append_foreign(std::string& out, std::string_view name, std::string_view value) {
    out.append(name);
    append_printable_ascii(out, value, Dsn::kReplyBytesMax);
    out.append("\r\n");
}

std::size_t columns(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

// What a stranger said, for people: in lines that are broken at blanks. A word that is longer than
// a line stays whole.
void append_folded(std::string& out, std::string_view name, std::string_view value) {
    constexpr std::size_t kColumnsMax = 78;  // RFC 5322 §2.1.1
    constexpr std::string_view kIndent = "\r\n        ";
    std::string visible;
    append_visible(visible, value);
    std::string text;
    append_printable(text, visible, Dsn::kReplyBytesMax);
    out.append(name);
    std::size_t column = columns(name);
    bool begins = true;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t end = std::min(rest.find(' ', 1), rest.size());
        std::string_view word = rest.substr(0, end);  // with the blank before it
        rest.remove_prefix(end);
        if (!begins && column + columns(word) > kColumnsMax) {
            out.append(kIndent);
            column = kIndent.size() - 2;
            word.remove_prefix(word.starts_with(' ') ? 1 : 0);
        }
        out.append(word);
        column += columns(word);
        begins = false;
    }
    out.append("\r\n");
}

void append_quoted(std::string& out, std::string_view text) {
    QuotedPrintable quoted;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\r\n"), text.size());
        quoted.append(out, text.substr(0, end));
        quoted.end_line(out);
        text.remove_prefix(std::min(end + 2, text.size()));
    }
}

// The end of a part's header, and its content, encoded where it has to be.
void append_body(std::string& out, const Dsn& dsn, std::string_view body) {
    if (is_ascii(body)) {
        out.append("\r\n").append(body);
    } else if (is_global(dsn)) {
        out.append("Content-Transfer-Encoding: 8bit\r\n\r\n").append(body);
    } else {
        out.append("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        append_quoted(out, body);
    }
}

// A path in the address type that it needs.
void append_typed_address(std::string& out, const Dsn& dsn, std::string_view path) {
    if (is_ascii(path)) {
        out.append("rfc822; ");
        append_printable_ascii(out, path, path.size());
        return;
    }
    out.append("utf-8; ");
    if (is_global(dsn)) {
        append_printable(out, path, path.size());
    } else {
        append_utf8_xtext(out, path, true);
    }
}

// RFC 3461 §6.3: as ORCPT gave it, decoded.
void append_original_recipient(std::string& out, const Dsn& dsn, std::string_view typed) {
    const std::size_t semicolon = std::min(typed.find(';'), typed.size());
    const std::string_view type = typed.substr(0, semicolon);
    const std::string_view address = typed.substr(std::min(semicolon + 1, typed.size()));
    out.append("Original-Recipient: ");
    append_printable_ascii(out, type, type.size());
    out.append("; ");
    if (!base::equal_ignoring_case(type, "utf-8")) {
        append_xtext_decoded(out, address);
    } else if (is_global(dsn)) {
        append_utf8_decoded(out, address);
    } else {
        append_utf8_xtext(out, address, false);
    }
    out.append("\r\n");
}

// RFC 3464 §2.1.2: "dns" is a domain, or an address literal; ports have no place in it.
void append_mta_name(std::string& out, std::string_view host) {
    const std::string_view name = host.substr(0, host.find(':'));
    if (host.starts_with('[')) {
        append_address_literal(out, host.substr(1, host.find(']') - 1));
    } else if (name.find_first_not_of("0123456789.") == std::string_view::npos) {
        append_address_literal(out, name);
    } else {
        append_printable_ascii(out, name, Dsn::kReplyBytesMax);
    }
}

void append_text(std::string& out, const Dsn& dsn, bool whole) {
    out.append("This is the mail system at ");
    append_line(out, dsn.hostname, ".");
    out.append("\r\n").append(words_of(dsn).text);
    const std::string_view whose = dsn.to_postmaster ? "that message" : "your message";
    out.append(whole ? "and " : "and the header of ").append(whose).append(".\r\n");
    if (dsn.to_postmaster) {  // its header need not tell: the log does
        out.append("In the log, that message is ");
        append_line(out, view(dsn.original_id.text()), ".");
    }
    for (const DsnRecipient& recipient : dsn.recipients) {
        out.append("\r\n<");
        append_visible(out, recipient.path);
        out.append(">\r\n");
        if (recipient.expired) {
            append_line(out, "    ", kExpired);
        }
        if (!recipient.explanation.empty()) {
            append_folded(out, recipient.expired ? "    The last word on it: " : "    ",
                          recipient.explanation);
        }
        if (!recipient.reply.empty() && !recipient.remote_host.empty()) {
            append_foreign(out, "    host ", recipient.remote_host);
        }
        if (!recipient.reply.empty()) {
            append_folded(out, "    said: ", recipient.reply);
        }
    }
    if (dsn.kind == DsnKind::delayed) {
        out.append("\r\nIt is tried until ");
        append_date(out, dsn.retry_until);
        out.append(".\r\n");
    }
}

// RFC 3464 §2.3.
void append_recipient_fields(std::string& out, const Dsn& dsn, const DsnRecipient& recipient) {
    const Words& words = words_of(dsn);
    out.append("\r\n");
    if (!recipient.original_recipient.empty()) {
        append_original_recipient(out, dsn, recipient.original_recipient);
    }
    out.append("Final-Recipient: ");
    append_typed_address(out, dsn, recipient.path);
    append_line(out, "\r\nAction: ", words.action);
    out.append("Status: ");
    append_status(out, recipient.status.klass == words.klass ? recipient.status
                                                             : EnhancedStatus{words.klass, 0, 0});
    out.append("\r\n");
    if (!recipient.remote_host.empty()) {
        out.append("Remote-MTA: dns; ");
        append_mta_name(out, recipient.remote_host);
        out.append("\r\n");
    }
    if (!recipient.reply.empty()) {
        append_foreign(out, "Diagnostic-Code: smtp; ", recipient.reply);
    }
    if (recipient.last_attempt != base::WallTime()) {
        out.append("Last-Attempt-Date: ");
        append_date(out, recipient.last_attempt);
        out.append("\r\n");
    }
    if (dsn.kind == DsnKind::delayed) {
        out.append("Will-Retry-Until: ");
        append_date(out, dsn.retry_until);
        out.append("\r\n");
    }
}

// RFC 3464 §2.2.
void append_status_fields(std::string& out, const Dsn& dsn) {
    if (!dsn.envelope_id.empty()) {
        out.append("Original-Envelope-Id: ");
        append_xtext_decoded(out, dsn.envelope_id);
        out.append("\r\n");
    }
    append_line(out, "Reporting-MTA: dns; ", dsn.hostname);
    append_line(out, "X-Ringpost-Queue-ID: ", view(dsn.original_id.text()));
    out.append("Arrival-Date: ");
    append_date(out, dsn.original_received);
    out.append("\r\n");
    for (const DsnRecipient& recipient : dsn.recipients) {
        append_recipient_fields(out, dsn, recipient);
    }
}

// Lines of the original's header, one at a time; false at its end.
class HeaderLines {
  public:
    explicit HeaderLines(const Dsn& dsn)
        : left_(dsn.original_header), dot_stuffed_(dsn.original_dot_stuffed) {}

    [[nodiscard]] bool next() {
        while (!left_.empty()) {
            const std::size_t end = std::min(left_.find('\n'), left_.size());
            line_ = left_.substr(0, end);
            left_.remove_prefix(std::min(end + 1, left_.size()));
            if (line_.ends_with('\r')) {
                line_.remove_suffix(1);
            }
            if (dot_stuffed_ && line_.starts_with('.')) {
                line_.remove_prefix(1);  // what we added ourselves has no such line
            }
            if (!is_mbox_line(line_)) {
                line_ = line_.substr(0, kLineBytesMax);
                return continues() || !field_name(line_).empty();
            }
        }
        return false;
    }
    [[nodiscard]] std::string_view line() const { return line_; }
    [[nodiscard]] bool continues() const {
        return line_.starts_with(' ') || line_.starts_with('\t');
    }

  private:
    std::string_view left_;
    std::string_view line_;
    bool dot_stuffed_;
};

// The fields, to the end of the section or of what there is room for. Those that begin with "--"
// nobody misses, but they could be taken for the delimiter.
void append_header(std::string& out, const Dsn& dsn) {
    const std::size_t limit = out.size() + Dsn::kHeaderBytesMax;
    bool quoted = false;  // the last field
    for (HeaderLines lines(dsn); lines.next();) {
        const std::string_view line = lines.line();
        if (out.size() + line.size() + 2 > limit) {
            return;
        }
        quoted = lines.continues() ? quoted : !line.starts_with("--");
        if (quoted) {
            append_printable(out, line, line.size());
            out.append("\r\n");
        }
    }
}

// "<…>" of the original's Message-ID, folded or not; "" where it has none that could stand in ours.
std::string original_message_id(const Dsn& dsn) {
    constexpr std::size_t kBytesMax = 900;  // what is left of a line
    std::string value;
    bool inside = false;
    for (HeaderLines lines(dsn); lines.next();) {
        if (!lines.continues()) {
            if (inside) {
                break;
            }
            inside = base::equal_ignoring_case(field_name(lines.line()), "Message-ID");
        }
        if (inside && value.size() < 2 * kLineBytesMax) {
            value.append(lines.line());
        }
    }
    const std::size_t begin = value.find('<');
    const std::size_t end = value.find('>', std::min(begin, value.size()));
    if (end == std::string::npos || end - begin > kBytesMax) {
        return {};
    }
    value = value.substr(begin, end + 1 - begin);
    const bool good = std::ranges::all_of(value, [](char c) { return c > ' ' && c < 0x7f; });
    return good ? value : std::string();
}

std::string boundary_of(const Dsn& dsn) {
    std::string boundary = "=_ringpost_";
    boundary.append(view(dsn.id.text()));
    if (dsn.nonce != 0) {
        std::array<char, 16> digits{};
        char* const end =
            std::to_chars(digits.data(), digits.data() + digits.size(), dsn.nonce, 16).ptr;
        boundary.append("_").append(digits.data(), end);
    }
    return boundary;
}

void append_top(std::string& out, const Dsn& dsn, std::string_view boundary, bool has_8bit) {
    const bool global = is_global(dsn);
    append_line(out, "From: Mail Delivery System <MAILER-DAEMON@", std::string(dsn.hostname) + ">");
    append_line(out, "To: <", std::string(dsn.sender) + ">");
    append_line(out, "Subject: ", words_of(dsn).subject);
    out.append("Date: ");
    append_date(out, dsn.now);
    out.append("\r\nMessage-ID: <");
    out.append(view(dsn.id.text()));
    out.push_back('@');
    append_line(out, dsn.hostname, ">");
    if (const std::string id = original_message_id(dsn); !id.empty()) {
        append_line(out, "In-Reply-To: ", id);
        append_line(out, "References: ", id);
    }
    // RFC 3834 §5: our postmaster did not write what this is about.
    append_line(out, "Auto-Submitted: ", dsn.to_postmaster ? "auto-generated" : "auto-replied");
    out.append(
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=");
    out.append(global ? "global-delivery-status" : "delivery-status");
    out.append(";\r\n\tboundary=\"").append(boundary).append("\"\r\n");
    if (has_8bit) {  // that of a multipart is no less than its parts' (RFC 2045 §6.4)
        out.append("Content-Transfer-Encoding: 8bit\r\n");
    }
}

// The first two parts, and the delimiter of the third; `has_8bit`: that one is.
void append_report(std::string& out, const Dsn& dsn, bool whole, bool has_8bit) {
    RP_ASSERT(!dsn.sender.empty());
    const std::string boundary = boundary_of(dsn);
    const std::string delimiter = "\r\n--" + boundary + "\r\n";
    std::string text;
    append_text(text, dsn, whole);
    std::string status;
    append_status_fields(status, dsn);
    const bool global_8bit = is_global(dsn) && !(is_ascii(text) && is_ascii(status));
    append_top(out, dsn, boundary, has_8bit || global_8bit);
    out.append(delimiter);
    append_line(out, "Content-Type: text/plain; charset=", is_ascii(text) ? "us-ascii" : "utf-8");
    append_body(out, dsn, text);
    out.append(delimiter);
    out.append("Content-Type: message/");
    out.append(is_global(dsn) ? "global-delivery-status\r\n" : "delivery-status\r\n");
    append_body(out, dsn, status);
    out.append(delimiter);
}

}  // namespace

void append_dsn_begin(std::string& out, const Dsn& dsn, const ContentFacts& original) {
    RP_ASSERT(!original.has_8bit_header || is_global(dsn));
    append_report(out, dsn, true, original.has_8bit);
    out.append(original.has_8bit_header ? "Content-Type: message/global\r\n"
                                        : "Content-Type: message/rfc822\r\n");
    out.append(original.has_8bit ? "Content-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n");
}

void append_dsn_end(std::string& out, const Dsn& dsn) {
    out.append("\r\n--").append(boundary_of(dsn)).append("--\r\n");
}

ContentFacts append_dsn(std::string& out, const Dsn& dsn) {
    const std::size_t begin = out.size();
    std::string header;
    append_header(header, dsn);
    append_report(out, dsn, false, is_global(dsn) && !is_ascii(header));
    // RFC 6522 §4 has quoted-printable for headers that are not ASCII.
    out.append(is_ascii(header) ? "Content-Type: text/rfc822-headers; charset=us-ascii\r\n"
               : is_global(dsn) ? "Content-Type: message/global-headers\r\n"
                                : "Content-Type: text/rfc822-headers; charset=utf-8\r\n");
    append_body(out, dsn, header);
    append_dsn_end(out, dsn);

    ContentFacts facts;
    facts.stored_bytes = out.size() - begin;
    facts.has_8bit = !is_ascii(std::string_view(out).substr(begin));
    facts.has_8bit_header = !is_ascii(dsn.sender);
    return facts;
}

}  // namespace mail
