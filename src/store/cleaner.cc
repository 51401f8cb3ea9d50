// When the cleaner cleans, what, and how it goes through a segment; the copying is in
// cleaner_move.cc.
#include "store/cleaner.h"

#include <algorithm>

#include "base/assert.h"

namespace store {

Cleaner::Cleaner(const Links& links)
    : links_(links), walk_(links.files.shard, true, kWindowBytes) {}

Cleaner::~Cleaner() {
    RP_ASSERT(held_.empty());
}

std::uint64_t Cleaner::used_bytes() const {
    return links_.segments.bytes() + links_.pool.bytes();
}

// More than twice the live bytes and that many segments.
bool Cleaner::wanted(std::uint64_t segments, std::uint64_t besides) const {
    return links_.options.checkpoint_bytes > 0 && links_.committer.started() &&
           used_bytes() >
               2 * links_.segments.live_bytes() + besides + segments * links_.options.segment_bytes;
}

void Cleaner::poll() {
    if (!waiting_) {
        return;
    }
    const bool news =
        used_bytes() != seen_bytes_ || links_.counters.checkpoints != seen_checkpoints_;
    if (news && wanted(kSlack)) {
        wakeup_.wake();
    }
}

void Cleaner::stop() {
    stopping_ = true;
    sleep_.interrupt();
    if (waiting_) {
        wakeup_.wake();
    }
    if (durable_.linked()) {
        durable_.unlink();
        durable_.wake();
    }
}

rt::Task<void> Cleaner::run() {
    while (!ending()) {
        // What holds nothing goes once the checkpoints are newer; cleaning more would not help.
        const Dead dead = count_dead();
        // While no checkpoint tells of the messages, none may be moved; and one alone may be lost.
        // A full disk may have no room for a second.
        const bool may_move =
            links_.checkpointer.two() || (links_.pool.starved() && links_.checkpointer.any());
        const bool moves = links_.options.cleaner_bytes_per_s > 0;
        Segment* const victim =
            moves && may_move && wanted(kSlack, dead.bytes) ? choose() : nullptr;
        if (victim != nullptr) {
            co_await clean(*victim);
        }
        if (victim != nullptr && (!no_room_ || ending())) {
            continue;
        }
        if (wanted(kSlack) && (dead.may_go || (moves && !may_move))) {
            links_.checkpointer.request();
        }
        seen_bytes_ = used_bytes();
        seen_checkpoints_ = links_.counters.checkpoints;
        waiting_ = true;
        co_await wakeup_.woken("something to clean");
        waiting_ = false;
    }
}

Cleaner::Dead Cleaner::count_dead() const {
    Dead dead;
    const std::uint64_t log_end = links_.segments.log_end();
    for (std::size_t i = 0; i < links_.segments.size(); ++i) {
        const Segment& segment = links_.segments.at(i);
        if (segment.live == 0 && segment.id != log_end) {
            dead.bytes += segment.bytes;
            dead.may_go = dead.may_go || (segment.id < log_end && segment.pins == 0);
        }
    }
    return dead;
}

Segment* Cleaner::choose() const {
    Segment* best = nullptr;
    double best_score = 0;
    const std::uint64_t newest = links_.segments.newest().id;
    for (std::size_t i = 0; i < links_.segments.size(); ++i) {
        Segment& segment = links_.segments.at(i);
        if (segment.live == 0 || segment.cleaning || segment.damaged || segment.id == active_id_ ||
            segment.id == links_.segments.log_end()) {
            continue;
        }
        const double full = static_cast<double>(segment.live_units * format::SegmentShare::kUnit) /
                            static_cast<double>(segment.bytes);
        const auto age = static_cast<double>(newest - segment.id + 1);
        const double score = (1 - full) * age / (1 + full);
        if (full < kUseless && score > best_score) {
            best = &segment;
            best_score = score;
        }
    }
    return best;
}

rt::Task<void> Cleaner::clean(Segment& victim) {
    victim.cleaning = true;
    no_room_ = false;
    ++links_.counters.cleanings_begun;
    ++victim.pins;
    // It may have been freed since; and what is older than the first alive counts as dead, and must
    // stay so.
    active_ =
        active_id_ < links_.segments.first_alive() ? nullptr : links_.segments.find(active_id_);
    if (active_ != nullptr) {
        use(*active_);
    }
    walk_.start(victim, format::kBlock, victim.bytes);
    bool goes_on = true;
    while (goes_on && !ending()) {
        base::Result<bool> more = co_await walk_.next();
        goes_on = more.has_value() && *more;
        if (goes_on) {
            more = co_await walk_.read_records();
        }
        if (goes_on && more.has_value() && *more) {
            co_await take_batch(victim);
        }
        co_await throttle();
    }
    static_cast<void>(co_await flush());
    if (!ending() && links_.committer.wait_for_outcomes(durable_)) {
        co_await durable_.woken("relocations to be durable");
    }
    end_pass(victim);
}

// The containers are held by what was moved into them from here on.
void Cleaner::end_pass(Segment& victim) {
    // Where all ends before the relocations are durable, they stay held.
    for (Segment* segment : held_) {
        if (!ending()) {
            links_.segments.drop(segment->id, 0);
        }
    }
    held_.clear();
    active_ = nullptr;
    items_.clear();
    open_.reset();
    staged_.clear();
    taken_.clear();
    content_bytes_ = 0;
    record_bytes_ = 0;
    links_.segments.unpin(victim);
    ++links_.counters.cleanings_ended;
    if (no_room_) {
        victim.cleaning = false;  // another time
    } else {
        ++links_.counters.segments_cleaned;
    }
}

// What is alive of the batch at hand. Content of messages whose commit record is in another segment
// is found by its extents.
rt::Task<void> Cleaner::take_batch(Segment& victim) {
    RecordReader records = walk_.reader();
    const auto block = static_cast<std::uint32_t>(walk_.offset() / format::kBlock);
    while (!ending()) {
        const auto record = records.next();
        if (!record) {
            break;
        }
        const Location here(victim.id, block, records.index(), false);
        mail::QueueId id;
        if (const auto commit = decode_commit_fixed(*record)) {
            const Message* message = links_.table.find(mail::QueueId(commit->id));
            if (message != nullptr && same_record(message->location(), here)) {
                id = message->id();
            }
        } else if (const auto extent = decode_extent(*record)) {
            const Message* message = links_.table.find(mail::QueueId(extent->id));
            if (message != nullptr && message->location().segment() != victim.id &&
                std::ranges::any_of(links_.table.other_segments(*message), [&](const auto& other) {
                    return other.segment == victim.id;
                })) {
                id = message->id();
            }
        } else if (record->type == format::RecordType::outcome) {
            take_outcome(*record, here);
        }
        if (id != mail::QueueId() && !taken_.contains(id.value()) && pays(victim, id)) {
            co_await take_message(id);
        }
        if (record_bytes_ > content_bytes_max() / 2 || items_.size() >= kItemsMost) {
            static_cast<void>(co_await flush());
        }
    }
}

// A message that lies in other segments, too, is moved as a whole, or not at all. One that is
// larger than what its segment gives back would be moved again and again.
bool Cleaner::pays(const Segment& victim, mail::QueueId id) const {
    const Message& message = *links_.table.find(id);
    const std::span<const format::SegmentShare> others = links_.table.other_segments(message);
    std::uint64_t units = message.units();
    for (const format::SegmentShare& other : others) {
        units += other.units;
    }
    return others.empty() ||
           (units + victim.live_units) * format::SegmentShare::kUnit <= victim.bytes;
}

void Cleaner::take_outcome(const Record& record, Location location) {
    const auto fixed = decode_outcome_fixed(record);
    if (!fixed) {
        return;
    }
    Message* message = links_.table.find(mail::QueueId(fixed->id));
    if (message == nullptr || fixed->recipient >= message->recipients().size() ||
        message->recipients()[fixed->recipient].outcome != location) {
        return;
    }
    auto item = std::make_unique<Item>();
    item->type = format::RecordType::outcome;
    item->id = message->id();
    item->from = location;
    item->recipient = fixed->recipient;
    item->payload.assign(record.payload.begin(), record.payload.end());
    record_bytes_ += format::record_bytes(item->payload.size());
    items_.push_back(std::move(item));
}

}  // namespace store
