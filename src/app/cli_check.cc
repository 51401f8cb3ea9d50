#include "app/cli_check.h"

#include <algorithm>

#include "app/config_reader.h"
#include "app/config_value.h"
#include "app/suggest.h"
#include "mail/queue_id.h"
#include "store/format.h"
#include "store/rule.h"

namespace app {

std::string check_listen(const std::string& text) {
    const base::Result<HostPort> address = parse_ip_port(text);
    return address ? "" : address.error().text();
}

std::string check_queue_id(const std::string& text) {
    return mail::QueueId::parse(text)
               ? ""
               : shown(text) + " is not a queue id; `ringpost queue list` shows them";
}

std::string check_count(const std::string& text) {
    constexpr std::size_t kDigitsMax = 18;
    const bool number = !text.empty() && text.size() <= kDigitsMax &&
                        std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    return number ? "" : shown(text) + " is not a number of messages";
}

std::string check_given(const std::string& text) {
    return text.empty() ? "is empty; give a value, or leave the option away" : "";
}

std::string check_state(const std::string& text) {
    return text == "pending" || text == "deferred" || text == "held"
               ? ""
               : shown(text) + " is none of pending, deferred and held";
}

std::string check_reason(const std::string& text) {
    return text.size() <= store::Rule::kTextBytesMax
               ? check_given(text)
               : "is longer than " + std::to_string(store::Rule::kTextBytesMax) + " octets";
}

std::string check_age(const std::string& text) {
    const base::Result<base::Duration> age = parse_duration(text);
    return age ? "" : age.error().text();
}

std::string check_segment(const std::string& text) {
    constexpr std::size_t kDigitsMax = 8;
    const bool number = !text.empty() && text.size() <= kDigitsMax &&
                        text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    return number || store::format::parse_segment_name(text)
               ? ""
               : shown(text) + " is not a segment's id in hexadecimal";
}

}  // namespace app
