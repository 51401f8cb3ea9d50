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
    segments_.push_back(std::move(segment));
}

std::unique_ptr<Segment> SegmentTable::pop_oldest() {
    RP_ASSERT(!segments_.empty());
    std::unique_ptr<Segment> segment = std::move(segments_.front());
    segments_.pop_front();
    return segment;
}

std::unique_ptr<Segment> SegmentTable::take(std::size_t index) {
    RP_ASSERT(index < segments_.size());
    const auto at = segments_.begin() + static_cast<std::ptrdiff_t>(index);
    std::unique_ptr<Segment> segment = std::move(*at);
    segments_.erase(at);
    return segment;
}

void SegmentTable::hold(std::uint64_t id) {
    Segment* segment = find(id);
    RP_ASSERT(segment != nullptr);
    ++segment->live;
}

void SegmentTable::drop(std::uint64_t id) {
    Segment* segment = find(id);
    RP_ASSERT(segment != nullptr && segment->live > 0);
    --segment->live;
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
        if (segment->live > 0) {
            return segment->id;
        }
    }
    return segments_.back()->id;
}

}  // namespace store
