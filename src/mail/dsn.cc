#include "mail/dsn.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "mail/date.h"
#include "mail/field_name.h"
#include "mail/text.h"
#include "mail/trace.h"

namespace mail {
namespace {

constexpr std::size_t kLineBytesMax = 998;  // RFC 5322 §2.1.1

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

// A path in the address type it needs: "rfc822; …", or RFC 6533's "utf-8; …" in its ASCII form
// (utf-8-addr-xtext).
void append_typed_address(std::string& out, std::string_view path) {
    if (is_ascii(path)) {
        out.append("rfc822; ");
        append_printable_ascii(out, path, path.size());
        return;
    }
    out.append("utf-8; ");
    while (!path.empty()) {
        const std::size_t size = std::max<std::size_t>(utf8_sequence(path), 1);
        const auto lead = static_cast<unsigned char>(path[0]);
        if (size == 1 && lead > 32 && lead < 127 && lead != '\\' && lead != '+' && lead != '=') {
            out.push_back(path[0]);
        } else {
            unsigned point = size == 1 ? lead : lead & (0xffU >> (size + 1));
            for (const char c : path.substr(1, size - 1)) {
                point = point << 6U | (static_cast<unsigned char>(c) & 0x3fU);
            }
            char digits[8];
            char* const end = std::to_chars(digits, digits + sizeof digits, point, 16).ptr;
            std::for_each(digits, end,
                          [](char& c) { c = c >= 'a' ? static_cast<char>(c - 32) : c; });
            out.append("\\x{");
            out.append(digits, end);
            out.push_back('}');
        }
        path.remove_prefix(size);
    }
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

EnhancedStatus failure_status(const DsnRecipient& recipient) {
    return recipient.status.klass == 5 ? recipient.status : EnhancedStatus{5, 0, 0};
}

void append_text(std::string& out, const Dsn& dsn) {
    out.append("This is the mail system at ");
    append_line(out, dsn.hostname, ".");
    out.append(
        "\r\nYour message could not be delivered to the recipients named below.\r\n"
        "The reason for each of them follows; after it come the technical details\r\n"
        "and the header of your message.\r\n");
    for (const DsnRecipient& recipient : dsn.recipients) {
        out.append("\r\n<");
        append_printable_ascii(out, recipient.path, recipient.path.size());
        out.append(">\r\n");
        if (!recipient.explanation.empty()) {
            append_foreign(out, "    ", recipient.explanation);
        }
        if (!recipient.reply.empty() && !recipient.remote_host.empty()) {
            append_foreign(out, "    host ", recipient.remote_host);
        }
        if (!recipient.reply.empty()) {
            append_foreign(out, "    said: ", recipient.reply);
        }
    }
}

// RFC 3464 §2.2, §2.3.
void append_status_fields(std::string& out, const Dsn& dsn) {
    append_line(out, "Reporting-MTA: dns; ", dsn.hostname);
    append_line(out, "X-Ringpost-Queue-ID: ", view(dsn.original_id.text()));
    out.append("Arrival-Date: ");
    append_date(out, dsn.original_received);
    out.append("\r\n");
    for (const DsnRecipient& recipient : dsn.recipients) {
        out.append("\r\nFinal-Recipient: ");
        append_typed_address(out, recipient.path);
        out.append("\r\nAction: failed\r\nStatus: ");
        append_status(out, failure_status(recipient));
        out.append("\r\n");
        if (!recipient.remote_host.empty()) {
            out.append("Remote-MTA: dns; ");
            append_mta_name(out, recipient.remote_host);
            out.append("\r\n");
        }
        if (!recipient.reply.empty()) {
            append_foreign(out, "Diagnostic-Code: smtp; ", recipient.reply);
        }
    }
}

// The fields, to the end of the section or of what there is room for. Those that begin with "--"
// nobody misses, but they could be taken for the delimiter.
void append_header(std::string& out, std::string_view header, bool dot_stuffed) {
    const std::size_t limit = out.size() + Dsn::kHeaderBytesMax;
    bool quoted = false;  // the last field
    while (!header.empty()) {
        const std::size_t end = std::min(header.find('\n'), header.size());
        std::string_view line = header.substr(0, end);
        header.remove_prefix(std::min(end + 1, header.size()));
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        if (dot_stuffed && line.starts_with('.')) {
            line.remove_prefix(1);  // what we added ourselves has no such line
        }
        if (is_mbox_line(line)) {
            continue;
        }
        line = line.substr(0, kLineBytesMax);
        const bool continues = line.starts_with(' ') || line.starts_with('\t');
        if ((!continues && field_name(line).empty()) || out.size() + line.size() + 2 > limit) {
            return;
        }
        quoted = continues ? quoted : !line.starts_with("--");
        if (quoted) {
            append_printable_ascii(out, line, line.size());
            out.append("\r\n");
        }
    }
}

}  // namespace

ContentFacts append_dsn(std::string& out, const Dsn& dsn) {
    RP_ASSERT(!dsn.sender.empty());
    const std::size_t begin = out.size();
    const QueueId::Text id = dsn.id.text();
    const std::string delimiter = "\r\n--=_ringpost_" + std::string(view(id));

    append_line(out, "From: Mail Delivery System <MAILER-DAEMON@", std::string(dsn.hostname) + ">");
    append_line(out, "To: <", std::string(dsn.sender) + ">");
    out.append("Subject: Undelivered mail returned to sender\r\nDate: ");
    append_date(out, dsn.now);
    out.append("\r\nMessage-ID: <");
    out.append(view(id));
    out.push_back('@');
    append_line(out, dsn.hostname, ">");
    out.append(
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"");
    out.append(delimiter.substr(4));
    out.append("\"\r\n");

    out.append(delimiter);
    out.append("\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
    append_text(out, dsn);
    out.append(delimiter);
    out.append("\r\nContent-Type: message/delivery-status\r\n\r\n");
    append_status_fields(out, dsn);
    out.append(delimiter);
    out.append("\r\nContent-Type: text/rfc822-headers; charset=us-ascii\r\n\r\n");
    append_header(out, dsn.original_header, dsn.original_dot_stuffed);
    out.append(delimiter);
    out.append("--\r\n");

    ContentFacts facts;
    facts.stored_bytes = out.size() - begin;
    facts.has_8bit = facts.has_8bit_header = !is_ascii(dsn.sender);
    return facts;
}

}  // namespace mail
