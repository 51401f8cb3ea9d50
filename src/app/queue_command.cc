#include "app/queue_command.h"

#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/clean_text.h"
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
    std::uint64_t messages = 0;
    std::uint64_t recipients = 0;
    std::int64_t bytes = 0;
    const auto item = [&](const Json& message, ProgressLine& line) {
        line.end();
        if (options.json) {
            return put(out, dump(message, -1) + "\n");
        }
        recipients += list_at(message, "recipients").size();
        bytes += number_at(message, "size_bytes");
        return (messages++ > 0 || put(out, kHeading)) && put(out, list_entry(message));
    };
    const nlohmann::json request{{"command", "queue list"}, {"limit", options.limit}};
    if (!ask(options.server, options.filter, request, out, err, item)) {
        return 1;
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
    return end_output(out, err);
}

}  // namespace app
