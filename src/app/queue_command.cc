#include "app/queue_command.h"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/check.h"
#include "app/clean_text.h"
#include "app/config_reader.h"
#include "app/control_client.h"
#include "app/timestamp.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;

bool put(std::FILE* out, std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), out) == text.size();
}

int complain(std::FILE* err, const std::string& text) {
    std::string line = "ringpost: ";
    append_clean(line, text, CleanStyle::plain);
    put(err, line + "\n");
    return 1;
}

// Where the control socket may be; empty when the configuration is no help, which was said on `err`
// then.
std::vector<std::string> control_paths(const ServerPlace& place, std::FILE* err) {
    if (!place.control.empty()) {
        return {place.control};
    }
    if (!place.spool.empty()) {
        return {place.spool + "/control.sock"};
    }
    const LoadedConfig loaded = load_config_file(place.config_path);
    const Config* const config = print_problems(loaded, err);
    if (config == nullptr) {
        complain(err,
                 "the configuration would have told where the server is; --control PATH or --spool "
                 "DIR does too");
        return {};
    }
    const bool is_root = ::geteuid() == 0;
    std::vector<std::string> paths = {config->control_path(is_root)};
    if (config->control.empty()) {  // the server may run as another user than the one who asks
        paths.push_back(config->control_path(!is_root));
    }
    return paths;
}

// Nothing when that failed, which was said on `err` then.
std::optional<ControlClient> connect(const ServerPlace& place, std::FILE* err) {
    const std::vector<std::string> paths = control_paths(place, err);
    if (paths.empty()) {
        return std::nullopt;
    }
    base::Result<ControlClient> client = ControlClient::connect(paths);
    if (!client) {
        complain(err, client.error().describe());
        return std::nullopt;
    }
    return std::move(*client);
}

// Fields of a server's answer, whatever it holds.
std::string text_at(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::int64_t number_at(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}
const Json& list_at(const Json& json, const char* name) {
    static const Json kEmpty = Json::array();
    const auto found = json.find(name);
    return found != json.end() && found->is_array() ? *found : kEmpty;
}

std::string print_bytes(std::int64_t bytes) {
    if (bytes < 1000) {
        return fmt::format("{} B", bytes);
    }
    constexpr double kStep = 1000;
    double value = static_cast<double>(bytes) / kStep;
    for (const std::string_view unit : {"kB", "MB"}) {
        if (value < kStep) {
            return fmt::format("{:.1f} {}", value, unit);
        }
        value /= kStep;
    }
    return fmt::format("{:.1f} GB", value);
}

std::string cleaned(const std::string& text, CleanStyle style) {
    std::string result;
    append_clean(result, text, style);
    return result;
}

bool is_readable(const Json& message) {
    const auto found = message.find("readable");
    return found == message.end() || !found->is_boolean() || found->get<bool>();
}

// "    deferred  bob@dst.test  3 attempts, next in 48s  451 4.3.0 try again"
std::string recipient_line(const Json& recipient, bool readable) {
    std::string line = fmt::format(
        "    {:<9}  {}", cleaned(text_at(recipient, "state"), CleanStyle::token),
        readable ? cleaned(text_at(recipient, "address"), CleanStyle::token) : "(unreadable)");
    const std::int64_t attempts = number_at(recipient, "attempts");
    line += fmt::format("  {} {}", attempts, attempts == 1 ? "attempt" : "attempts");
    if (const auto next = recipient.find("next_attempt_in_s");
        next != recipient.end() && next->is_number_integer()) {
        line += ", next in " + print_age(next->get<std::int64_t>());
    } else if (const std::string wait = text_at(recipient, "waits_for"); wait == "site") {
        line += ", waits for the next hop";
    } else if (wait == "turn") {
        line += ", due";
    }
    if (const std::string reply = text_at(recipient, "last_reply"); !reply.empty()) {
        line += "  " + cleaned(reply, CleanStyle::plain);
    }
    return line + "\n";
}

constexpr std::string_view kHeading = "ID                 AGE        SIZE  SENDER\n";

std::string sender_of(const Json& message) {
    return is_readable(message)
               ? "<" + cleaned(text_at(message, "sender"), CleanStyle::bracket) + ">"
               : "(unreadable)";
}

// Why the relay itself holds it, on a line of its own; "" where it does not.
std::string hold_line(const Json& message, std::string_view label) {
    const std::string reason = text_at(message, "hold_reason");
    return reason.empty() ? "" : std::string(label) + cleaned(reason, CleanStyle::plain) + "\n";
}

std::string message_line(const Json& message) {
    return fmt::format("{:<13}  {:>7}  {:>10}  {}\n",
                       cleaned(text_at(message, "id"), CleanStyle::token),
                       print_age(number_at(message, "age_s")),
                       print_bytes(number_at(message, "size_bytes")), sender_of(message)) +
           hold_line(message, "    held: ");
}

std::string list_entry(const Json& message) {
    constexpr std::size_t kRecipientsShown = 10;
    std::string text = message_line(message);
    const Json& recipients = list_at(message, "recipients");
    for (std::size_t i = 0; i < recipients.size() && i < kRecipientsShown; ++i) {
        text += recipient_line(recipients[i], is_readable(message));
    }
    if (recipients.size() > kRecipientsShown) {
        text += fmt::format("    … and {} more; `ringpost queue show {}` has all\n",
                            recipients.size() - kRecipientsShown,
                            cleaned(text_at(message, "id"), CleanStyle::token));
    }
    return text;
}

std::string dump(const Json& json, int indent) {
    return json.dump(indent, ' ', true, Json::error_handler_t::replace);
}

}  // namespace

int run_queue_list(const QueueListOptions& options, std::FILE* out, std::FILE* err) {
    std::optional<ControlClient> client = connect(options.server, err);
    if (!client) {
        return 1;
    }
    std::uint64_t messages = 0;
    std::uint64_t recipients = 0;
    std::int64_t bytes = 0;
    const auto item = [&](const Json& message) {
        if (options.json) {
            return put(out, dump(message, -1) + "\n");
        }
        recipients += list_at(message, "recipients").size();
        bytes += number_at(message, "size_bytes");
        return (messages++ > 0 || put(out, kHeading)) && put(out, list_entry(message));
    };
    if (const base::Status done =
            client->request({{"command", "queue list"}, {"limit", options.limit}}, item);
        !done) {
        std::fflush(out);
        return complain(err, done.error().describe());
    }
    if (options.json) {
        // Nothing behind the last message, so that an empty queue gives empty output.
    } else if (messages == 0) {
        put(out, "The queue is empty.\n");
    } else {
        put(out, fmt::format("{} {}, {} {}, {}\n", messages, messages == 1 ? "message" : "messages",
                             recipients, recipients == 1 ? "recipient" : "recipients",
                             print_bytes(bytes)));
    }
    return std::fflush(out) == 0 && std::ferror(out) == 0 ? 0 : 1;
}

int run_queue_show(const QueueShowOptions& options, std::FILE* out, std::FILE* err) {
    std::optional<ControlClient> client = connect(options.server, err);
    if (!client) {
        return 1;
    }
    const auto item = [&](const Json& message) {
        if (options.json) {
            return put(out, dump(message, 2) + "\n");
        }
        std::string text = fmt::format(
            "id       {}\narrival  {} ({} ago)\nsize     {}\nsender   {}\nstate    "
            "{}\n{}recipients\n",
            cleaned(text_at(message, "id"), CleanStyle::token),
            cleaned(text_at(message, "arrival"), CleanStyle::token),
            print_age(number_at(message, "age_s")), print_bytes(number_at(message, "size_bytes")),
            sender_of(message), cleaned(text_at(message, "state"), CleanStyle::token),
            hold_line(message, "held     "));
        for (const Json& recipient : list_at(message, "recipients")) {
            text += recipient_line(recipient, is_readable(message));
        }
        return put(out, text);
    };
    if (const base::Status done =
            client->request({{"command", "queue show"}, {"id", options.id}}, item);
        !done) {
        return complain(err, done.error().describe());
    }
    return std::fflush(out) == 0 && std::ferror(out) == 0 ? 0 : 1;
}

}  // namespace app
