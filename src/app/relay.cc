#include "app/relay.h"

#include <cerrno>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "app/spool_place.h"
#include "store/spool.h"

namespace app {
namespace {

// All are waited for; the first failure counts.
base::Status all_of(std::vector<std::future<base::Status>> futures) {
    base::Status all;
    for (std::future<base::Status>& future : futures) {
        base::Status one = future.get();
        if (all && !one) {
            all = std::move(one);
        }
    }
    return all;
}

std::string named(std::optional<int> process) {
    return process ? " (pid " + std::to_string(*process) + ")" : "";
}

// A refusal for somebody else's lock says whose, where that can be told.
base::Status with_holder(base::Status status, const std::string& spool) {
    if (!status && status.error().number() == EWOULDBLOCK) {
        const std::string who = named(spool_holder(spool));
        return base::fail(EWOULDBLOCK, status.error().describe() + who);
    }
    return status;
}

}  // namespace

Relay::Relay(ShardThreads& threads, const RelaySettings& settings, Log& log)
    : threads_(threads), settings_(settings), log_(log) {}

Relay::~Relay() {
    std::vector<std::future<void>> ends;
    ends.reserve(shards_.size());
    for (std::uint32_t i = 0; i < shards_.size(); ++i) {
        ends.push_back(threads_.run<void>(i, [this, i] { return shards_[i]->close(); }));
    }
    for (std::future<void>& end : ends) {
        end.get();
    }
    for (std::uint32_t i = 0; i < shards_.size(); ++i) {
        threads_.run_now(i, [this, i] { shards_[i].reset(); });
    }
}

base::Status Relay::start() {
    // First of all: else a taken address would be told of behind a spool made and filled in vain.
    for (const RelaySettings::Listener& listener : settings_.listeners) {
        const base::Status free = wait_until_free(listener.address);
        if (!free) {
            return free;
        }
    }
    base::Status done = open();
    if (done) {
        done = listen();
    }
    if (done) {
        for (std::uint32_t i = 0; i < shards_.size(); ++i) {
            threads_.run_now(i, [this, i] { shards_[i]->start(); });
        }
    }
    return done;
}

base::Status Relay::open() {
    if (spool_is_locked(settings_.store.spool)) {
        log_.notice(mail::Severity::warning, "the spool " + settings_.store.spool +
                                                 " is in use by another process" +
                                                 named(spool_holder(settings_.store.spool)) +
                                                 "; waiting a while for that to end");
    }
    using Identity = base::Result<store::SpoolIdentity>;
    const std::function<rt::Task<Identity>()> open_spool = [this] {
        return store::open_spool(threads_.shard(0), settings_.store.spool, threads_.size(),
                                 settings_.store.salvage);
    };
    const Identity identity = threads_.run<Identity>(0, open_spool).get();
    if (!identity) {
        return with_holder(std::unexpected(identity.error()), settings_.store.spool);
    }
    if (identity->from_copy) {
        log_.notice(mail::Severity::error,
                    settings_.store.spool +
                        "/identity was damaged or missing: salvage wrote it anew from its copy");
    }
    if (identity->foreign_copy) {
        log_.notice(mail::Severity::warning,
                    settings_.store.spool +
                        "/identity.copy is another spool's; remove it, and the next start writes "
                        "the right one");
    }
    for (std::uint32_t i = 0; i < threads_.size(); ++i) {
        threads_.run_now(i, [this, i] {
            rt::Shard& shard = threads_.shard(i);
            mail::EventLog& log = log_.open_shard(i, [&shard] { return shard.wall_now(); });
            shards_.push_back(std::make_unique<RelayShard>(shard, settings_, log));
        });
    }
    // None writes before all have read: a start that is refused leaves every log as it was.
    base::Status opened =
        on_all([this, &identity](std::uint32_t i) { return shards_[i]->look(*identity); });
    if (opened) {
        opened = on_all([this](std::uint32_t i) { return shards_[i]->resume(); });
    }
    return with_holder(std::move(opened), settings_.store.spool);
}

base::Status Relay::on_all(const std::function<rt::Task<base::Status>(std::uint32_t)>& work) {
    std::vector<std::future<base::Status>> done;
    done.reserve(threads_.size());
    for (std::uint32_t i = 0; i < threads_.size(); ++i) {
        done.push_back(threads_.run<base::Status>(i, [&work, i] { return work(i); }));
    }
    return all_of(std::move(done));
}

base::Status Relay::listen() {
    for (std::uint32_t i = 0; i < shards_.size(); ++i) {
        base::Status listening;
        threads_.run_now(i, [this, i, &listening] { listening = shards_[i]->listen(); });
        if (!listening) {
            return listening;
        }
    }
    return {};
}

}  // namespace app
