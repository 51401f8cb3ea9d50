#include "store/partition.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "store/log_reader.h"

namespace store {

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
        files_.sleep.interrupt();
    }
    return committer_.end_of_turn(now, others);
}

rt::Task<void> Partition::close() {
    if (committer_.started()) {
        committer_.drain(wakeup_);
        co_await wakeup_.woken("the log to drain");
        co_await write_established();
    }
    pool_.stop();
    co_await scope_.join();
}

std::uint64_t Partition::oldest_of(MessageRef message) const {
    if (!message.location.spans()) {
        return message.location.segment();
    }
    const auto at = spanning_.find(message.location);
    return at == spanning_.end() ? 0 : at->second;
}

void Partition::committed(const CommittedMessage& message, std::uint64_t oldest_segment) {
    if (message.ref.location.spans()) {
        spanning_.emplace(message.ref.location, oldest_segment);
    }
    links_.listener.committed(message);
}

void Partition::outcome_durable(const DurableOutcome& outcome) {
    links_.listener.outcome_durable(outcome);
}

void Partition::finished(MessageRef message) {
    Segment* segment = segments_.find(oldest_of(message));
    RP_ASSERT(segment != nullptr && segment->live > 0);  // else it was finished twice
    --segment->live;
    spanning_.erase(message.location);
    links_.cache.drop(message);
}

Segment* Partition::pin(std::uint64_t id) {
    Segment* segment = segments_.find(id);
    if (segment != nullptr) {
        ++segment->pins;
    }
    return segment;
}

void Partition::unpin(Segment& segment) {
    RP_ASSERT(segment.pins > 0);
    --segment.pins;
    committer_.free_segments();
}

void Partition::unpin(CachedMessage* cached, Segment& oldest) {
    if (cached != nullptr) {
        links_.cache.unpin(*cached);
    }
    unpin(oldest);
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

rt::Task<base::Status> Partition::read_message(MessageRef message, StoredMessage& into) {
    if (CachedMessage* cached = links_.cache.pin(message); cached != nullptr) {
        decode(*cached, into);
        into.keep();
        links_.cache.unpin(*cached);
        co_return base::Status();
    }
    const base::Status status = co_await read_commit(message, into);
    co_return status;
}

void Partition::decode(const CachedMessage& cached, StoredMessage& into) {
    ++links_.counters.cache_hits;
    const Record record{format::RecordType::commit, 0, 1, cached.record()};
    const bool good = decode_commit(record, into);
    RP_ASSERT(good);
}

rt::Task<base::Status> Partition::read_commit(MessageRef message, StoredMessage& into) {
    ++links_.counters.cache_misses;
    Segment* oldest = pin(oldest_of(message));
    if (oldest == nullptr) {
        co_return base::fail(ENOENT);
    }
    Segment* segment = segments_.find(message.location.segment());
    base::Status status;
    {
        const ReadBufferPool::Lease buffer =
            links_.buffers.lease({files_.partition, message.location});
        const base::Result<Record> record =
            co_await read_record(links_.shard, *segment, message.location, *buffer);
        if (!record.has_value()) {
            status = base::fail(record.error().number());
        } else if (!decode_commit(*record, into) || into.id != message.id) {
            status = base::fail(EUCLEAN);
        }
        into.keep();
    }
    unpin(*oldest);
    co_return status;
}

rt::Task<base::Status> Partition::read_outcome(Location location, StoredOutcome& into) {
    Segment* segment = pin(location.segment());
    if (segment == nullptr) {
        co_return base::fail(ENOENT);
    }
    base::Status status;
    {
        const ReadBufferPool::Lease buffer = links_.buffers.lease({files_.partition, location});
        const base::Result<Record> record =
            co_await read_record(links_.shard, *segment, location, *buffer);
        if (!record.has_value()) {
            status = base::fail(record.error().number());
        } else if (!decode_outcome(*record, into)) {
            status = base::fail(EUCLEAN);
        }
    }
    unpin(*segment);
    co_return status;
}

rt::Task<base::Result<ReaderHandle>> Partition::open_source(MessageRef message) {
    Segment* oldest = pin(oldest_of(message));
    if (oldest == nullptr) {
        co_return base::fail(ENOENT);
    }
    if (free_readers_.empty()) {
        readers_.push_back(std::make_unique<MessageReader>(static_cast<MessageReaderHome&>(*this)));
        free_readers_.reserve(readers_.size());
        free_readers_.push_back(readers_.back().get());
    }
    MessageReader& reader = *free_readers_.back();
    free_readers_.pop_back();
    CachedMessage* cached = links_.cache.pin(message);
    reader.open(cached, *oldest);
    ReaderHandle handle(&reader);
    if (cached != nullptr) {
        decode(*cached, reader.stored());
        co_return std::move(handle);
    }
    const base::Status status = co_await read_commit(message, reader.stored());
    if (!status.has_value()) {
        co_return base::fail(status.error().number());
    }
    co_return std::move(handle);
}

}  // namespace store
