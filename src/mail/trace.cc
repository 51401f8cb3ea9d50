#include "mail/trace.h"

#include "base/bytes.h"
#include "mail/date.h"
#include "mail/text.h"

namespace mail {
namespace {

constexpr std::size_t kHeloBytesMax = 255;

constexpr bool is_domain_character(char c) {
    const char l = base::lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("-._:[]").find(c) != std::string_view::npos;
}

}  // namespace

void append_address_literal(std::string& out, std::string_view address) {
    out.append(address.find(':') == std::string_view::npos ? "[" : "[IPv6:");
    out.append(address);
    out.push_back(']');
}

void append_received(std::string& out, const Trace& trace) {
    out.append("Received: from ");
    if (trace.origin.helo.empty()) {
        append_address_literal(out, trace.origin.client_address);
    }
    for (const char c : trace.origin.helo.substr(0, kHeloBytesMax)) {
        out.push_back(is_domain_character(c) ? c : '?');
    }
    out.append(" (");
    append_address_literal(out, trace.origin.client_address);
    out.append(")\r\n\tby ");
    out.append(trace.hostname);
    out.append(" (ringpost) with ");
    out.append(trace.origin.protocol);
    out.append(" id ");
    out.append(view(trace.id.text()));
    if (!trace.recipient.empty() && is_ascii(trace.recipient)) {
        out.append("\r\n\tfor <");
        out.append(trace.recipient);
        out.push_back('>');
    }
    out.append("; ");
    append_date(out, trace.received);
    out.append("\r\n");
}

}  // namespace mail
