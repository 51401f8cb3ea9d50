#include "app/relay_shard.h"

#include <string>
#include <utility>

#include "base/decimal.h"
#include "net/listener.h"

namespace app {
namespace {

std::string in_seconds(base::Duration time) {
    const auto ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    std::string text = std::to_string(ms / 1000) + '.';
    base::append_decimal(text, ms % 1000, 3);
    return text + " s";
}

}  // namespace

RelayShard::RelayShard(rt::Shard& shard, const RelaySettings& settings, mail::EventLog& log)
    : shard_(shard), settings_(settings), queue_(settings.queue_of(shard.number())), log_(log) {}

RelayShard::~RelayShard() {
    // The store calls its listener, the scheduler, and the server's sessions hold messages of the
    // store.
    server_.reset();
    store_.reset();
    scheduler_.reset();
    net_.reset();
}

rt::Task<base::Status> RelayShard::look(store::SpoolIdentity identity) {
    auto made = net::ShardNet::create(shard_, net::ShardNet::Options{});
    if (!made) {
        co_return std::unexpected(made.error());
    }
    net_ = std::move(*made);
    scheduler_ = std::make_unique<queue::Scheduler>(*net_, log_, queue_);
    store::StoreOptions options = settings_.store;
    options.identity = identity;
    store_ = std::make_unique<store::Store>(shard_, *scheduler_, log_, std::move(options));
    scheduler_->use(*store_);
    base::Status looked = co_await store_->look();
    opened_ = looked.has_value();
    co_return looked;
}

rt::Task<base::Status> RelayShard::resume() {
    base::Status resumed = co_await store_->resume();
    opened_ = resumed.has_value();
    co_return resumed;
}

base::Status RelayShard::listen() {
    const smtp::SessionServices services{*net_, *store_, log_, settings_.access};
    server_ = std::make_unique<smtp::Server>(services, settings_.sessions_max);
    for (const RelaySettings::Listener& listener : settings_.listeners) {
        const base::Result<io::SocketAddress> bound =
            server_->listen(listener.address, listener.session);
        if (!bound) {
            return std::unexpected(bound.error());
        }
    }
    return {};
}

void RelayShard::start() {
    shard_.forget_longest_turn();  // while the store opened nobody was to be served
    shard_.add_hook(*this);
    scheduler_->start();
    server_->accept();
}

base::MonoTime RelayShard::end_of_turn(base::MonoTime /*now*/) {
    if (const base::Duration longest = shard_.longest_turn(); longest >= next_told_turn_) {
        next_told_turn_ = 2 * longest;
        log_.notice(mail::Severity::warning,
                    "a turn of this shard took " + in_seconds(longest) +
                        ", and nobody was served meanwhile; is the machine short of processor time "
                        "or memory?");
    }
    return base::kNever;
}

rt::Task<void> RelayShard::close() {
    rt::TurnHook::unlink();
    if (server_ != nullptr) {
        log_.notice(mail::Severity::info,
                    "the longest turn of this shard took " + in_seconds(shard_.longest_turn()));
    }
    if (server_ != nullptr) {
        co_await server_->stop(kStopPatience);
    }
    if (scheduler_ != nullptr) {
        co_await scheduler_->stop();
    }
    if (opened_) {
        co_await store_->close();
        opened_ = false;
    }
}

}  // namespace app
