// The mail side of the oracle: what the letters and notifications that reach next hops must look
// like.
#include <algorithm>

#include "sim/relay/oracle.h"

namespace sim::relay {
namespace {

constexpr std::size_t kIdSize = mail::QueueId::kTextSize;

// The line behind `field`, up to its end; "" where there is none.
std::string_view field_of(std::string_view text, std::string_view field) {
    const std::size_t at = text.find(field);
    if (at == std::string_view::npos) {
        return {};
    }
    text.remove_prefix(at + field.size());
    return text.substr(0, text.find('\r'));
}

// Takes all up to `mark`, and the mark, off the front of `text`. False: it is not there.
bool skip_to(std::string_view& text, std::string_view mark) {
    const std::size_t at = text.find(mark);
    if (at == std::string_view::npos) {
        return false;
    }
    text.remove_prefix(at + mark.size());
    return true;
}

std::string without_transfer_encoding(std::string_view header) {
    std::string rest;
    while (!header.empty()) {
        const std::size_t end = std::min(header.find("\r\n"), header.size() - 2) + 2;
        const std::string_view line = header.substr(0, end);
        if (!line.starts_with("Content-Transfer-Encoding:")) {
            rest += line;
        }
        header.remove_prefix(end);
    }
    return rest;
}

// RFC 6152 §3: what had to be converted for a next hop without 8BITMIME.
bool is_downgraded(std::string_view content, std::string_view original) {
    const std::size_t body = content.find("\r\n\r\n");
    const std::size_t original_body = original.find("\r\n\r\n");
    if (body == std::string_view::npos || original_body == std::string_view::npos) {
        return false;
    }
    const bool seven_bit =
        std::ranges::all_of(content, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    return seven_bit &&
           without_transfer_encoding(content.substr(0, body + 2)) ==
               without_transfer_encoding(original.substr(0, original_body + 2)) &&
           quoted_printable_decoded(content.substr(body + 4)) == original.substr(original_body + 4);
}

}  // namespace

TraceHeader trace_header(std::string_view content) {
    if (!content.starts_with("Received: from ")) {
        return {};
    }
    std::size_t end = content.find("\r\n");
    while (end != std::string_view::npos && end + 2 < content.size() &&
           (content[end + 2] == '\t' || content[end + 2] == ' ')) {
        end = content.find("\r\n", end + 2);
    }
    if (end == std::string_view::npos) {
        return {};
    }
    const std::string_view text = content.substr(0, end + 2);
    const std::size_t id = text.find(" id ");
    if (id == std::string_view::npos) {
        return {};
    }
    return {text, std::string(text.substr(id + 4, kIdSize)), content.substr(end + 2)};
}

std::string notification_id(std::string_view content) {
    return std::string(field_of(content, "Message-ID: <").substr(0, kIdSize));
}

void Oracle::part(const std::vector<std::string>& paths, std::string_view content, bool eight_bit) {
    if (paths.empty() || is_sender(paths.front())) {
        return;
    }
    Message* message = known(paths.front(), "a next hop is given a part for");
    const TraceHeader header = trace_header(content);
    if (message == nullptr || header.id.empty() || (message->letter.eight_bit && !eight_bit)) {
        return;
    }
    if (!message->letter.content.starts_with(header.rest)) {
        journal_.fault("a part of letter " + std::to_string(message->letter.number) +
                       " that broke off differs from what was sent");
    }
}

void Oracle::given(const Given& message) {
    if (message.recipients.empty()) {
        return;  // nobody was accepted: what comes then is nothing
    }
    if (is_sender(message.recipients.front())) {
        check_notification(message);
    } else {
        check_letter(message);
    }
}

void Oracle::check_letter(const Given& given) {
    Message* message = known(given.recipients.front(), "a next hop is given mail for");
    if (message == nullptr) {
        return;
    }
    const Letter& letter = message->letter;
    const std::string name = "letter " + std::to_string(letter.number);
    if (given.reverse_path != letter.reverse_path) {
        journal_.fault(name + " reaches a next hop from <" + given.reverse_path + ">");
    }
    for (const std::string& path : given.recipients) {
        if (letter_of(path) != letter.number || is_sender(path)) {
            journal_.fault(name + " goes to " + path + " too");
        }
    }
    const TraceHeader header = trace_header(given.content);
    if (header.id.empty()) {
        journal_.fault(name + " reaches a next hop without the relay's trace header");
        return;
    }
    bind(header.id, name);
    check_trace(*message, header.text);
    if (message->phase == Phase::acknowledged && header.id != message->id) {
        journal_.fault(name + " was acknowledged as " + message->id + " and goes as " + header.id);
    }
    const bool same = header.rest == letter.content || (letter.eight_bit && !given.eight_bit &&
                                                        is_downgraded(header.rest, letter.content));
    if (!same || (letter.eight_bit && !given.eight_bit && header.rest == letter.content)) {
        journal_.fault(name + " reaches a next hop with other bytes than were sent (" +
                       std::to_string(header.rest.size()) + " of " +
                       std::to_string(letter.content.size()) + ")");
    }
}

// It names the client, and is the same at each next hop, and in each notification.
void Oracle::check_trace(Message& message, std::string_view header) {
    std::string text(header);
    std::ranges::replace(text, '\t', ' ');  // as notifications, which are printable, have it
    const std::string from = "Received: from client.test ([" +
                             message.client.substr(0, message.client.find(':')) +
                             "])\r\n by relay.test ";
    const std::string name = "letter " + std::to_string(message.letter.number);
    if (!text.starts_with(from)) {
        journal_.fault(name + " has a trace header of something else: " + text);
    }
    if (message.trace.empty()) {
        message.trace = text;
    } else if (message.trace != text) {
        journal_.fault(name + " has another trace header than before: " + text);
    }
}

// A recipient is named in it only where it is the only one: none may learn of another.
void Oracle::check_trace_recipient(const Message& message) {
    std::set<std::string> accepted;
    for (const std::string& path : message.letter.recipients) {
        if (recipient(path).accepted) {
            accepted.insert(path);
        }
    }
    std::string_view named(message.trace);
    const bool any = skip_to(named, "\r\n for <");
    named = named.substr(0, named.find('>'));
    const bool fits = accepted.size() == 1 ? any && named == *accepted.begin() : !any;
    if (!message.trace.empty() && !fits) {
        journal_.fault("letter " + std::to_string(message.letter.number) + " with " +
                       std::to_string(accepted.size()) + " recipients has the trace header " +
                       message.trace);
    }
}

// RFC 3464, as the relay writes it.
void Oracle::check_notification(const Given& given) {
    const std::string& to = given.recipients.front();
    const std::string id = notification_id(given.content);
    const std::string of(field_of(given.content, "X-Ringpost-Queue-ID: "));
    if (!given.reverse_path.empty() || given.recipients.size() != 1 || id.size() != kIdSize ||
        of.size() != kIdSize) {
        journal_.fault("a notification to " + to + " is malformed");
        return;
    }
    bind(id, "a notification to " + to);
    const auto [before, fresh] = notifications_.emplace(id, given.content);
    std::string_view rest(given.content);
    Message* about = nullptr;
    constexpr std::string_view kFinal = "\r\nFinal-Recipient: rfc822; ";
    for (std::size_t at = rest.find(kFinal); at != rest.npos; at = rest.find(kFinal, at + 1)) {
        const std::string path(
            rest.substr(at + kFinal.size(), rest.find('\r', at + 2) - at - kFinal.size()));
        about = known(path, "a notification names");
        if (about == nullptr) {
            return;
        }
        bind(of, "letter " + std::to_string(about->letter.number));
        if (to != about->letter.reverse_path) {
            journal_.fault("a notification about " + path + " goes to " + to);
        }
        const std::size_t begin = rest.rfind("\r\n\r\n", at);
        check_fields(path, id, rest.substr(begin + 2, rest.find("\r\n\r\n", at) - begin - 2));
    }
    if (about == nullptr) {
        journal_.fault("the notification " + id + " names nobody");
        return;
    }
    // A whole message in it may be converted for one next hop, and not for another.
    if (!fresh && before->second != given.content && !about->letter.eight_bit) {
        journal_.fault("the notification " + id + " has changed");
    }
    std::string envelope_id;
    mail::append_xtext_decoded(envelope_id, about->letter.envelope_id);
    if (field_of(given.content, "\r\nOriginal-Envelope-Id: ") != envelope_id) {
        journal_.fault("the notification " + id + " has another ENVID than " + envelope_id);
    }
    check_returned(*about, given, of, rest);
}

// Of one recipient: what has become of him.
void Oracle::check_fields(const std::string& path, const std::string& id, std::string_view fields) {
    Recipient& one = recipient(path);
    const Letter& letter = messages_.at(*letter_of(path)).letter;
    const std::size_t index = letter.index_of(path);
    const mail::Notify notify = letter.notify[index];
    const std::string_view action = field_of(fields, "\r\nAction: ");
    if (action == "delayed") {
        named(path, id, one.delays, one.delay_deaths);
        check_delay(path, fields);
    } else if (action == "relayed") {
        named(path, id, one.relays, one.relay_deaths);
        check_relay(path, fields);
    } else {
        named(path, id, one.notifications, one.open_deaths);
        check_failure(path, fields);
    }
    const bool wanted = action == "delayed"   ? notify.delay()
                        : action == "relayed" ? notify.success()
                                              : notify.failure();
    if (!wanted) {
        journal_.fault("a notification says that " + path + " is " + std::string(action) +
                       ", which its sender did not want to know");
    }
    std::string original;
    if (!letter.original[index].empty()) {
        original = "rfc822; ";
        mail::append_xtext_decoded(original, std::string_view(letter.original[index]).substr(7));
    }
    if (field_of(fields, "\r\nOriginal-Recipient: ") != original) {
        journal_.fault("a notification about " + path + " has another ORCPT than " + original);
    }
}

void Oracle::check_delay(const std::string& path, std::string_view fields) {
    world_.count(Fault::peer, "hop: word of a delay");
    if (!may_be_delayed(messages_.at(*letter_of(path))) ||
        !field_of(fields, "\r\nStatus: ").starts_with("4.") ||
        field_of(fields, "\r\nWill-Retry-Until: ").empty()) {
        journal_.fault("a notification says that " + path +
                       " is delayed, and should not: " + std::string(fields));
    }
}

// RFC 3461 §5.2.2: only where the next hop does not speak DSN itself.
void Oracle::check_relay(const std::string& path, std::string_view fields) {
    world_.count(Fault::peer, "hop: word of a hand-over");
    const bool handed_on = std::ranges::any_of(
        recipient(path).takes, [](const Take& take) { return !take.dsn && !take.withheld; });
    if (!handed_on || !field_of(fields, "\r\nStatus: ").starts_with("2.")) {
        journal_.fault("a notification says that " + path +
                       " was handed on, and should not: " + std::string(fields));
    }
}

// Why one failed: what a next hop said of it, in its words, or that its time was over.
void Oracle::check_failure(const std::string& path, std::string_view fields) {
    const Recipient& one = recipient(path);
    const std::string_view status = field_of(fields, "\r\nStatus: ");
    const std::string reply(field_of(fields, "\r\nDiagnostic-Code: smtp; "));
    const bool said = one.never.contains(reply) && status == reply.substr(4, status.size());
    const Message& message = messages_.at(*letter_of(path));
    const bool over = status == "5.4.7" && may_have_expired(message);
    const bool too_large = status == "5.3.4" && may_be_too_large(message);
    const bool ruled = status == "5.7.1" && may_mean(store::RuleAction::bounce, message, path);
    if (field_of(fields, "\r\nAction: ") != "failed" || (!said && !over && !too_large && !ruled)) {
        journal_.fault("a notification names " + path +
                       ", and says what is not so: " + std::string(fields));
    }
}

// Behind the fields about recipients comes the header of the letter, or the letter, with what the
// relay put before it, and nothing else.
void Oracle::check_returned(Message& message, const Given& given, const std::string& id,
                            std::string_view rest) {
    const Letter& letter = message.letter;
    const bool whole = skip_to(rest, "\r\nContent-Type: message/rfc822\r\n");
    if (whole) {
        skip_to(rest, "\r\n");  // behind a transfer encoding, or at once
        if (rest.starts_with("\r\n")) {
            rest.remove_prefix(2);
        }
    } else {
        skip_to(rest, "\r\nContent-Type: text/rfc822-headers; charset=us-ascii\r\n\r\n");
    }
    const std::string_view returned = rest.substr(0, rest.find("\r\n--=_ringpost_"));
    const TraceHeader header = trace_header(returned);
    const std::size_t end = letter.content.find("\r\n\r\n");
    const std::string own = end == std::string::npos ? "" : letter.content.substr(0, end + 2);
    // Where the spool cannot be read it quotes less.
    const bool quoted =
        header.rest == own || (plan_.on(Fault::read_error) && own.starts_with(header.rest));
    const bool returned_whole =
        letter.ret == mail::ReturnContent::full &&
        (header.rest == letter.content ||
         (letter.eight_bit && !given.eight_bit && is_downgraded(header.rest, letter.content)));
    if (header.id != id || (whole ? !returned_whole : !quoted)) {
        journal_.fault("a notification about letter " + std::to_string(letter.number) +
                       " returns another header: " + std::string(returned));
    } else {
        check_trace(message, header.text);
    }
}

void Oracle::mail_parameters(const std::string& reverse_path, std::string_view line, bool dsn) {
    const std::size_t behind = line.find('>') + 1;
    std::size_t at = std::min(line.find(" RET=", behind), line.find(" ENVID=", behind));
    at = std::min(at, line.size());
    const auto number = letter_of(reverse_path);
    const auto known = number ? messages_.find(*number) : messages_.end();
    if (known == messages_.end() && dsn) {
        return;  // from the null path: of whichever letter
    }
    const std::string wanted = dsn ? known->second.letter.mail_parameters() : "";
    if (line.substr(at) != wanted) {
        journal_.fault("a next hop is sent: " + std::string(line) + ", and not" + wanted);
    }
}

void Oracle::recipient_parameters(const std::string& path, std::string_view line, bool dsn) {
    const std::string_view parameters = line.substr(line.find('>') + 1);
    std::string wanted;
    if (dsn && !is_sender(path) && letter_of(path) && messages_.contains(*letter_of(path))) {
        const Letter& letter = messages_.at(*letter_of(path)).letter;
        wanted = letter.recipient_parameters(letter.index_of(path));
    }
    if (parameters != wanted) {
        journal_.fault("a next hop is sent: " + std::string(line) + ", and not" + wanted);
    }
}

void Oracle::named(const std::string& path, const std::string& id, std::set<std::string>& before,
                   std::uint32_t deaths) {
    if (before.insert(id).second) {
        ++notified_;
    }
    if (before.size() > 1 + std::size_t{deaths}) {
        journal_.fault(std::to_string(before.size()) + " notifications name " + path);
    }
}

}  // namespace sim::relay
