// `ringpost queue show` and `ringpost queue explain`, on the client's side.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <openssl/base64.h>
#include <nlohmann/json.hpp>

#include "app/clean_text.h"
#include "app/control_client.h"
#include "app/queue_client.h"
#include "app/queue_command.h"
#include "app/timestamp.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;

std::string token_at(const Json& json, const char* name) {
    return cleaned(text_at(json, name), CleanStyle::token);
}

// "label    value", or nothing where there is no value.
std::string line_of(std::string_view label, const std::string& value) {
    return value.empty() ? "" : fmt::format("{:<9}{}\n", label, value);
}

// "2026-11-22T01:52:41.123Z (in 48s)"; "" where it is null.
std::string time_to_come(const Json& json, const char* name, const char* name_in_s) {
    const std::string time = token_at(json, name);
    return time.empty() ? "" : time + " (in " + print_age(number_at(json, name_in_s)) + ")";
}

// What is held is not given up, however late it is.
std::string expiry_of(const Json& message) {
    const std::string time = token_at(message, "expires");
    const bool held = text_at(message, "state") == "held";
    const bool over = number_at(message, "expires_in_s") == 0;
    if (time.empty() || (!held && !over)) {
        return time_to_come(message, "expires", "expires_in_s");
    }
    if (!held) {
        return time + " (it is given up at the next occasion)";
    }
    return over ? time + " (over; it is given up once it is released)"
                : time_to_come(message, "expires", "expires_in_s") + ", but not while it is held";
}

std::string client_of(const Json& message) {
    std::string text = token_at(message, "client_address");
    if (const std::string helo = token_at(message, "helo"); !helo.empty()) {
        text += (text.empty() ? "" : " ") + ("as " + helo);
    }
    if (const std::string protocol = token_at(message, "protocol"); !protocol.empty()) {
        text += " by " + protocol;
    }
    return text;
}

// The parameters of MAIL, as they were given.
std::string options_of(const Json& message) {
    std::string text;
    const auto add = [&text](const std::string& one) { text += (text.empty() ? "" : " ") + one; };
    if (const std::string body = token_at(message, "body"); !body.empty()) {
        add("BODY=" + body);
    }
    if (flag_at(message, "smtputf8")) {
        add("SMTPUTF8");
    }
    if (const std::int64_t size = number_at(message, "declared_size_bytes"); size > 0) {
        add(fmt::format("SIZE={}", size));
    }
    if (const std::string ret = token_at(message, "ret"); !ret.empty()) {
        add("RET=" + ret);
    }
    if (const std::string id = token_at(message, "envelope_id"); !id.empty()) {
        add("ENVID=" + id);
    }
    return text;
}

// "2026-11-22T01:52:41.123Z  mx.dst.test:25  451 4.3.0 try again"
std::string attempt_line(const Json& attempt) {
    std::string line = "        " + token_at(attempt, "first");
    const std::int64_t count = number_at(attempt, "attempts");
    const std::string last = token_at(attempt, "last");
    if (token_at(attempt, "first").empty()) {
        line += fmt::format("{} {}", count, count == 1 ? "attempt" : "attempts");
    } else if (count > 1) {
        line += fmt::format(" to {}, {} attempts", last, count);
    }
    if (flag_at(attempt, "unknown")) {
        return line + ", of which nothing else is kept\n";
    }
    if (const std::string hop = token_at(attempt, "next_hop"); !hop.empty()) {
        line += "  " + hop;
    }
    return line + "  " + cleaned(text_at(attempt, "reply"), CleanStyle::plain) + "\n";
}

std::string recipient_text(Json recipient, bool readable) {
    const Json attempts = list_at(recipient, "history");
    if (!attempts.empty()) {
        recipient["last_reply"] = "";  // it is the last of them
    }
    std::string text = recipient_line(recipient, readable);
    std::string options;
    if (const std::string notify = token_at(recipient, "notify"); !notify.empty()) {
        options += " NOTIFY=" + notify;
    }
    if (const std::string original = token_at(recipient, "original_recipient"); !original.empty()) {
        options += " ORCPT=" + original;
    }
    if (!options.empty()) {
        text += "       " + options + "\n";
    }
    for (const Json& attempt : attempts) {
        text += attempt_line(attempt);
    }
    return text;
}

// As it stands, line by line.
std::string header_text(const Json& message) {
    const std::string header = text_at(message, "headers");
    std::string text = "headers\n";
    for (std::string_view rest = header; !rest.empty();) {
        const std::size_t end = rest.find('\n');
        std::string line(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        if (line.ends_with('\r')) {
            line.pop_back();
        }
        for (char& c : line) {
            c = c == '\t' ? ' ' : c;
        }
        text += "    " + cleaned(line, CleanStyle::plain) + "\n";
    }
    if (flag_at(message, "headers_cut")) {
        text += "    … there is more; `ringpost queue show --content` has all\n";
    }
    if (const auto found = message.find("headers"); found == message.end() || found->is_null()) {
        text = "headers  (they cannot be read from the spool)\n";
    }
    return text;
}

std::string message_text(const Json& message) {
    std::string text = line_of("id", token_at(message, "id"));
    text += line_of("arrival", token_at(message, "arrival") + " (" +
                                   print_age(number_at(message, "age_s")) + " ago)");
    text += line_of("size", print_bytes(number_at(message, "size_bytes")));
    text += line_of("sender", sender_of(message));
    text += line_of("client", client_of(message));
    text += line_of("options", options_of(message));
    text += line_of("state", token_at(message, "state"));
    text += hold_line(message, "held     ");
    text += line_of("route", cleaned(text_at(message, "next_hop"), CleanStyle::plain));
    text += line_of("expires", expiry_of(message));
    text += "recipients\n";
    for (const Json& recipient : list_at(message, "recipients")) {
        text += recipient_text(recipient, is_readable(message));
    }
    return text + header_text(message);
}

// Nothing where it is no base64.
std::optional<std::string> decode_base64(const std::string& text) {
    std::string bytes(text.size() / 4 * 3 + 3, '\0');
    std::size_t size = 0;
    if (::EVP_DecodeBase64(reinterpret_cast<std::uint8_t*>(bytes.data()), &size, bytes.size(),
                           reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) != 1) {
        return std::nullopt;
    }
    bytes.resize(size);
    return bytes;
}

int run_queue_content(const QueueShowOptions& options, std::FILE* out, std::FILE* err) {
    std::optional<ControlClient> client = connect_to_server(options.server, err);
    if (!client) {
        return 1;
    }
    bool understood = true;
    const auto item = [&](const Json& part) {
        const std::optional<std::string> bytes = decode_base64(text_at(part, "base64"));
        understood = bytes.has_value();
        return understood && put(out, *bytes);
    };
    const base::Status done =
        client->request({{"command", "queue content"}, {"id", options.id}}, item);
    std::fflush(out);
    if (!done) {
        return complain(err, done.error().describe());
    }
    if (!understood) {
        return complain(err, "the server's answer is no content; it may be of another version");
    }
    return std::ferror(out) == 0 ? 0 : 1;
}

}  // namespace

int run_queue_show(const QueueShowOptions& options, std::FILE* out, std::FILE* err) {
    if (options.content) {
        return run_queue_content(options, out, err);
    }
    std::optional<ControlClient> client = connect_to_server(options.server, err);
    if (!client) {
        return 1;
    }
    const auto item = [&](const Json& message) {
        return put(out, options.json ? dump(message, 2) + "\n" : message_text(message));
    };
    if (const base::Status done =
            client->request({{"command", "queue show"}, {"id", options.id}}, item);
        !done) {
        return complain(err, done.error().describe());
    }
    return end_output(out, err);
}

int run_queue_explain(const QueueExplainOptions& options, std::FILE* out, std::FILE* err) {
    std::optional<ControlClient> client = connect_to_server(options.server, err);
    if (!client) {
        return 1;
    }
    const auto item = [&](const Json& explanation) {
        if (options.json) {
            return put(out, dump(explanation, 2) + "\n");
        }
        std::string text;
        for (const Json& sentence : list_at(explanation, "text")) {
            if (sentence.is_string()) {
                text += cleaned(sentence.get<std::string>(), CleanStyle::plain) + "\n";
            }
        }
        return put(out, text);
    };
    if (const base::Status done =
            client->request({{"command", "queue explain"}, {"id", options.id}}, item);
        !done) {
        return complain(err, done.error().describe());
    }
    return end_output(out, err);
}

}  // namespace app
