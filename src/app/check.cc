#include "app/check.h"

#include <unistd.h>

#include <fmt/core.h>
#include <fmt/format.h>

#include "app/config_value.h"

namespace app {
namespace {

template <typename Items, typename Print>
std::string joined(const Items& items, Print print) {
    constexpr std::size_t kShown = 8;
    std::string text;
    std::size_t count = 0;
    for (const auto& item : items) {
        if (count++ == kShown) {
            return text + fmt::format(", and {} more", items.size() - kShown);
        }
        text.append(text.empty() ? "" : ", ").append(print(item));
    }
    return text.empty() ? "none" : text;
}

std::string retry_text(const RetryConfig& retry) {
    if (!retry.waits.empty()) {
        return joined(retry.waits, print_duration);
    }
    return fmt::format("{}, growing {}-fold up to {}", print_duration(retry.growth.first),
                       retry.growth.growth, print_duration(retry.growth.cap));
}

std::string patience_text(const RetryConfig& retry, base::Duration expire,
                          base::Duration delay_notice) {
    const bool told = delay_notice > base::Duration::zero();
    return fmt::format("{}; expires after {}; {}", retry_text(retry), print_duration(expire),
                       told ? "senders are told of a delay after " + print_duration(delay_notice)
                            : "senders are not told of a delay");
}

// Each route with what goes for its mail, be it its own or the queue's.
std::string route_text(const RouteConfig& route, const QueueConfig& queue) {
    const auto print = [](const auto& item) { return to_text(item); };
    return fmt::format(
        "  route     {}\n  retry     {}\n", joined(route.hosts, print),
        patience_text(route.retry.value_or(queue.retry), route.expire.value_or(queue.expire),
                      route.delay_notice.value_or(queue.delay_notice)));
}

}  // namespace

std::string summary(const Config& config, bool is_root) {
    const auto print = [](const auto& item) { return to_text(item); };
    std::string text;
    text += fmt::format("  hostname  {}\n", config.hostname);
    text += fmt::format("  spool     {}\n", config.spool);
    text += fmt::format("  control   {}\n", config.control_path(is_root));
    text += fmt::format("  listens   {}\n",
                        joined(config.listeners, [](const ListenerConfig& listener) {
                            return to_text(listener.address) + " (smtp)";
                        }));
    text += fmt::format("  relays    from {}\n", joined(config.relay.networks, print));
    text += fmt::format("            to   {}\n", joined(config.relay.domains, print));
    for (const RouteConfig& route : config.routes) {
        text += route_text(route, config.queue);
    }
    return text;
}

const Config* print_problems(const LoadedConfig& loaded, std::FILE* err) {
    for (const Problem& problem : loaded.result.problems) {
        const std::string line = describe(loaded.name, problem) + "\n";
        std::fwrite(line.data(), 1, line.size(), err);
    }
    return loaded.result.config ? &*loaded.result.config : nullptr;
}

int run_check(const CheckOptions& options, std::FILE* out, std::FILE* err) {
    const LoadedConfig loaded = load_config_file(options.config_path);
    const Config* const config = print_problems(loaded, err);
    if (config == nullptr) {
        return 1;
    }
    const std::string text = loaded.name + ": ok\n" + summary(*config, ::geteuid() == 0);
    std::fwrite(text.data(), 1, text.size(), out);
    return 0;
}

}  // namespace app
