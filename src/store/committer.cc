#include "store/committer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"

namespace store {

Committer::WriteOp::WriteOp(Committer& committer)
    : io::Op(&Committer::completed), owner(committer) {}

Committer::Committer(const Links& links) : links_(links), shard_(links.files.shard), op_(*this) {}

Committer::~Committer() {
    RP_ASSERT(work_.empty() && in_batch_.empty() && failed_.empty());
}

void Committer::start(const Start& start, base::Waiter& started) {
    start_ = start;
    next_sequence_ = start.next_sequence;
    durable_sequence_ = start.next_sequence - 1;
    ends_ = start.ends;
    new_epoch_ = true;
    running_ = true;
    starter_ = &started;
    closed_ = true;
}

void Committer::stream(Transaction& transaction) {
    if (!transaction.WorkNode::linked()) {
        transaction.set_waiting_since(shard_.now());
        work_.push_back(transaction);
        ++streams_waiting_;
    }
}

void Committer::commit(Transaction& transaction) {
    transaction.set_waiting_since(shard_.now());
    if (!transaction.WorkNode::linked()) {
        work_.push_back(transaction);
    } else {
        --streams_waiting_;
    }
    ++commits_waiting_;
    transaction.set_queued_bytes();
    waiting_bytes_ += transaction.queued_bytes();
}

void Committer::fail_later(Transaction& transaction) {
    if (!transaction.WorkNode::linked()) {
        failed_.push_back(transaction);
    }
}

void Committer::abandon(Transaction& transaction) {
    if (transaction.WorkNode::linked()) {
        // A commit is given up only by a dead program, whose counts no longer matter.
        if (streams_waiting_ > 0) {
            --streams_waiting_;
        }
        transaction.WorkNode::unlink();
    }
    if (!transaction.BatchNode::linked()) {
        unhold(transaction);
        transaction.recycle();
    }
}

void Committer::hold(Transaction& transaction) {
    std::vector<std::uint32_t>& held = transaction.held_segments();
    if (held.empty() || held.back() != active_->id) {
        held.push_back(static_cast<std::uint32_t>(active_->id));
        ++active_->live;
    }
}

void Committer::unhold(Transaction& transaction) {
    for (const std::uint32_t id : transaction.held_segments()) {
        links_.segments.drop(id, 0);
    }
    transaction.held_segments().clear();
}

OutcomeBuffer& Committer::gather() {
    if (!outcomes_wait()) {
        outcomes_since_ = shard_.now();
    }
    ++records_taken_;
    return gathering_;
}

void Committer::record_outcome(Message& message, const Outcome& outcome, base::Waiter* durable) {
    gather().add(message, outcome);
    if (durable != nullptr) {
        gathering_.add_waiter(*durable);
    }
}

void Committer::finish(Message& message, base::Waiter* durable) {
    gather().add_finish(message);
    if (durable != nullptr) {
        gathering_.add_waiter(*durable);
    }
}

void Committer::relocate(const format::Relocation& fixed,
                         std::span<const format::SegmentShare> others) {
    gather().add_relocation(fixed, others);
}

void Committer::record_changes(mail::QueueId id, std::span<const RecipientChange> changes,
                               std::uint32_t rules_met, bool more) {
    gather().add_change(id, changes, rules_met, more);
}

void Committer::add_rule(const Rule& rule) {
    gather().add_rule(rule);
}

void Committer::end_rule(std::uint32_t number) {
    gather().add_rule_end(number);
}

bool Committer::wait_for_outcomes(base::Waiter& durable) {
    for (OutcomeBuffer* buffer : {&gathering_, &flying_}) {
        if (buffer->pending()) {
            buffer->add_waiter(durable);
            return true;
        }
    }
    return false;
}

Committer::Position Committer::position() const {
    RP_ASSERT(started() && active_ != nullptr);
    return {active_->id, active_->end, durable_sequence_ + 1};
}

void Committer::drain(base::Waiter& drained) {
    drainer_ = &drained;
    links_.pool.try_anew();
}

// Leaves the line of what waits to be written.
void Committer::take_off(Transaction& transaction) {
    if (transaction.committing()) {
        --commits_waiting_;
        waiting_bytes_ -= transaction.queued_bytes();
    } else {
        --streams_waiting_;
    }
    transaction.WorkNode::unlink();
}

std::uint64_t Committer::room() const {
    // The last block is the summary's.
    return closed_ ? 0 : active_->bytes - active_->end - format::kBlock;
}

// While no segment can be prepared, what is left beside the reserves is for content.
bool Committer::content_allowed() const {
    return !links_.pool.starved() || links_.pool.prepared() >= kNeededByOutcomes;
}

bool Committer::admits(std::uint64_t size_bytes) const {
    if (!links_.pool.starved()) {
        return true;
    }
    if (!content_allowed()) {
        return false;
    }
    const std::uint64_t whole = links_.options.segment_bytes;
    const std::uint64_t left = room() + (links_.pool.prepared() - kNeededByOutcomes) * whole;
    return size_bytes + whole / 4 < left;
}

// The last segment that outcomes may have is half full, and no more can be prepared.
bool Committer::scarce() const {
    return links_.pool.starved() && links_.pool.prepared() < kNeededByOutcomes &&
           room() < links_.pool.small_bytes() / 2;
}

bool Committer::anything_waits() const {
    return !work_.empty() || outcomes_wait();
}

// An empty batch, so that the last one's durability is on the disk, and what it allows to free.
bool Committer::seal_due() const {
    return started() && (!sealed_ || links_.segments.first_alive() > durable_first_);
}

base::MonoTime Committer::due(base::MonoTime now, std::uint32_t others) {
    base::MonoTime at = base::kNever;
    if (new_epoch_ || streams_waiting_ > 0) {
        return now;
    }
    if (commits_waiting_ > 0) {
        if (waiting_bytes_ >= links_.options.batch_bytes_max) {
            return now;
        }
        // Streams were handled above, so all that waits here are commits, in order.
        at = others == 0 ? now : work_.front().waiting_since() + links_.options.commit_delay;
        at = std::max(at, gathers_until_);
    }
    if (outcomes_wait()) {
        at = std::min(at,
                      drainer_ != nullptr ? now : outcomes_since_ + links_.options.outcome_delay);
    }
    if (at == base::kNever && seal_due()) {
        at = drainer_ != nullptr ? now : durable_at_ + links_.options.seal_delay;
    }
    return at;
}

base::MonoTime Committer::end_of_turn(base::MonoTime now, std::uint32_t others) {
    if (shard_.driver().dead()) {
        fail_all();
        return base::kNever;
    }
    while (!failed_.empty()) {
        Transaction& transaction = failed_.pop_front();
        transaction.fail(transaction.state());
    }
    if (op_.in_flight() || !running_) {
        return base::kNever;
    }
    if (started() && (closed_ || active_->end >= active_->bytes / 4)) {
        links_.pool.want_all();
    }
    base::MonoTime at = due(now, others);
    if (at <= now) {
        try_write();
        if (op_.in_flight()) {
            return base::kNever;
        }
        // Without a segment nothing can be done until the pool has one, and its work ends the wait.
        at = closed_ ? base::kNever : due(now, others);
    }
    if (at == base::kNever && drainer_ != nullptr && (!anything_waits() || outcomes_stuck())) {
        drained();
    }
    return at;
}

void Committer::drained() {
    if (outcomes_wait()) {
        links_.files.log.notice(
            mail::Severity::error,
            "the last outcomes of " + links_.files.path +
                " have no room on the disk, not even in the reserve: some messages that were "
                "delivered will be delivered again after the next start; make room before that");
        gathering_.forget_waiters();
        flying_.forget_waiters();
    }
    std::exchange(drainer_, nullptr)->wake();
}

void Committer::try_write() {
    if (!content_allowed()) {
        fail_work(mail::SinkState::storage_full);
    }
    if (closed_ && !take_segment()) {
        return;
    }
    if (plan(content_allowed())) {
        write_batch(false);
        return;
    }
    if (anything_waits()) {
        if (!opening_) {
            write_summary();
        }
    } else if (seal_due()) {
        if (room() < format::kBlock) {
            write_summary();  // says the same
        } else {
            write_batch(true);
        }
    }
}

bool Committer::take_segment() {
    std::size_t needed = 1;
    if (links_.pool.starved() && !new_epoch_) {
        needed = outcomes_wait() || work_.empty() ? kNeededByOutcomes : kNeededByContent;
    }
    if (links_.pool.prepared() < needed) {
        if (links_.pool.starved() && !work_.empty()) {
            fail_work(mail::SinkState::storage_full);
        }
        return false;
    }
    std::unique_ptr<Segment> segment = links_.pool.take();
    active_ = segment.get();
    links_.segments.push_back(std::move(segment));
    links_.segments.set_log_end(active_->id);
    closed_ = false;
    opening_ = true;
    summary_ = {};
    summary_.first_sequence = next_sequence_;
    return true;
}

void Committer::plan_opening() {
    bool fits = true;
    if (opening_) {
        fits = batch_.plan_record(sizeof(format::SegmentOpen) +
                                  ends_.size() * sizeof(format::SegmentEnd));
    }
    if (new_epoch_) {
        fits = fits && batch_.plan_record(sizeof(format::Epoch));
    }
    RP_ASSERT(fits);  // some dozens of bytes for each crash since the last complete start
}

bool Committer::plan(bool with_content) {
    batch_.start(room(), links_.options.batch_bytes_max);
    plan_opening();
    if (new_epoch_) {
        return true;
    }
    if (flying_.empty()) {
        flying_.swap(gathering_);
    }
    bool any = false;
    while (!flying_.empty() && batch_.plan_outcome(flying_)) {
        any = true;
    }
    if (with_content) {
        bool fits = true;
        for (Transaction* at = work_.empty() ? nullptr : &work_.front(); fits && at != nullptr;) {
            Transaction* next = work_.after(*at);
            fits = batch_.plan_transaction(*at);
            at = next;
        }
    }
    if (opening_ && with_content && !work_.empty() && !batch_.has_content()) {
        // Not even an empty segment holds it: a commit record of tens of megabytes.
        Transaction& transaction = work_.front();
        take_off(transaction);
        transaction.fail(mail::SinkState::failed);
    }
    return any || batch_.has_content();
}

void Committer::put_opening(RecordWriter& writer) {
    writer.begin(format::RecordType::segment_open,
                 sizeof(format::SegmentOpen) + ends_.size() * sizeof(format::SegmentEnd));
    writer.put(format::SegmentOpen{static_cast<std::uint32_t>(ends_.size()), 0});
    writer.put_bytes(std::as_bytes(std::span(ends_)));
    writer.end();
    if (new_epoch_) {
        writer.put_record(format::RecordType::epoch,
                          format::Epoch{start_.epoch, 0, start_.salvaged_below,
                                        base::unix_ms(shard_.wall_now())});
    }
}

void Committer::write_batch(bool seal) {
    if (shard_.driver().dead()) {
        return;
    }
    if (seal) {
        batch_.start(room(), room());
        plan_opening();
        const bool fits = batch_.plan_record(0);
        RP_ASSERT(fits);
    }
    header_ = {};
    header_.flags = opening_ ? format::BatchHeader::kOpens : 0U;
    RecordWriter& writer = batch_.open(active_->id, active_->end);
    if (opening_) {
        put_opening(writer);
    }
    if (seal) {
        writer.begin(format::RecordType::seal, 0);
        writer.end();
    }
    for (const Batch::Part& part : batch_.parts()) {
        hold(*part.transaction);
    }
    batch_.put_rest(flying_);
    commits_in_batch_ = 0;
    for (const Batch::Part& part : batch_.parts()) {
        Transaction& transaction = *part.transaction;
        // What did not fit stays in front of the line.
        commits_in_batch_ += part.commit ? 1 : 0;
        if (part.commit || (!transaction.committing() && transaction.placeable().empty())) {
            take_off(transaction);
        }
        in_batch_.push_back(transaction);
    }
    sealed_ = seal;
    submit(header_, Write::batch);
}

void Committer::write_summary() {
    batch_.start(active_->bytes - active_->end, format::kBlock);
    const bool fits = batch_.plan_record(sizeof(format::Summary));
    RP_ASSERT(fits && !opening_);
    header_ = {};
    commits_in_batch_ = 0;
    RecordWriter& writer = batch_.open(active_->id, active_->end);
    summary_.last_sequence = next_sequence_ - 1;
    writer.put_record(format::RecordType::summary, summary_);
    batch_.put_rest(OutcomeBuffer());
    submit(header_, Write::summary);
}

void Committer::submit(format::BatchHeader& header, Write what) {
    header.sequence = next_sequence_++;
    header.watermark = durable_sequence_;
    header.first_segment = links_.segments.first_alive();
    header.epoch = start_.epoch;
    header.written_ms = base::unix_ms(shard_.wall_now());
    batch_.finish(header, active_->seed);
    writing_ = what;
    syncing_ = false;
    submitted_at_ = shard_.now();
    op_.prepare_write_vector(active_->handle.get(), batch_.pieces().data(),
                             static_cast<std::uint32_t>(batch_.pieces().size()), active_->end);
    shard_.driver().submit(op_);
}

}  // namespace store
