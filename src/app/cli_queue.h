// The command line of `ringpost queue`.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "app/cli.h"

namespace CLI {
class App;
}

namespace app {

class QueueCommandLine {
  public:
    // Borrows itself to `app`, which parses into it.
    explicit QueueCommandLine(CLI::App& app);
    QueueCommandLine(const QueueCommandLine&) = delete;
    QueueCommandLine& operator=(const QueueCommandLine&) = delete;

    // Runs what was given. Nothing: it was none of these.
    [[nodiscard]] std::optional<int> run(const Commands& commands);

  private:
    static constexpr std::size_t kRuleCount = 5;

    void add_list(CLI::App& queue);
    void add_show(CLI::App& queue);
    void add_explain(CLI::App& queue);
    void add_stats(CLI::App& queue);
    void add_rule(CLI::App& queue, std::size_t number);

    CLI::App* list_ = nullptr;
    CLI::App* show_ = nullptr;
    CLI::App* explain_ = nullptr;
    CLI::App* stats_ = nullptr;
    std::array<CLI::App*, kRuleCount> rules_{};
    QueueListOptions list_options_;
    QueueShowOptions show_options_;
    QueueExplainOptions explain_options_;
    QueueStatsOptions stats_options_;
    std::array<QueueRuleOptions, kRuleCount> rule_options_;
};

}  // namespace app
