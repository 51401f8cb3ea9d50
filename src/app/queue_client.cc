#include "app/queue_client.h"

#include <cerrno>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "app/check.h"
#include "app/config_reader.h"
#include "app/timestamp.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;

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

}  // namespace

bool put(std::FILE* out, std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), out) == text.size();
}

int complain(std::FILE* err, const std::string& text) {
    std::string line = "ringpost: ";
    append_clean(line, text, CleanStyle::plain);
    put(err, line + "\n");
    return 1;
}

int end_output(std::FILE* out, std::FILE* err) {
    const bool flushed = std::fflush(out) == 0;
    const int error = errno;
    if (flushed && std::ferror(out) == 0) {
        return 0;
    }
    // Who reads no more knows that.
    return error == EPIPE ? 1
                          : complain(err, "cannot write the answer to standard output: " +
                                              base::Error(flushed ? EIO : error).describe());
}

std::optional<ControlClient> connect_to_server(const ServerPlace& place, std::FILE* err) {
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

std::string looked_at_text(const Json& progress) {
    constexpr std::int64_t kPercent = 100;
    const std::int64_t of = number_at(progress, "of");
    const std::int64_t looked_at = number_at(progress, "looked_at");
    return fmt::format("{} %", of <= 0 || looked_at >= of ? kPercent : looked_at * kPercent / of);
}

std::string cleaned(const std::string& text, CleanStyle style) {
    std::string result;
    append_clean(result, text, style);
    return result;
}

bool flag_at(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_boolean() && found->get<bool>();
}

bool is_readable(const Json& message) {
    const auto found = message.find("readable");
    return found == message.end() || !found->is_boolean() || found->get<bool>();
}

std::string recipient_line(const Json& recipient, bool readable) {
    std::string line = fmt::format(
        "    {:<9}  {}", cleaned(text_at(recipient, "state"), CleanStyle::token),
        readable ? cleaned(text_at(recipient, "address"), CleanStyle::token) : "(unreadable)");
    const std::int64_t attempts = number_at(recipient, "attempts");
    line += fmt::format("  {} {}", attempts, attempts == 1 ? "attempt" : "attempts");
    if (flag_at(recipient, "to_be_bounced")) {
        line += ", to be bounced";
    } else if (flag_at(recipient, "in_attempt")) {
        line += attempts == 0 ? ", the first one is under way" : ", the next one is under way";
    } else if (const auto next = recipient.find("next_attempt_in_s");
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

std::string sender_of(const Json& message) {
    return is_readable(message)
               ? "<" + cleaned(text_at(message, "sender"), CleanStyle::bracket) + ">"
               : "(unreadable)";
}

std::string hold_line(const Json& message, std::string_view label) {
    const std::string reason = text_at(message, "hold_reason");
    return reason.empty() ? "" : std::string(label) + cleaned(reason, CleanStyle::plain) + "\n";
}

bool ask(const ServerPlace& server, const QueueFilterOptions& filter, nlohmann::json request,
         std::FILE* out, std::FILE* err, const AnswerItem& item) {
    if (const base::Status good = put_filter(request, filter); !good) {
        complain(err, good.error().text());
        return false;
    }
    std::optional<ControlClient> client = connect_to_server(server, err);
    if (!client) {
        return false;
    }
    ProgressLine line(err);
    const base::Status done = client->request(
        request, [&](const Json& result) { return item(result, line); },
        [&line](const Json& progress) { line.show(progress); });
    line.end();
    if (!done) {
        std::fflush(out);
        complain(err, done.error().describe());
    }
    return done.has_value();
}

ProgressLine::ProgressLine(std::FILE* err) : err_(err), terminal_(::isatty(::fileno(err)) == 1) {}

void ProgressLine::show(const Json& progress) {
    if (terminal_ && number_at(progress, "of") > 0) {
        put(err_, fmt::format("\r{} of the queue looked at ", looked_at_text(progress)));
        std::fflush(err_);
        shown_ = true;
    }
}

void ProgressLine::end() {
    if (std::exchange(shown_, false)) {
        put(err_, "\r\x1b[K");
        std::fflush(err_);
    }
}

std::string dump(const Json& json, int indent) {
    return json.dump(indent, ' ', true, Json::error_handler_t::replace);
}

}  // namespace app
