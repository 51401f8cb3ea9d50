#include "smtp/command_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "base/bytes.h"

namespace smtp {
namespace {

using base::equal_ignoring_case;
using mail::FixedReply;
using Parsed = std::expected<Command, CommandError>;

constexpr std::string_view kBlanks = " \t";

constexpr std::array<std::pair<std::string_view, Verb>, 14> kVerbs{{
    {"MAIL", Verb::mail},
    {"RCPT", Verb::rcpt},
    {"DATA", Verb::data},
    {"BDAT", Verb::bdat},
    {"RSET", Verb::rset},
    {"EHLO", Verb::ehlo},
    {"QUIT", Verb::quit},
    {"HELO", Verb::helo},
    {"NOOP", Verb::noop},
    {"STARTTLS", Verb::starttls},
    {"AUTH", Verb::auth},
    {"VRFY", Verb::vrfy},
    {"EXPN", Verb::expn},
    {"HELP", Verb::help},
}};

// RFC 9110 §9, RFC 5789.
constexpr std::array<std::string_view, 9> kHttpMethods{
    "GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "DELETE", "TRACE", "PATCH"};

constexpr FixedReply kControlCharacter{500, {5, 5, 2}, "Control character in command"};
constexpr FixedReply kSyntaxMail{501, {5, 5, 4}, "Syntax: MAIL FROM:<address>"};
constexpr FixedReply kSyntaxRcpt{501, {5, 5, 4}, "Syntax: RCPT TO:<address>"};
constexpr FixedReply kSyntaxBdat{501, {5, 5, 4}, "Syntax: BDAT count [LAST]"};
constexpr FixedReply kNoArgument{501, {5, 5, 4}, "This command takes no argument"};
constexpr FixedReply kBadSender{501, {5, 1, 7}, "Bad sender address syntax"};
constexpr FixedReply kLongSender{501, {5, 1, 7}, "Sender address too long"};
constexpr FixedReply kSenderDomain{501, {5, 1, 7}, "Sender address needs a domain"};
constexpr FixedReply kBadRecipient{501, {5, 1, 3}, "Bad recipient address syntax"};
constexpr FixedReply kLongRecipient{501, {5, 1, 3}, "Recipient address too long"};
constexpr FixedReply kRecipientDomain{501, {5, 1, 3}, "Recipient address needs a domain"};
constexpr FixedReply kBadParameter{501, {5, 5, 4}, "Bad parameter syntax"};
constexpr FixedReply kTwiceParameter{501, {5, 5, 4}, "Parameter given twice"};
constexpr FixedReply kBadSize{501, {5, 5, 4}, "Syntax: SIZE=number"};
constexpr FixedReply kBadBody{501, {5, 5, 4}, "BODY must be 7BIT or 8BITMIME"};
constexpr FixedReply kBadSmtpUtf8{501, {5, 5, 4}, "SMTPUTF8 takes no value"};
constexpr FixedReply kBadReturn{501, {5, 5, 4}, "RET must be FULL or HDRS"};
constexpr FixedReply kBadEnvelopeId{501, {5, 5, 4}, "ENVID must be xtext of at most 100 octets"};
constexpr FixedReply kControlEnvelopeId{
    501, {5, 5, 4}, "ENVID must not stand for control characters"};
constexpr FixedReply kBadNotify{
    501, {5, 5, 4}, "NOTIFY must be NEVER, or a list of SUCCESS, FAILURE and DELAY"};
constexpr FixedReply kBadOriginal{
    501, {5, 5, 4}, "ORCPT must be type;address, encoded, of at most 500 octets"};
constexpr FixedReply kControlOriginal{
    501, {5, 5, 4}, "ORCPT must not stand for control characters"};
constexpr FixedReply kUnknownMailParameter{555, {5, 5, 4}, "Unsupported MAIL parameter"};
constexpr FixedReply kUnknownRcptParameter{555, {5, 5, 4}, "Unsupported RCPT parameter"};

std::unexpected<CommandError> refuse(Verb verb, FixedReply reply) {
    if (verb == Verb::ehlo || verb == Verb::helo) {
        reply.status = {};  // RFC 2034 §4
    }
    return std::unexpected(CommandError{verb, reply, verb == Verb::bdat});
}

constexpr bool is_control(char c) {
    const auto octet = static_cast<unsigned char>(c);
    return (octet < 32 && c != '\t') || octet == 127;
}

std::string_view trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// The next word off the front, without the blanks before it; "" at the end.
std::string_view take_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
    text.remove_prefix(word.size());
    return word;
}

// By the first word of a line.
Verb verb_of(std::string_view line) {
    const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
    for (const auto& [text, verb] : kVerbs) {
        if (equal_ignoring_case(word, text)) {
            return verb;
        }
    }
    const bool http = std::ranges::any_of(kHttpMethods, [word](std::string_view method) {
        return equal_ignoring_case(word, method);
    });
    if (http) {
        return Verb::http;
    }
    const std::size_t colon = word.find(':');
    return colon != 0 && colon != std::string_view::npos ? Verb::header : Verb::unknown;
}

// 1*DIGIT; what does not fit becomes the highest number.
std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (stop != end || error == std::errc::invalid_argument) {
        return std::nullopt;
    }
    return error == std::errc() ? value : std::numeric_limits<std::uint64_t>::max();
}

// "FROM:" or "TO:" off the front of the arguments.
bool take_keyword(std::string_view& text, std::string_view keyword) {
    if (!equal_ignoring_case(text.substr(0, keyword.size()), keyword)) {
        return false;
    }
    text.remove_prefix(keyword.size());
    return true;
}

// RFC 5321 §4.1.2: esmtp-param.
struct Parameter {
    std::string_view keyword;
    std::string_view value;
    bool has_value = false;
};

std::optional<Parameter> parse_parameter(std::string_view word) {
    Parameter parameter;
    const std::size_t equals = word.find('=');
    parameter.keyword = word.substr(0, equals);
    parameter.has_value = equals != std::string_view::npos;
    if (parameter.has_value) {
        parameter.value = word.substr(equals + 1);
    }
    const auto is_alphanumeric = [](char c) {
        return (c >= '0' && c <= '9') || (base::lower(c) >= 'a' && base::lower(c) <= 'z');
    };
    const bool good = !parameter.keyword.empty() && is_alphanumeric(parameter.keyword.front()) &&
                      std::ranges::all_of(parameter.keyword,
                                          [&](char c) { return is_alphanumeric(c) || c == '-'; }) &&
                      parameter.value.empty() == !parameter.has_value;
    return good ? std::optional(parameter) : std::nullopt;
}

struct MailParametersSeen {
    bool body = false;
};

// The value of ENVID or ORCPT is refused for what it stands for.
bool encodes_control(std::string_view value) {
    const auto control = [](std::string_view hex) {
        std::uint32_t code = 0;
        const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
        return error == std::errc() && end == hex.data() + hex.size() &&
               (code < 0x20 || (code >= 0x7f && code < 0xa0));
    };
    for (std::size_t at = value.find('+'); at != std::string_view::npos;
         at = value.find('+', at + 1)) {
        const std::string_view hex = value.substr(at + 1, 2);
        if (hex.size() == 2 && control(hex)) {
            return true;
        }
    }
    constexpr std::string_view kOpen = "\\x{";
    for (std::size_t at = value.find(kOpen); at != std::string_view::npos;
         at = value.find(kOpen, at + 1)) {
        const std::size_t first = at + kOpen.size();
        const std::size_t close = value.find('}', first);
        if (close != std::string_view::npos && control(value.substr(first, close - first))) {
            return true;
        }
    }
    return false;
}

// One parameter of MAIL into `command`; the reply when it cannot be taken.
std::optional<FixedReply> take_mail_parameter(const Parameter& parameter, Command& command,
                                              MailParametersSeen& seen) {
    if (equal_ignoring_case(parameter.keyword, "SIZE")) {
        const std::optional<std::uint64_t> size = parse_number(parameter.value);
        if (!size || parameter.value.size() > 20) {  // RFC 1870 §4: 1*20DIGIT
            return kBadSize;
        }
        if (std::exchange(command.has_size, true)) {
            return kTwiceParameter;
        }
        command.size_bytes = *size;
        return std::nullopt;
    }
    if (equal_ignoring_case(parameter.keyword, "BODY")) {
        command.body_8bitmime = equal_ignoring_case(parameter.value, "8BITMIME");
        if (!command.body_8bitmime && !equal_ignoring_case(parameter.value, "7BIT")) {
            return kBadBody;
        }
        return std::exchange(seen.body, true) ? std::optional(kTwiceParameter) : std::nullopt;
    }
    if (equal_ignoring_case(parameter.keyword, "SMTPUTF8")) {
        if (parameter.has_value) {
            return kBadSmtpUtf8;
        }
        return std::exchange(command.smtputf8, true) ? std::optional(kTwiceParameter)
                                                     : std::nullopt;
    }
    if (equal_ignoring_case(parameter.keyword, "RET")) {
        const bool twice = command.ret != mail::ReturnContent::unspecified;
        command.ret = mail::parse_return(parameter.value);
        return command.ret == mail::ReturnContent::unspecified ? std::optional(kBadReturn)
               : twice                                         ? std::optional(kTwiceParameter)
                                                               : std::nullopt;
    }
    if (equal_ignoring_case(parameter.keyword, "ENVID")) {
        if (!mail::is_envelope_id(parameter.value)) {
            return encodes_control(parameter.value) ? kControlEnvelopeId : kBadEnvelopeId;
        }
        const bool twice = !std::exchange(command.envelope_id, parameter.value).empty();
        return twice ? std::optional(kTwiceParameter) : std::nullopt;
    }
    return kUnknownMailParameter;
}

// One parameter of RCPT into `command`; the reply when it cannot be taken.
std::optional<FixedReply> take_rcpt_parameter(const Parameter& parameter, Command& command) {
    if (equal_ignoring_case(parameter.keyword, "NOTIFY")) {
        const std::optional<mail::Notify> notify = mail::parse_notify(parameter.value);
        if (!notify) {
            return kBadNotify;
        }
        const bool twice = std::exchange(command.notify, *notify).given();
        return twice ? std::optional(kTwiceParameter) : std::nullopt;
    }
    if (equal_ignoring_case(parameter.keyword, "ORCPT")) {
        if (!mail::is_original_recipient(parameter.value)) {
            return encodes_control(parameter.value) ? kControlOriginal : kBadOriginal;
        }
        const bool twice = !std::exchange(command.original_recipient, parameter.value).empty();
        return twice ? std::optional(kTwiceParameter) : std::nullopt;
    }
    return kUnknownRcptParameter;
}

Parsed parse_mail(Command command, std::string_view rest, const Limits& limits) {
    if (!take_keyword(rest, "FROM:") || trim(rest).empty()) {
        return refuse(command.verb, kSyntaxMail);
    }
    const auto path = mail::take_path(rest, limits.path);
    if (!path) {
        return refuse(command.verb, path.error() == mail::PathError::too_long    ? kLongSender
                                    : path.error() == mail::PathError::no_domain ? kSenderDomain
                                                                                 : kBadSender);
    }
    // <postmaster> alone is a forward-path only: nothing could be sent back to it from elsewhere.
    if (!path->null() && path->domain.empty()) {
        return refuse(command.verb, kSenderDomain);
    }
    command.path = *path;
    MailParametersSeen seen;
    for (std::string_view word = take_word(rest); !word.empty(); word = take_word(rest)) {
        const std::optional<Parameter> parameter = parse_parameter(word);
        const std::optional<FixedReply> reply =
            parameter ? take_mail_parameter(*parameter, command, seen) : kBadParameter;
        if (reply) {
            return refuse(command.verb, *reply);
        }
    }
    if (command.path.non_ascii && !command.smtputf8) {
        return refuse(command.verb, kNeedsSmtpUtf8);
    }
    return command;
}

Parsed parse_rcpt(Command command, std::string_view rest, const Limits& limits) {
    if (!take_keyword(rest, "TO:") || trim(rest).empty()) {
        return refuse(command.verb, kSyntaxRcpt);
    }
    const auto path = mail::take_path(rest, limits.path);
    if (!path) {
        return refuse(command.verb, path.error() == mail::PathError::too_long    ? kLongRecipient
                                    : path.error() == mail::PathError::no_domain ? kRecipientDomain
                                                                                 : kBadRecipient);
    }
    if (path->null()) {
        return refuse(command.verb, kBadRecipient);
    }
    command.path = *path;
    for (std::string_view word = take_word(rest); !word.empty(); word = take_word(rest)) {
        const std::optional<Parameter> parameter = parse_parameter(word);
        const std::optional<FixedReply> reply =
            parameter ? take_rcpt_parameter(*parameter, command) : kBadParameter;
        if (reply) {
            return refuse(command.verb, *reply);
        }
    }
    return command;
}

Parsed parse_bdat(Command command, std::string_view rest) {
    const std::string_view count = take_word(rest);
    const std::optional<std::uint64_t> bytes = parse_number(count);
    const std::string_view last = take_word(rest);
    command.chunk_last = equal_ignoring_case(last, "LAST");
    if (!bytes || (!last.empty() && !command.chunk_last) || !take_word(rest).empty() ||
        *bytes == std::numeric_limits<std::uint64_t>::max()) {
        return refuse(command.verb, kSyntaxBdat);
    }
    command.chunk_bytes = *bytes;
    return command;
}

// The reply to a verb without its argument, or {}.
FixedReply missing_argument(Verb verb) {
    switch (verb) {
        case Verb::helo:
            return {501, {}, "Syntax: HELO hostname"};
        case Verb::ehlo:
            return {501, {}, "Syntax: EHLO hostname"};
        case Verb::vrfy:
            return {501, {5, 5, 4}, "Syntax: VRFY address"};
        case Verb::expn:
            return {501, {5, 5, 4}, "Syntax: EXPN list"};
        case Verb::auth:
            return {501, {5, 5, 4}, "Syntax: AUTH mechanism"};
        default:
            return {};
    }
}

bool is_foreign(Verb verb) {
    return verb == Verb::http || verb == Verb::header;
}

}  // namespace

std::expected<Command, CommandError> parse_command(std::string_view line, const Limits& limits) {
    std::string_view rest = line;
    Command command;
    command.verb = verb_of(line);
    if (is_foreign(command.verb)) {
        return command;
    }
    const std::size_t bytes_max = command.verb == Verb::mail   ? limits.mail_line_bytes_max
                                  : command.verb == Verb::rcpt ? limits.rcpt_line_bytes_max
                                                               : limits.command_line_bytes_max;
    if (line.size() + 2 > bytes_max) {
        return refuse(command.verb, kLineTooLong);
    }
    if (std::ranges::any_of(line, is_control)) {
        return refuse(command.verb, kControlCharacter);
    }
    static_cast<void>(take_word(rest));
    rest = trim(rest);
    switch (command.verb) {
        case Verb::mail:
            return parse_mail(command, rest, limits);
        case Verb::rcpt:
            return parse_rcpt(command, rest, limits);
        case Verb::bdat:
            return parse_bdat(command, rest);
        case Verb::data:
        case Verb::rset:
        case Verb::quit:
        case Verb::starttls:
            if (!rest.empty()) {
                return refuse(command.verb, kNoArgument);
            }
            return command;
        default:
            break;
    }
    command.argument = rest;
    const FixedReply missing = missing_argument(command.verb);
    if (rest.empty() && missing.code != 0) {
        return refuse(command.verb, missing);
    }
    return command;
}

std::string_view given_path(std::string_view line) {
    static_cast<void>(take_word(line));
    line = trim(line);
    if (!take_keyword(line, "FROM:") && !take_keyword(line, "TO:")) {
        return {};
    }
    line = trim(line);
    if (line.starts_with('<')) {
        line.remove_prefix(1);
        return line.substr(0, line.rfind('>'));
    }
    return line.substr(0, line.find_first_of(kBlanks));
}

std::expected<Command, CommandError> parse_long_line(std::string_view head) {
    Command command;
    command.verb = verb_of(head);
    if (is_foreign(command.verb)) {
        return command;
    }
    return refuse(command.verb, kLineTooLong);
}

}  // namespace smtp
