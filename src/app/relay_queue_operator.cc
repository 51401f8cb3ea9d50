#include "app/relay_queue_operator.h"

#include <algorithm>
#include <future>
#include <utility>
#include <vector>

#include "app/timestamp.h"
#include "base/time.h"

namespace app {
namespace {

base::Error stopping() {
    return base::Error(ESHUTDOWN, "the server is stopping");
}

void add_site(std::vector<QueueTotals::Site>& all, const queue::Site& site) {
    auto at = std::ranges::find(all, site.route().name, &QueueTotals::Site::name);
    if (at == all.end()) {
        all.push_back({.name = site.route().name, .last_words = {}});
        at = all.end() - 1;
    }
    at->ready += site.ready_count();
    at->connections += site.engaged();
    at->connections_max += site.route().connections_max;
    if (site.dead()) {
        at->dead = true;
        at->last_words = site.last_words();
    }
}

void add_progress(queue::RuleProgress& sum, const queue::RuleProgress& one) {
    sum.looked_at += one.looked_at;
    sum.of += one.of;
    sum.messages += one.messages;
    sum.recipients += one.recipients;
}

}  // namespace

void RelayQueueOperator::stop() {
    stopped_ = true;
    for (std::uint32_t i = 0; i < relay_.threads().size(); ++i) {
        relay_.threads().run_now(i,
                                 [this, i] { relay_.shard(i).scheduler().rules().take_no_more(); });
    }
    const std::unique_lock lock(mutex_);
}

base::Status RelayQueueOperator::on_each(const std::function<void(RelayShard&)>& work) {
    if (stopped_) {
        return std::unexpected(stopping());
    }
    const std::shared_lock lock(mutex_);
    for (std::uint32_t i = 0; i < relay_.threads().size(); ++i) {
        if (stopped_) {
            return std::unexpected(stopping());
        }
        relay_.threads().run_now(i, [this, i, &work] { work(relay_.shard(i)); });
    }
    return {};
}

base::Result<GivenRules> RelayQueueOperator::give(const store::Rule& rule,
                                                  std::span<const mail::QueueId> ids) {
    const std::lock_guard order(giving_);
    std::uint32_t newest = 0;
    const base::Status asked = on_each([&newest](RelayShard& shard) {
        newest = std::max(newest, shard.scheduler().rules().newest());
    });
    if (!asked) {
        return std::unexpected(asked.error());
    }
    GivenRules given{.first = newest + 1, .open = {}};
    const std::uint32_t shards = relay_.threads().size();
    std::vector<std::vector<store::Rule>> of_shard(shards);
    store::Rule next = rule;
    next.at_ms = base::unix_ms(wall_now());
    next.number = newest;
    for (std::size_t i = 0; i < std::max<std::size_t>(ids.size(), 1); ++i) {
        ++next.number;
        next.only = ids.empty() ? mail::QueueId() : ids[i];
        RP_ASSERT(ids.empty() || next.only != mail::QueueId());
        for (std::uint32_t shard = 0; shard < shards; ++shard) {
            if (ids.empty() || next.only.partition() % shards == shard) {
                of_shard[shard].push_back(next);
                given.open.push_back({shard, next.number});
            }
        }
    }
    base::Status status = all_would_take(of_shard);
    if (!status) {
        return std::unexpected(status.error());
    }
    const std::shared_lock lock(mutex_);
    if (stopped_) {
        return std::unexpected(stopping());
    }
    std::vector<std::future<base::Status>> answers;
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
        if (!of_shard[shard].empty()) {
            answers.push_back(relay_.threads().run<base::Status>(shard, [this, shard, &of_shard] {
                return relay_.shard(shard).scheduler().rules().add(of_shard[shard]);
            }));
        }
    }
    std::size_t failed = 0;
    for (std::future<base::Status>& answer : answers) {
        if (const base::Status one = answer.get(); !one) {
            status = one;
            ++failed;
        }
    }
    if (failed > 0 && failed < answers.size()) {
        return base::fail(
            status.error().number(),
            status.error().describe() + "; on another part of the queue the command is in force");
    }
    if (!status) {
        return std::unexpected(status.error());
    }
    return given;
}

// So that a command is refused as a whole.
base::Status RelayQueueOperator::all_would_take(
    const std::vector<std::vector<store::Rule>>& of_shard) {
    base::Status status;
    std::size_t shard_number = 0;
    const base::Status asked = on_each([&](RelayShard& shard) {
        const std::size_t rules = of_shard[shard_number++].size();
        if (status && rules > 0) {
            status = shard.scheduler().rules().would_take(rules);
        }
    });
    return asked ? status : asked;
}

base::Result<queue::RuleProgress> RelayQueueOperator::progress(GivenRules& given) {
    queue::RuleProgress sum = given.done;
    std::uint32_t shard_number = 0;
    const base::Status asked = on_each([&](RelayShard& shard) {
        std::erase_if(given.open, [&](const GivenRules::Part& part) {
            if (part.shard != shard_number) {
                return false;
            }
            const queue::RuleProgress one = shard.scheduler().rules().progress(part.rule);
            add_progress(sum, one);
            if (one.done) {
                add_progress(given.done, one);
            }
            return one.done;
        });
        ++shard_number;
    });
    if (!asked) {
        return std::unexpected(asked.error());
    }
    sum.done = given.open.empty();
    return sum;
}

base::Result<QueueTotals> RelayQueueOperator::totals() {
    QueueTotals totals;
    totals.up = std::chrono::steady_clock::now() - started_;
    const base::Status asked = on_each([&totals](RelayShard& shard) {
        queue::Scheduler& scheduler = shard.scheduler();
        const queue::QueueCounts& counts = scheduler.counts();
        totals.messages.ready += counts.ready;
        totals.messages.in_delivery += counts.in_delivery;
        totals.messages.deferred += counts.deferred;
        totals.messages.held += counts.held;
        totals.spool_bytes += scheduler.store().spool_bytes();
        totals.live_bytes += scheduler.store().live_bytes();
        totals.store += scheduler.store().counters();
        for (std::size_t i = 0; i < scheduler.sites(); ++i) {
            add_site(totals.sites, scheduler.site(i));
        }
        for (const queue::RuleProgress& one : scheduler.rules().under_way()) {
            const auto same = std::ranges::find(
                totals.rules, one.rule.number,
                [](const queue::RuleProgress& other) { return other.rule.number; });
            if (same == totals.rules.end()) {
                totals.rules.push_back(one);
            } else {
                add_progress(*same, one);
            }
        }
    });
    if (!asked) {
        return std::unexpected(asked.error());
    }
    return totals;
}

}  // namespace app
