#include "store/partition.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "store/log_reader.h"

namespace store {
namespace {

// So that a record fits into the smallest segment.
constexpr std::size_t kChangesInRecord = 256;

}  // namespace

Partition::Partition(const PartitionLinks& links, std::uint32_t number)
    : links_(links),
      files_{.shard = links.shard,
             .log = links.log,
             .path = links.options.spool + "/" + format::partition_name(number),
             .store = links.options.identity.id,
             .partition = number,
             .direct = links.options.direct_io},
      pool_(files_,
            {links.options.segment_bytes, links.options.segments_ahead, links.options.space_retry}),
      committer_({files_, segments_, pool_, links.cache, *this, links.counters, links.options}),
      checkpointer_({files_, table_, rules_, segments_, committer_, links.counters,
                     links.options.checkpoint_bytes}),
      cleaner_({files_, table_, segments_, pool_, committer_, checkpointer_, links.buffers,
                links.counters, links.options}),
      checkpointing_(links.shard, "checkpoints", &links.counters.checkpointing),
      cleaning_(links.shard, "cleaner", &links.counters.cleaning),
      scope_(links.shard, "store") {}

Partition::~Partition() {
    RP_ASSERT(free_readers_.size() == readers_.size());
}

mail::QueueId Partition::next_id() {
    RP_ASSERT(committer_.started() && next_id_ <= mail::QueueId::kSequenceMax);
    return {files_.partition, epoch_, next_id_++};
}

base::MonoTime Partition::end_of_turn(base::MonoTime now, std::uint32_t others) {
    if (links_.shard.driver().dead()) {
        pool_.stop();
        checkpointer_.stop();
        cleaner_.stop();
        files_.sleep.interrupt();
    }
    const base::MonoTime next = committer_.end_of_turn(now, others);
    checkpointer_.poll();
    cleaner_.poll();
    return next;
}

rt::Task<void> Partition::close() {
    // What it has handed to the log is drained with all else.
    cleaner_.stop();
    co_await cleaning_.join();
    const bool started = committer_.started();
    if (started) {
        committer_.drain(wakeup_);
        co_await wakeup_.woken("the log to drain");
    }
    pool_.stop();
    checkpointer_.stop();
    co_await checkpointing_.join();
    co_await scope_.join();
    if (started) {
        co_await checkpointer_.write_last();
        co_await write_established();
    }
}

void Partition::committed(Transaction& transaction, Location location) {
    const mail::Envelope& envelope = transaction.envelope();
    MessagePlace place{transaction.id(), location, base::unix_ms(transaction.arrival()),
                       static_cast<std::uint32_t>(envelope.recipient_count())};
    const CommitParts parts = transaction.parts();
    std::vector<format::SegmentShare>& others = shares_;
    others.clear();
    if (location.spans()) {
        find_other_shares(parts.pieces, location.segment(), others);
    }
    place.units = own_units(parts.facts.stored_bytes, transaction.commit_payload(), others);
    Message& message = table_.add(place, others);
    message.rules_met = rules_.newest_durable();
    // It holds the segments in the transaction's stead.
    transaction.held_segments().clear();
    segments_.add_units(location.segment(), place.units);
    for (const format::SegmentShare& other : others) {
        segments_.add_units(other.segment, other.units);
    }
    links_.listener.committed(message, envelope, transaction.facts());
}

void Partition::outcome_durable(Message& message, std::uint32_t recipient, Location location) {
    RecipientState& state = message.recipients()[recipient];
    if (!state.outcome.nowhere()) {
        segments_.drop(state.outcome.segment(), kOutcomeUnits);
    }
    state.outcome = location;
    segments_.hold(location.segment(), kOutcomeUnits);
}

void Partition::finished(Message& message, std::uint64_t segment) {
    if (message.location().segment() > segment) {
        // It was moved: the segment with this record would go before the one that the message is
        // in, and an older checkpoint would bring it back.
        keep_until_covered(segment);
    }
    segments_.drop(message.location().segment(), message.units());
    for (const format::SegmentShare& other : table_.other_segments(message)) {
        segments_.drop(other.segment, other.units);
    }
    for (const RecipientState& recipient : message.recipients()) {
        if (!recipient.outcome.nowhere()) {
            segments_.drop(recipient.outcome.segment(), kOutcomeUnits);
        }
    }
    links_.cache.drop(message.id());
    table_.remove(message);
}

void Partition::relocated(const StoredRelocation& relocation, std::uint64_t segment) {
    const format::Relocation& fixed = relocation.fixed;
    keep_until_covered(segment);
    keep_until_covered(Location(fixed.from).segment());
    Message* message = table_.find(mail::QueueId(fixed.id));
    if (message == nullptr) {
        return;
    }
    if (fixed.recipient == format::Relocation::kMessage) {
        if (message->location() == Location(fixed.from)) {
            relocate(*message, relocation);
        }
        return;
    }
    RecipientState& state = message->recipients()[fixed.recipient];
    if (state.outcome == Location(fixed.from)) {
        segments_.drop(state.outcome.segment(), kOutcomeUnits);
        state.outcome = Location(fixed.to);
        segments_.hold(state.outcome.segment(), kOutcomeUnits);
    }
}

// Not one that the log says is dead, though it may be read still: what it said cannot be taken
// back.
void Partition::keep_until_covered(std::uint64_t segment) {
    Segment* found = segments_.find(segment);
    if (found != nullptr && segment >= committer_.durable_first()) {
        found->until_covered = true;
    }
}

// Its effects are in memory since it was taken down.
void Partition::changed(const Record& record, std::uint64_t segment) {
    keep_until_covered(segment);
    if (const auto rule = decode_rule(record)) {
        rules_.became_durable(rule->number);
        links_.listener.rule_durable();
    }
}

void Partition::record_changes(Message& message, std::span<const RecipientChange> changes,
                               std::uint32_t rules_met) {
    // They take effect together, so that no start finds the half of what rules did, and applies
    // them anew.
    while (true) {
        const auto some = changes.first(std::min(changes.size(), kChangesInRecord));
        changes = changes.subspan(some.size());
        for (const RecipientChange& change : some) {
            RecipientState& state = message.recipients()[change.recipient];
            state.status = change.status;
            state.next_s = change.status == RecipientStatus::deferred ? change.next_s : 0;
        }
        committer_.record_changes(message.id(), some, rules_met, !changes.empty());
        if (changes.empty()) {
            break;
        }
    }
    message.rules_met = rules_met;
}

void Partition::add_rule(Rule rule) {
    RP_ASSERT(rule.number > rules_.newest());
    rule.newest = mail::QueueId(files_.partition, epoch_, next_id_ - 1);
    rules_.add(rule);
    committer_.add_rule(rule);
}

void Partition::end_rule(std::uint32_t number) {
    rules_.end(number);
    committer_.end_rule(number);
}

void Partition::relocate(Message& message, const StoredRelocation& relocation) {
    segments_.drop(message.location().segment(), message.units());
    for (const format::SegmentShare& other : table_.other_segments(message)) {
        segments_.drop(other.segment, other.units);
    }
    const Location to(relocation.fixed.to);
    table_.move(message, to, relocation.fixed.units, relocation.others);
    segments_.hold(to.segment(), relocation.fixed.units);
    for (const format::SegmentShare& other : relocation.others) {
        segments_.hold(other.segment, other.units);
    }
}

// The oldest ones go without a checkpoint: the log itself says durably that everything in them is
// dead. Others go once the log is never read from them again, whichever checkpoint a start uses.
void Partition::free_segments() {
    const std::uint64_t covered = checkpointer_.covered_below();
    const bool emptied = segments_.take_emptied();
    if (!emptied && covered == segments_.covered_below() &&
        committer_.durable_first() == freed_below_) {
        return;
    }
    segments_.set_covered_below(covered);
    freed_below_ = committer_.durable_first();
    const std::uint64_t below = std::max(covered, freed_below_);
    for (std::size_t i = 0; i < segments_.size() && segments_.at(i).id < below;) {
        const Segment& segment = segments_.at(i);
        const bool dead = segment.id < freed_below_ || segment.live == 0;
        if (dead && segment.pins == 0 && segment.id != segments_.log_end()) {
            pool_.give_back(segments_.take(i));
        } else {
            ++i;
        }
    }
}

Segment& Partition::pin(std::uint64_t id) {
    Segment* segment = segments_.find(id);
    RP_ASSERT(segment != nullptr);
    ++segment->pins;
    return *segment;
}

void Partition::unpin(Segment& segment) {
    segments_.unpin(segment);
    free_segments();
}

void Partition::recycle(MessageReader& reader) {
    free_readers_.push_back(&reader);
}

void Partition::report_damage(const StoredMessage& message, const Piece& piece, int error) {
    links_.log.notice(
        mail::Severity::error,
        files_.path + ": the content of message " + std::string(mail::view(message.id.text())) +
            " cannot be read at block " + std::to_string(piece.block) + " of " +
            format::segment_name(piece.segment) + ": " +
            (error == EUCLEAN ? "its checksum does not match" : base::Error(error).describe()) +
            "; check the disk");
}

rt::Task<base::Status> Partition::read_message(mail::QueueId id, StoredMessage& into) {
    if (CachedMessage* cached = links_.cache.pin(id); cached != nullptr) {
        decode(*cached, into);
        into.keep();
        links_.cache.unpin(*cached);
        co_return base::Status();
    }
    const Message* message = table_.find(id);
    if (message == nullptr) {
        co_return base::fail(ENOENT);
    }
    Segment& segment = pin(message->location().segment());
    const base::Status status = co_await read_commit(segment, message->location(), id, into);
    unpin(segment);
    co_return status;
}

void Partition::decode(const CachedMessage& cached, StoredMessage& into) {
    ++links_.counters.cache_hits;
    const Record record{format::RecordType::commit, 0, 1, cached.record()};
    const bool good = decode_commit(record, into);
    RP_ASSERT(good);
}

rt::Task<base::Status> Partition::read_commit(Segment& segment, Location location, mail::QueueId id,
                                              StoredMessage& into) {
    ++links_.counters.cache_misses;
    const ReadBufferPool::Lease buffer = links_.buffers.lease({files_.partition, location});
    const base::Result<Record> record =
        co_await read_record(links_.shard, segment, location, *buffer);
    base::Status status;
    if (!record.has_value()) {
        status = base::fail(record.error().number());
    } else if (!decode_commit(*record, into) || into.id != id) {
        status = base::fail(EUCLEAN);
    }
    into.keep();
    co_return status;
}

rt::Task<base::Status> Partition::read_outcome(mail::QueueId id, std::uint32_t recipient,
                                               StoredOutcome& into) {
    const Message* message = table_.find(id);
    if (message == nullptr) {
        co_return base::fail(ENOENT);
    }
    RP_ASSERT(recipient < message->recipients().size());
    const Location location = message->recipients()[recipient].outcome;
    if (location.nowhere()) {
        co_return base::fail(ENODATA);
    }
    Segment& segment = pin(location.segment());
    base::Status status;
    {
        const ReadBufferPool::Lease buffer = links_.buffers.lease({files_.partition, location});
        const base::Result<Record> record =
            co_await read_record(links_.shard, segment, location, *buffer);
        if (!record.has_value()) {
            status = base::fail(record.error().number());
        } else if (!decode_outcome(*record, into) || into.id != id) {
            status = base::fail(EUCLEAN);
        }
    }
    unpin(segment);
    co_return status;
}

rt::Task<base::Result<ReaderHandle>> Partition::open_source(mail::QueueId id) {
    CachedMessage* cached = links_.cache.pin(id);
    const Message* message = table_.find(id);
    if (cached == nullptr && message == nullptr) {
        co_return base::fail(ENOENT);
    }
    if (free_readers_.empty()) {
        readers_.push_back(std::make_unique<MessageReader>(static_cast<MessageReaderHome&>(*this)));
        free_readers_.reserve(readers_.size());
        free_readers_.push_back(readers_.back().get());
    }
    MessageReader& reader = *free_readers_.back();
    free_readers_.pop_back();
    reader.open(cached);
    ReaderHandle handle(&reader);
    if (cached != nullptr) {
        decode(*cached, reader.stored());
        co_return std::move(handle);
    }
    const Location location = message->location();
    Segment& segment = pin(location.segment());
    reader.add_segment(segment);
    for (const format::SegmentShare& other : table_.other_segments(*message)) {
        reader.add_segment(pin(other.segment));
    }
    const base::Status status = co_await read_commit(segment, location, id, reader.stored());
    if (!status.has_value()) {
        co_return base::fail(status.error().number());
    }
    co_return std::move(handle);
}

}  // namespace store
