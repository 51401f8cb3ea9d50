#include "app/config_keys.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "app/config_types.h"
#include "base/assert.h"
#include "mail/queue_id.h"

namespace app {

void ConfigReport::enter(std::string path, Position at) {
    path_ = std::move(path);
    positions_[path_] = at;
}

void ConfigReport::error(Position at, std::string text) {
    failed_.insert(path_);
    problems_.push_back({.at = at, .text = path_.empty() ? std::move(text) : path_ + ": " + text});
}

void ConfigReport::warning(Position at, std::string text) {
    problems_.push_back({.at = at,
                         .text = path_.empty() ? std::move(text) : path_ + ": " + text,
                         .severity = Problem::Severity::warning});
}

void ConfigReport::error_about(const std::string& path, std::string text) {
    path_ = path;
    error(position(path), std::move(text));
}

void ConfigReport::warning_about(const std::string& path, std::string text) {
    path_ = path;
    warning(position(path), std::move(text));
}

void ConfigReport::note_item(std::size_t index, Position at) {
    positions_[path_ + "[" + std::to_string(index) + "]"] = at;
}

Position ConfigReport::position(std::string path) const {
    while (!path.empty()) {
        if (const auto found = positions_.find(path); found != positions_.end()) {
            return found->second;
        }
        const std::size_t cut = path.find_last_of(".[");
        path.resize(cut == std::string::npos ? 0 : cut);
    }
    return {};
}

std::vector<Problem> ConfigReport::take() {
    std::ranges::sort(problems_, [](const Problem& a, const Problem& b) {
        return std::tie(a.at, a.text) < std::tie(b.at, b.text);
    });
    return std::exchange(problems_, {});
}

namespace {

template <typename Section, typename Value>
Section section_of(Value Section::*);

// Completes the declaration of a key with how its type reads and prints the member of its section's
// struct.
template <typename Type, auto Member>
KeySpec key(KeySpec spec, std::string_view values) {
    using Section = decltype(section_of(Member));
    spec.type = Type::kName;
    spec.values = values;
    spec.read = [](const TomlNode& node, void* section, ConfigReport& report) {
        Type::read(node, static_cast<Section*>(section)->*Member, report);
    };
    spec.print = [](const void* section) {
        return Type::print(static_cast<const Section*>(section)->*Member);
    };
    return spec;
}
template <typename Type, auto Member>
KeySpec key(KeySpec spec) {
    static const std::string values(Type::values());
    return key<Type, Member>(spec, values);
}

constexpr auto kProtocols = std::to_array<Choice<Protocol>>({{"smtp", Protocol::smtp}});
constexpr auto kLineEndings =
    std::to_array<Choice<LineEndings>>({{"by_network", LineEndings::by_network},
                                        {"refuse", LineEndings::refuse},
                                        {"normalise", LineEndings::normalise}});
constexpr auto kLogFormats =
    std::to_array<Choice<LogFormat>>({{"text", LogFormat::text}, {"json", LogFormat::json}});
constexpr auto kLogLevels = std::to_array<Choice<LogLevel>>({{"debug", LogLevel::debug},
                                                             {"info", LogLevel::info},
                                                             {"warning", LogLevel::warning},
                                                             {"error", LogLevel::error}});

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kDay = 86400 * kSecond;
constexpr std::uint64_t kMiB = 1U << 20U;

std::span<const KeySpec> top_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<HostNameType, &Config::hostname>({.name = "hostname",
                                              .description =
                                                  "The name of this host in greetings, EHLO, trace "
                                                  "headers and bounces. It should be the "
                                                  "name that the host's address resolves to.",
                                              .example = R"("relay.example.com")",
                                              .required = true}),
        key<PathType, &Config::spool>({.name = "spool",
                                       .description = "The directory that keeps the mail. Made "
                                                      "when it is not there. One server per spool.",
                                       .example = R"("/var/spool/ringpost")"}),
        key<PathType, &Config::control>(
            {.name = "control",
             .description = "The Unix socket through which `ringpost queue` and its like reach the "
                            "server. At most "
                            "107 bytes.",
             .example = R"("/run/ringpost/control.sock")",
             .default_text = "`\"/run/ringpost/control.sock\"` for root, `control.sock` inside the "
                             "spool for others"}),
        key<AutoCountType<mail::QueueId::kPartitionsMax>, &Config::shards>(
            {.name = "shards",
             .description = "Threads that carry mail, each with a ring of its own. `\"auto\"` "
                            "makes one for each core "
                            "that the process may use.",
             .example = "4"}),
    });
    return keys;
}

std::span<const KeySpec> listener_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<ChoiceType<Protocol, kProtocols>, &ListenerConfig::protocol>(
            {.name = "protocol",
             .description = "What is spoken on this address.",
             .example = R"("smtp")",
             .required = true}),
        key<IpPortType, &ListenerConfig::address>(
            {.name = "address",
             .description =
                 "Where to listen. `0.0.0.0` and `[::]` mean every address of their family.",
             .example = R"("0.0.0.0:25")",
             .required = true}),
        key<ChoiceType<LineEndings, kLineEndings>, &ListenerConfig::line_endings>(
            {.name = "line_endings",
             .description = "What becomes of a CR or LF that stands alone in content, and could "
                            "smuggle a message past "
                            "another server: `refuse` answers 550 5.5.2 and closes; `normalise` "
                            "makes it CRLF, for old "
                            "printers and scripts; `by_network` normalises what comes from "
                            "`relay.networks` and refuses "
                            "the rest.",
             .example = R"("refuse")"}),
    });
    return keys;
}

std::span<const KeySpec> relay_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<ListType<NetworkType>, &RelayConfig::networks>(
            {.name = "networks",
             .description = "Clients that may send to any recipient (Postfix: `mynetworks`).",
             .example = R"(["127.0.0.0/8", "::1/128", "192.0.2.0/24"])"}),
        key<ListType<DomainPatternType>, &RelayConfig::domains>(
            {.name = "domains",
             .description =
                 "Recipient domains to which anyone may send (Postfix: "
                 "`relay_domains`). Recipients elsewhere "
                 "are refused with 550 5.7.1, unless the client is in `networks`. "
                 "Compared without case with what the client wrote: domains stand here with "
                 "A-labels (`xn--…`), so a recipient whose domain is written in Unicode "
                 "(SMTPUTF8) is one elsewhere.",
             .example = R"(["example.com", "*.example.com"])"}),
    });
    return keys;
}

std::span<const KeySpec> queue_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<RetryType, &QueueConfig::retry>(
            {.name = "retry",
             .description =
                 "How long a deferred recipient waits after the first attempt, the second, and so "
                 "on. A list says it outright; the last one repeats. A table says how it grows: "
                 "from `first`, each wait `growth` times the one before, up to `cap`; to each, a "
                 "share of up to `jitter` is added by chance, so that mail which was deferred "
                 "together is not tried together again. What a table leaves out is as in the "
                 "default.",
             .example = R"(["5m", "15m", "1h"])"}),
        key<DurationType<kSecond, 365 * kDay>, &QueueConfig::expire>(
            {.name = "expire",
             .description = "How long after its arrival a message is given up and its sender told.",
             .example = R"("5d")"}),
        key<DurationType<0, 365 * kDay>, &QueueConfig::delay_notice>(
            {.name = "delay_notice",
             .description =
                 "How long after its arrival the sender of a message that still waits is told so, "
                 "once for each recipient (Postfix: `delay_warning_time`). `\"0s\"`: never.",
             .example = R"("4h")"}),
        key<MailboxType, &QueueConfig::double_bounce_to>(
            {.name = "double_bounce_to",
             .description =
                 "Who is told when mail without a sender fails, mostly a notification that nobody "
                 "takes (Postfix: `2bounce_notice_recipient`). When such word fails itself, or "
                 "where this is empty, a line in the log is all.",
             .example = R"("postmaster@example.com")"}),
    });
    return keys;
}

std::span<const KeySpec> route_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<ListType<HostPortType>, &RouteConfig::hosts>(
            {.name = "hosts",
             .description = "Where mail goes, in order of preference. Used as given, without an MX "
                            "look-up (Postfix: "
                            "`[host]:port`). Names are resolved once, at the start: restart when "
                            "their addresses change.",
             .example = R"(["smarthost.example.com:25", "192.0.2.1:2525", "[2001:db8::1]:25"])",
             .required = true}),
        key<CountType<1, 10000>, &RouteConfig::connections>(
            {.name = "connections",
             .description = "Most connections at once to the hosts of this route together, from "
                            "the whole server. The "
                            "shards divide them among themselves, and each has at least one.",
             .example = "20"}),
        key<OptionalType<RetryType>, &RouteConfig::retry>(
            {.name = "retry",
             .description = "As [queue.retry](#queueretry), for mail that goes this way.",
             .example = R"({ first = "1m", growth = 2, cap = "1h", jitter = 0.2 })",
             .default_text = "that of `[queue]`"}),
        key<OptionalType<DurationType<kSecond, 365 * kDay>>, &RouteConfig::expire>(
            {.name = "expire",
             .description = "As [queue.expire](#queueexpire), for mail that goes this way.",
             .example = R"("1d")",
             .default_text = "that of `[queue]`"}),
        key<OptionalType<DurationType<0, 365 * kDay>>, &RouteConfig::delay_notice>(
            {.name = "delay_notice",
             .description =
                 "As [queue.delay_notice](#queuedelay_notice), for mail that goes this way.",
             .example = R"("30m")",
             .default_text = "that of `[queue]`"}),
    });
    return keys;
}

std::span<const KeySpec> limits_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<CountType<1, 100000>, &LimitsConfig::sessions>(
            {.name = "sessions",
             .description = "Most client sessions at once on each shard, all listeners together. "
                            "One more gets 421.",
             .example = "5000"}),
        key<SizeType<64 * 1024, 2048 * kMiB>, &LimitsConfig::message_size_bytes>(
            {.name = "message_size",
             .description = "The largest content taken, announced by SIZE (Postfix: "
                            "`message_size_limit`). More gets "
                            "552 5.3.4.",
             .example = R"("50MiB")"}),
        key<CountType<100, 50000>, &LimitsConfig::recipients>(
            {.name = "recipients",
             .description = "Most recipients of one transaction (Postfix: "
                            "`smtpd_recipient_limit`). One more gets 452 "
                            "4.5.3. RFC 5321 asks for at least 100.",
             .example = "1000"}),
        key<CountType<1, 1000>, &LimitsConfig::errors>(
            {.name = "errors",
             .description = "After so many commands that were answered 4xx or 5xx, with no message "
                            "accepted between them, a session is closed with 421 (Postfix: "
                            "`smtpd_hard_error_limit`).",
             .example = "20"}),
        key<CountType<1, 1000>, &LimitsConfig::hops>(
            {.name = "hops",
             .description = "A message with so many `Received` fields goes round in a loop, and is "
                            "refused with 554 5.4.6 (Postfix: `hopcount_limit`).",
             .example = "50"}),
        key<SizeType<0, 64 * kMiB>, &LimitsConfig::returned_size_bytes>(
            {.name = "returned_size",
             .description = "The largest message that comes back whole with word of its failure, "
                            "where the sender asked for that (`RET=FULL`). Of larger ones, and "
                            "where he did not ask, the header comes back (Postfix: "
                            "`bounce_size_limit`).",
             .example = R"("50KB")"}),
        key<CountType<1, 1'000'000>, &LimitsConfig::notifications>(
            {.name = "notifications",
             .description = "Most notifications that each shard sends in a minute. Further "
                            "bounces wait, with a line in the log, and word of delays and "
                            "deliveries is dropped: mail with forged senders must not make this "
                            "server flood those whose names it bears.",
             .example = "1000"}),
        key<CountType<1, 1'000'000>, &LimitsConfig::notifications_per_domain>(
            {.name = "notifications_per_domain",
             .description = "The same, of those to one domain.",
             .example = "100"}),
        key<DurationType<0, kSecond>, &LimitsConfig::commit_delay>(
            {.name = "commit_delay",
             .description = "How long a finished message waits for others that are about to "
                            "finish, so that they share "
                            "one write to disk. A message with no company never waits. After a "
                            "write that several shared, the next one also waits for a quarter of "
                            "the time which that took, but no longer than this.",
             .example = R"("1ms")"}),
    });
    return keys;
}

std::span<const KeySpec> store_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<SizeType<64 * 1024, 1024 * kMiB>, &StoreConfig::segment_bytes>(
            {.name = "segment_size",
             .description =
                 "How large the files are that the mail is kept in; a size is rounded up to whole "
                 "blocks of 4 KiB. Each shard has some ready ahead of need, so smaller ones suit a "
                 "small disk: besides twice the size of what is queued, at most five of them are "
                 "taken. Files of another size, from before a change, are used up.",
             .example = R"("16MiB")"}),
        key<SizeType<64 * 1024, 1024 * kMiB>, &StoreConfig::checkpoint_bytes>(
            {.name = "checkpoint_every",
             .description =
                 "After so much new log, what is queued is noted in a file of its own (or after "
                 "twice as much as that note takes, if that is more). A start reads the note and "
                 "the log behind it: less means a faster start after a crash, and more writing.",
             .example = R"("16MiB")"}),
        key<SizeType<0, 1024 * kMiB>, &StoreConfig::cleaner_bytes_per_s>(
            {.name = "cleaner_rate",
             .description =
                 "Out of files that hold little else, what is still queued is moved, so that they "
                 "can be used anew. So much each partition reads and writes for that in a second. "
                 "Where the files would take more than twice the size of what is queued, nothing "
                 "holds it back. With 0 nothing is ever moved, and a file stays as long as "
                 "anything in it does.",
             .example = R"("8MiB")"}),
    });
    return keys;
}

std::span<const KeySpec> log_keys() {
    static const auto keys = std::to_array<KeySpec>({
        key<ChoiceType<LogFormat, kLogFormats>, &LogConfig::format>(
            {.name = "format",
             .description = "One line of `name=value` fields per event, or one JSON object per "
                            "event, on standard "
                            "error. [LOGGING.md](LOGGING.md) has the fields.",
             .example = R"("json")"}),
        key<ChoiceType<LogLevel, kLogLevels>, &LogConfig::level>(
            {.name = "level",
             .description = "The least important lines to write. Receptions, attempts, removals "
                            "and notifications are `info`.",
             .example = R"("warning")"}),
    });
    return keys;
}

}  // namespace

std::span<const SectionSpec> config_sections() {
    static const auto sections = std::to_array<SectionSpec>({
        {.name = "",
         .description = "These stand at the top of the file, before the first `[section]`.",
         .keys = top_keys(),
         .enter = [](Config& config) -> void* { return &config; }},
        {.name = "listener",
         .repeated = true,
         .description = "An address to listen on. At least one; the section may be repeated.",
         .keys = listener_keys(),
         .enter = [](Config& config) -> void* { return &config.listeners.emplace_back(); }},
        {.name = "relay",
         .description = "Who may send where. What neither key allows is refused, so that the "
                        "server is no open relay.",
         .keys = relay_keys(),
         .enter = [](Config& config) -> void* { return &config.relay; }},
        {.name = "queue",
         .description = "How long mail is tried for, and who hears of it.",
         .keys = queue_keys(),
         .enter = [](Config& config) -> void* { return &config.queue; }},
        {.name = "route",
         .repeated = true,
         .description =
             "Where mail goes: one next hop, or several in order of preference, for all of it.",
         .keys = route_keys(),
         .enter = [](Config& config) -> void* { return &config.routes.emplace_back(); }},
        {.name = "limits",
         .description =
             "Each limit has an answer to whoever meets it; nothing grows without bound.",
         .keys = limits_keys(),
         .enter = [](Config& config) -> void* { return &config.limits; }},
        {.name = "store",
         .description = "How the spool is laid out on the disk. The defaults suit servers with "
                        "some gigabytes to spare.",
         .keys = store_keys(),
         .enter = [](Config& config) -> void* { return &config.store; }},
        {.name = "log",
         .description = "What is written about the mail that passes.",
         .keys = log_keys(),
         .enter = [](Config& config) -> void* { return &config.log; }},
    });
    return sections;
}

}  // namespace app
