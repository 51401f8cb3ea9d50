#include "store/store.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "store/partition.h"

namespace store {

StoreCounters& StoreCounters::operator+=(const StoreCounters& other) {
    for (std::uint64_t StoreCounters::* const count : {&StoreCounters::batches,
                                                       &StoreCounters::batch_bytes,
                                                       &StoreCounters::commits,
                                                       &StoreCounters::outcomes,
                                                       &StoreCounters::finished,
                                                       &StoreCounters::rotations,
                                                       &StoreCounters::segments_created,
                                                       &StoreCounters::segments_recycled,
                                                       &StoreCounters::checkpoints,
                                                       &StoreCounters::checkpoints_begun,
                                                       &StoreCounters::checkpoints_ended,
                                                       &StoreCounters::checkpoint_bytes,
                                                       &StoreCounters::segments_cleaned,
                                                       &StoreCounters::cleanings_begun,
                                                       &StoreCounters::cleanings_ended,
                                                       &StoreCounters::messages_moved,
                                                       &StoreCounters::cleaner_batches,
                                                       &StoreCounters::cleaner_bytes,
                                                       &StoreCounters::relocations_replayed,
                                                       &StoreCounters::cache_hits,
                                                       &StoreCounters::cache_misses}) {
        this->*count += other.*count;
    }
    checkpointing += other.checkpointing;
    cleaning += other.cleaning;
    return *this;
}

// What the partitions and transactions of the shard share.
class Store::Shared final : public TransactionHome {
  public:
    Shared(rt::Shard& shard, StoreListener& listener, mail::EventLog& log, StoreOptions options)
        : options_(std::move(options)),
          chunks_(options_.chunk_bytes_max),
          cache_(chunks_, std::min(options_.cache_bytes_max, options_.chunk_bytes_max)),
          links_{shard, listener, log, cache_, buffers_, counters_, options_} {}
    ~Shared() override { RP_ASSERT(free_.size() == all_.size()); }

    [[nodiscard]] ChunkPool& chunks() override { return chunks_; }
    [[nodiscard]] bool short_of_memory() override {
        if (chunks_.over_limit()) {
            cache_.make_room();
        }
        return chunks_.over_limit();
    }
    void data_phase_over() override { --in_data_phase_; }
    void recycle(Transaction& transaction) override { free_.push_back(&transaction); }

    [[nodiscard]] const StoreOptions& options() const { return options_; }
    [[nodiscard]] const PartitionLinks& links() const { return links_; }
    [[nodiscard]] const StoreCounters& counters() const { return counters_; }
    [[nodiscard]] std::uint32_t in_data_phase() const { return in_data_phase_; }
    void clear_cache() { cache_.clear(); }

    // nullptr when the limit of transactions or of memory is reached.
    [[nodiscard]] Transaction* take_transaction() {
        if (short_of_memory()) {
            return nullptr;
        }
        if (free_.empty()) {
            if (all_.size() == options_.transactions_max) {
                return nullptr;
            }
            all_.push_back(std::make_unique<Transaction>(*this));
            free_.reserve(all_.size());
            free_.push_back(all_.back().get());
        }
        Transaction* transaction = free_.back();
        free_.pop_back();
        ++in_data_phase_;
        return transaction;
    }

  private:
    StoreOptions options_;
    ChunkPool chunks_;
    MessageCache cache_;
    ReadBufferPool buffers_;
    StoreCounters counters_;
    PartitionLinks links_;
    std::uint32_t in_data_phase_ = 0;
    std::vector<std::unique_ptr<Transaction>> all_;
    std::vector<Transaction*> free_;
};

Store::Store(rt::Shard& shard, StoreListener& listener, mail::EventLog& log, StoreOptions options)
    : shard_(shard) {
    RP_ASSERT(options.segment_bytes % format::kBlock == 0 &&
              options.segment_bytes >= format::kSegmentBytesMin &&
              options.segment_bytes <= format::kSegmentBytesMax);
    RP_ASSERT(options.segments_ahead >= 3 && options.shards > shard.number() &&
              options.identity.partitions >= options.shards);
    shared_ = std::make_unique<Shared>(shard, listener, log, std::move(options));
    for (std::uint32_t number = shard.number(); number < shared_->options().identity.partitions;
         number += shared_->options().shards) {
        partitions_.push_back(std::make_unique<Partition>(shared_->links(), number));
    }
    shard.add_hook(*this);
}

Store::~Store() = default;

rt::Task<base::Status> Store::look() {
    base::Status status;
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        status = co_await partition->look();
        if (!status.has_value()) {
            co_await close();
            co_return status;
        }
    }
    co_return status;
}

rt::Task<base::Status> Store::resume() {
    base::Status status;
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        status = co_await partition->resume();
        if (!status.has_value()) {
            co_await close();
            co_return status;
        }
    }
    co_return status;
}

rt::Task<base::Status> Store::open() {
    base::Status status = co_await look();
    if (status.has_value()) {
        status = co_await resume();
    }
    co_return status;
}

rt::Task<void> Store::close() {
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        co_await partition->close();
    }
    shared_->clear_cache();
    partitions_.clear();
}

mail::SinkState Store::admits(std::uint64_t size_bytes) {
    return partitions_.front()->committer().admits(size_bytes) ? mail::SinkState::ready
                                                               : mail::SinkState::storage_full;
}

mail::IncomingMessageHandle Store::begin(const mail::Origin& origin) {
    Partition& partition = *partitions_.front();
    Transaction* transaction = shared_->take_transaction();
    if (transaction == nullptr) {
        return nullptr;
    }
    transaction->begin(partition.committer(), partition.next_id(), shard_.wall_now(), origin);
    return mail::IncomingMessageHandle(transaction);
}

Partition& Store::partition(std::uint32_t number) {
    const std::uint32_t index = number / shared_->options().shards;
    RP_ASSERT(index < partitions_.size() && partitions_[index]->number() == number);
    return *partitions_[index];
}

Message* Store::find(mail::QueueId id) {
    const auto at = std::ranges::find_if(
        partitions_, [&](const auto& partition) { return partition->number() == id.partition(); });
    return at == partitions_.end() ? nullptr : (*at)->find(id);
}

void Store::record_outcome(Message& message, const Outcome& outcome, base::Waiter* durable) {
    RP_ASSERT(outcome.recipient < message.recipients().size());
    RecipientState& state = message.recipients()[outcome.recipient];
    state.status = outcome.status;
    state.attempts =
        static_cast<std::uint16_t>(std::min<std::uint32_t>(outcome.attempts, UINT16_MAX));
    state.next_s =
        outcome.status == RecipientStatus::deferred ? base::unix_seconds(outcome.next_attempt) : 0;
    Partition& home = partition(message.id().partition());
    Outcome recorded = outcome;
    // Without a rule under way nothing will ask.
    recorded.rules_met = home.rules().all().empty() ? 0 : message.rules_met;
    home.committer().record_outcome(message, recorded, durable);
}

void Store::record_changes(Message& message, std::span<const RecipientChange> changes,
                           std::uint32_t rules_met) {
    partition(message.id().partition()).record_changes(message, changes, rules_met);
}

void Store::finish(Message& message, base::Waiter* durable) {
    message.owner = nullptr;
    partition(message.id().partition()).committer().finish(message, durable);
}

bool Store::takes_outcomes() const {
    return std::ranges::all_of(
        partitions_, [](const auto& partition) { return partition->committer().takes_outcomes(); });
}

bool Store::takes_attempts() const {
    return std::ranges::all_of(
        partitions_, [](const auto& partition) { return partition->committer().takes_attempts(); });
}

std::size_t Store::outcomes_waiting() const {
    std::size_t bytes = 0;
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        bytes += partition->committer().outcomes_waiting();
    }
    return bytes;
}

bool Store::wait_for_outcomes(base::Waiter& durable) {
    return std::ranges::any_of(partitions_, [&durable](const auto& partition) {
        return partition->committer().wait_for_outcomes(durable);
    });
}

rt::Task<base::Status> Store::read_message(mail::QueueId id, StoredMessage& into) {
    const base::Status status = co_await partition(id.partition()).read_message(id, into);
    co_return status;
}

rt::Task<base::Status> Store::read_outcome(mail::QueueId id, std::uint32_t recipient,
                                           StoredOutcome& into) {
    const base::Status status =
        co_await partition(id.partition()).read_outcome(id, recipient, into);
    co_return status;
}

rt::Task<base::Result<ReaderHandle>> Store::open_source(mail::QueueId id) {
    base::Result<ReaderHandle> reader = co_await partition(id.partition()).open_source(id);
    co_return std::move(reader);
}

std::uint32_t Store::newest_rule() const {
    std::uint32_t newest = 0;
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        newest = std::max(newest, partition->rules().newest());
    }
    return newest;
}

std::span<const Rule> Store::rules(std::uint32_t partition) const {
    const auto at = std::ranges::find_if(
        partitions_, [partition](const auto& one) { return one->number() == partition; });
    return at == partitions_.end() ? std::span<const Rule>() : (*at)->rules().all();
}

void Store::add_rules(std::span<const Rule> rules) {
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        for (const Rule& rule : rules) {
            partition->add_rule(rule);
        }
    }
}

bool Store::rule_durable(std::uint32_t number) const {
    return std::ranges::all_of(partitions_, [number](const auto& partition) {
        return partition->rules().newest_durable() >= number;
    });
}

void Store::end_rule(std::uint32_t number) {
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        if (std::ranges::find(partition->rules().all(), number, &Rule::number) !=
            partition->rules().all().end()) {
            partition->end_rule(number);
        }
    }
}

std::uint64_t Store::spool_bytes() const {
    std::uint64_t bytes = 0;
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        bytes += partition->segments().bytes();
    }
    return bytes;
}

std::uint64_t Store::live_bytes() const {
    std::uint64_t bytes = 0;
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        bytes += partition->segments().live_bytes();
    }
    return bytes;
}

StoreCounters Store::counters() const {
    StoreCounters counters = shared_->counters();
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        counters.segments_created += partition->pool().created();
        counters.segments_recycled += partition->pool().recycled();
    }
    return counters;
}

base::MonoTime Store::end_of_turn(base::MonoTime now) {
    base::MonoTime next = base::kNever;
    for (const std::unique_ptr<Partition>& partition : partitions_) {
        next = std::min(next, partition->end_of_turn(now, shared_->in_data_phase()));
    }
    return next;
}

}  // namespace store
