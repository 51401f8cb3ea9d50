// The other half of the committer: what happens when a batch has been written.
#include <utility>

#include "base/assert.h"
#include "store/committer.h"

namespace store {

void Committer::completed(io::Op& op, const io::Completion& completion) {
    static_cast<WriteOp&>(op).owner.on_completion(completion.result);
}

void Committer::on_completion(std::int32_t result) {
    if (shard_.driver().dead()) {
        return;  // end_of_turn() tells who waits
    }
    const std::int64_t expected = syncing_ ? 0 : static_cast<std::int64_t>(batch_.bytes());
    if (result != expected) {
        const std::string what = result >= 0 ? "it came short" : base::Error(-result).describe();
        shard_.driver().fatal(std::string("cannot ") + (syncing_ ? "sync" : "write") +
                              " the log in " + links_.files.path + ": " + what +
                              "; nothing was acknowledged that is not on the disk; check the "
                              "disk, then start again");
        return;
    }
    if (!links_.files.direct && !syncing_) {
        // The ring orders nothing by itself: the sync is handed over only now.
        syncing_ = true;
        op_.prepare_sync(active_->handle.get());
        shard_.driver().submit(op_);
        return;
    }
    on_durable();
}

void Committer::on_durable() {
    durable_sequence_ = header_.sequence;
    durable_first_ = header_.first_segment;
    links_.pool.set_watermark(durable_sequence_);
    active_->end += batch_.bytes();
    active_->last_sequence = header_.sequence;
    durable_at_ = shard_.now();
    gathers_until_ = durable_at_;
    if (commits_in_batch_ > 1) {
        gathers_until_ +=
            std::min(links_.options.commit_delay, (durable_at_ - submitted_at_) / kGather);
    }
    ++links_.counters.batches;
    links_.counters.batch_bytes += batch_.bytes();
    durable_bytes_ += batch_.bytes();
    if (opening_) {
        opening_ = false;
        ends_.clear();
    }
    if (std::exchange(new_epoch_, false)) {
        std::exchange(starter_, nullptr)->wake();
    }
    if (writing_ == Write::summary) {
        closed_ = true;
        sealed_ = true;  // its header's watermark says so
        ends_.assign(1, {active_->id, active_->end, active_->last_sequence});
        ++links_.counters.rotations;
    } else {
        summary_.content_bytes += batch_.content_bytes();
        apply_outcomes();
        apply_transactions();
    }
    links_.live.free_segments();
}

void Committer::apply_outcomes() {
    std::size_t index = 0;
    RecordReader records(flying_.planned_bytes(),
                         static_cast<std::uint32_t>(flying_.planned().size()));
    for (const OutcomeBuffer::Entry& entry : flying_.planned()) {
        const Location location = batch_.outcome_location(index++);
        const auto record = records.next();
        switch (entry.kind) {
            case OutcomeBuffer::Kind::finish:
                ++summary_.finishes;
                ++links_.counters.finished;
                links_.live.finished(*entry.message, location.segment());
                break;
            case OutcomeBuffer::Kind::outcome:
                ++summary_.outcomes;
                ++links_.counters.outcomes;
                links_.live.outcome_durable(*entry.message, entry.recipient, location);
                break;
            case OutcomeBuffer::Kind::relocation: {
                const auto relocation = decode_relocation(*record);
                RP_ASSERT(relocation);
                links_.live.relocated(*relocation, location.segment());
                break;
            }
            case OutcomeBuffer::Kind::change:
            case OutcomeBuffer::Kind::rule:
            case OutcomeBuffer::Kind::rule_end:
                links_.live.changed(*record, location.segment());
                break;
        }
    }
    records_durable_ += flying_.planned().size();
    flying_.planned_done();
    outcomes_since_ = shard_.now();
}

void Committer::apply_transactions() {
    for (const Batch::Part& part : batch_.parts()) {
        Transaction& transaction = *part.transaction;
        transaction.BatchNode::unlink();
        if (transaction.abandoned()) {
            unhold(transaction);
            transaction.recycle();
        } else if (part.commit) {
            on_commit(part);
        } else {
            transaction.written(false);
        }
    }
}

void Committer::on_commit(const Batch::Part& part) {
    Transaction& transaction = *part.transaction;
    ++summary_.commits;
    ++links_.counters.commits;
    if (transaction.cacheable()) {
        links_.cache.add(transaction.id(), batch_.area().subspan(part.record_at, part.record_bytes),
                         transaction.chunk_list());
    }
    links_.live.committed(transaction, part.location);
    transaction.written(true);
}

void Committer::fail_work(mail::SinkState state) {
    while (!work_.empty()) {
        work_.pop_front().fail(state);
    }
    commits_waiting_ = 0;
    streams_waiting_ = 0;
    waiting_bytes_ = 0;
}

// The program is dead, in the simulator: everyone who waits is told, so that it unwinds.
void Committer::fail_all() {
    if (op_.in_flight()) {
        return;
    }
    while (!in_batch_.empty()) {
        Transaction& transaction = in_batch_.pop_front();
        if (transaction.abandoned()) {
            unhold(transaction);
            transaction.recycle();
        } else if (!transaction.WorkNode::linked()) {
            transaction.fail(mail::SinkState::failed);
        }
    }
    fail_work(mail::SinkState::failed);
    while (!failed_.empty()) {
        failed_.pop_front().fail(mail::SinkState::failed);
    }
    gathering_.wake_all();
    flying_.wake_all();
    for (base::Waiter** waiter : {&starter_, &drainer_}) {
        if (*waiter != nullptr) {
            std::exchange(*waiter, nullptr)->wake();
        }
    }
}

}  // namespace store
