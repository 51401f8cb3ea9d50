#include "app/queue_command.h"

#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/clean_text.h"
#include "app/control_client.h"
#include "app/queue_client.h"
#include "app/timestamp.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHeading = "ID                 AGE        SIZE  SENDER\n";

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

}  // namespace

int run_queue_list(const QueueListOptions& options, std::FILE* out, std::FILE* err) {
    std::optional<ControlClient> client = connect_to_server(options.server, err);
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
    nlohmann::json request{{"command", "queue list"}, {"limit", options.limit}};
    if (const base::Status good = put_filter(request, options.filter); !good) {
        return complain(err, good.error().text());
    }
    ProgressLine line(err);
    const base::Status done =
        client->request(request, item, [&line](const Json& progress) { line.show(progress); });
    line.end();
    if (!done) {
        std::fflush(out);
        return complain(err, done.error().describe());
    }
    if (options.json) {
        // Nothing behind the last message, so that an empty queue gives empty output.
    } else if (messages == 0) {
        put(out, options.filter.empty() ? "The queue is empty.\n"
                                        : "No message in the queue is meant by that.\n");
    } else {
        put(out, fmt::format("{} {}, {} {}, {}\n", messages, messages == 1 ? "message" : "messages",
                             recipients, recipients == 1 ? "recipient" : "recipients",
                             print_bytes(bytes)));
    }
    return std::fflush(out) == 0 && std::ferror(out) == 0 ? 0 : 1;
}

}  // namespace app
