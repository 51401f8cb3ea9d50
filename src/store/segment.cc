#include "store/segment.h"

#include <algorithm>

#include "base/assert.h"

namespace store {

Segment* SegmentTable::find(std::uint64_t id) {
    const auto at = std::ranges::lower_bound(segments_, id, {},
                                             [](const auto& segment) { return segment->id; });
    return at == segments_.end() || (*at)->id != id ? nullptr : at->get();
}

void SegmentTable::push_back(std::unique_ptr<Segment> segment) {
    RP_ASSERT(segments_.empty() || segments_.back()->id < segment->id);
    bytes_ += segment->bytes;
    live_units_ += segment->live_units;
    segments_.push_back(std::move(segment));
}

std::unique_ptr<Segment> SegmentTable::take(std::size_t index) {
    RP_ASSERT(index < segments_.size());
    const auto at = segments_.begin() + static_cast<std::ptrdiff_t>(index);
    std::unique_ptr<Segment> segment = std::move(*at);
    segments_.erase(at);
    bytes_ -= segment->bytes;
    live_units_ -= segment->live_units;
    return segment;
}

void SegmentTable::hold(std::uint64_t id, std::uint32_t units) {
    Segment* segment = find(id);
    RP_ASSERT(segment != nullptr);
    ++segment->live;
    segment->live_units += units;
    live_units_ += units;
}

void SegmentTable::add_units(std::uint64_t id, std::uint32_t units) {
    Segment* segment = find(id);
    RP_ASSERT(segment != nullptr && segment->live > 0);
    segment->live_units += units;
    live_units_ += units;
}

void SegmentTable::drop(std::uint64_t id, std::uint32_t units) {
    Segment* segment = find(id);
    RP_ASSERT(segment != nullptr && segment->live > 0 && segment->live_units >= units);
    --segment->live;
    segment->live_units -= units;
    live_units_ -= units;
    emptied_ = emptied_ || (segment->live == 0 && segment->pins == 0);
}

void SegmentTable::unpin(Segment& segment) {
    RP_ASSERT(segment.pins > 0);
    --segment.pins;
    emptied_ = emptied_ || (segment.live == 0 && segment.pins == 0);
}

std::uint64_t SegmentTable::first_alive() const {
    RP_ASSERT(!segments_.empty());
    for (const auto& segment : segments_) {
        if (segment->live > 0 || segment->id == log_end_ ||
            (segment->until_covered && segment->id >= covered_below_)) {
            return segment->id;
        }
    }
    return segments_.back()->id;
}

}  // namespace store
