#include "sim/file_content.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace sim {

namespace {

constexpr std::uint64_t kBlock = 4096;

// Which sectors of a write a power cut left on the medium.
class Tear {
  public:
    Tear(base::Prng& prng, std::uint64_t sectors) : prng_(prng), edge_(prng.below(sectors + 1)) {
        constexpr std::array<Shape, 8> kShapes{Shape::all,   Shape::all,  Shape::none,
                                               Shape::none,  Shape::head, Shape::tail,
                                               Shape::mixed, Shape::mixed};
        shape_ = kShapes[prng.below(kShapes.size())];
    }
    // Called once per sector, in order.
    bool keeps(std::uint64_t sector) {
        switch (shape_) {
            case Shape::all:
                return true;
            case Shape::none:
                return false;
            case Shape::head:
                return sector < edge_;
            case Shape::tail:
                return sector >= edge_;
            case Shape::mixed:
                break;
        }
        return prng_.chance(1, 2);
    }
    [[nodiscard]] bool whole() const { return shape_ == Shape::all; }

  private:
    enum class Shape : std::uint8_t { all, none, head, tail, mixed };
    base::Prng& prng_;
    std::uint64_t edge_;
    Shape shape_;
};

}  // namespace

void SparseBytes::read(std::uint64_t offset, base::MutableBytes into) const {
    while (!into.empty()) {
        const std::uint64_t inside = offset % kPage;
        const std::size_t n = std::min<std::size_t>(into.size(), kPage - inside);
        const auto page = pages_.find(offset / kPage);
        if (page == pages_.end()) {
            std::memset(into.data(), 0, n);
        } else {
            std::memcpy(into.data(), page->second->data() + inside, n);
        }
        into = into.subspan(n);
        offset += n;
    }
}

void SparseBytes::write(std::uint64_t offset, base::Bytes bytes) {
    static constexpr Page kZeros{};
    while (!bytes.empty()) {
        const std::uint64_t inside = offset % kPage;
        const std::size_t n = std::min<std::size_t>(bytes.size(), kPage - inside);
        const auto old = pages_.find(offset / kPage);
        auto page = std::make_shared<Page>(old == pages_.end() ? kZeros : *old->second);
        std::memcpy(page->data() + inside, bytes.data(), n);
        if (std::memcmp(page->data(), kZeros.data(), kPage) == 0) {
            pages_.erase(offset / kPage);
        } else {
            pages_.insert_or_assign(offset / kPage, std::move(page));
        }
        bytes = bytes.subspan(n);
        offset += n;
    }
}

void SparseBytes::copy_from(const SparseBytes& other, std::uint64_t from, std::uint64_t to) {
    while (from < to) {
        const std::uint64_t n = std::min(to - from, kPage - from % kPage);
        const auto theirs = other.pages_.find(from / kPage);
        if (n == kPage && theirs != other.pages_.end()) {
            pages_.insert_or_assign(from / kPage, theirs->second);
        } else if (n == kPage) {
            pages_.erase(from / kPage);
        } else {
            Page part;
            other.read(from, base::MutableBytes(part).first(n));
            write(from, base::Bytes(part).first(n));
        }
        from += n;
    }
}

void SparseBytes::cut(std::uint64_t size) {
    pages_.erase(pages_.lower_bound((size + kPage - 1) / kPage), pages_.end());
    if (size % kPage != 0 && pages_.contains(size / kPage)) {
        const Page zeros{};
        write(size, base::Bytes(zeros).first(kPage - size % kPage));
    }
}

void SparseBytes::append_to(std::string& out, std::uint64_t size) const {
    for (const auto& [number, page] : pages_) {
        const std::uint64_t at = number * kPage;
        if (at >= size) {
            return;
        }
        out += base::as_text(base::Bytes(*page).first(std::min<std::uint64_t>(kPage, size - at)));
    }
}

std::size_t FileContent::read(std::uint64_t offset, base::MutableBytes into) const {
    if (offset >= size_) {
        return 0;
    }
    const std::size_t n = std::min<std::uint64_t>(into.size(), size_ - offset);
    seen_.read(offset, into.first(n));
    return n;
}

std::uint64_t FileContent::missing_bytes(std::uint64_t offset, std::uint64_t bytes) const {
    std::uint64_t missing = 0;
    if (bytes != 0) {
        for (std::uint64_t b = offset / kBlock; b <= (offset + bytes - 1) / kBlock; ++b) {
            missing += b < blocks_.size() && blocks_[b] ? 0 : kBlock;
        }
    }
    return missing;
}

void FileContent::take_blocks(std::uint64_t offset, std::uint64_t bytes) {
    if (bytes == 0) {
        return;
    }
    const std::uint64_t last = (offset + bytes - 1) / kBlock;
    if (last >= blocks_.size()) {
        blocks_.resize(last + 1);
    }
    for (std::uint64_t b = offset / kBlock; b <= last; ++b) {
        allocated_ += blocks_[b] ? 0 : kBlock;
        blocks_[b] = true;
    }
}

void FileContent::allocate(std::uint64_t offset, std::uint64_t bytes, std::uint64_t sequence) {
    take_blocks(offset, bytes);
    grow(offset + bytes, sequence, false);
}

void FileContent::begin_write(std::uint64_t id, std::uint64_t offset,
                              std::vector<std::byte> bytes) {
    flying_.emplace(id, Write{0, offset, std::move(bytes)});
}

void FileContent::finish_write(std::uint64_t id, std::size_t bytes, bool durable,
                               std::uint64_t sequence, std::uint32_t sector) {
    auto node = flying_.extract(id);
    RP_ASSERT(!node.empty());
    const Write& write = node.mapped();
    RP_ASSERT(bytes <= write.bytes.size());
    take_effect(write.offset, base::Bytes(write.bytes).first(bytes), durable, sequence, sector);
}

void FileContent::fail_write(std::uint64_t id, std::uint64_t sequence, std::uint32_t sector,
                             base::Prng& prng) {
    auto node = flying_.extract(id);
    RP_ASSERT(!node.empty());
    const Write& write = node.mapped();
    const std::uint64_t end = write.offset + write.bytes.size();
    Tear tear(prng, (end - write.offset) / sector + 2);
    std::uint64_t index = 0;
    for (std::uint64_t at = write.offset; at < end;) {
        const std::uint64_t next = std::min(end, (at / sector + 1) * sector);
        if (tear.keeps(index++)) {
            take_effect(at, base::Bytes(write.bytes).subspan(at - write.offset, next - at), false,
                        sequence, sector);
        }
        at = next;
    }
}

void FileContent::take_effect(std::uint64_t offset, base::Bytes bytes, bool durable,
                              std::uint64_t sequence, std::uint32_t sector) {
    if (bytes.empty()) {
        return;
    }
    seen_.write(offset, bytes);
    take_blocks(offset, bytes.size());
    grow(offset + bytes.size(), sequence, durable);
    const std::uint64_t from = offset / sector * sector;
    const std::uint64_t to = base::round_up(offset + bytes.size(), sector);
    if (durable) {
        durable_.copy_from(seen_, from, to);
        forget_pending(from, to);
        return;
    }
    Write write{sequence, from, std::vector<std::byte>(to - from)};
    seen_.read(from, write.bytes);
    pending_.push_back(std::move(write));
}

// What became durable by a newer write must not be undone by an older one at a crash.
void FileContent::forget_pending(std::uint64_t from, std::uint64_t to) {
    std::vector<Write> left;
    for (Write& write : pending_) {
        const std::uint64_t end = write.offset + write.bytes.size();
        if (end <= from || write.offset >= to) {
            left.push_back(std::move(write));
            continue;
        }
        const base::Bytes bytes(write.bytes);
        if (write.offset < from) {
            const base::Bytes head = bytes.first(from - write.offset);
            left.push_back({write.sequence, write.offset, {head.begin(), head.end()}});
        }
        if (end > to) {
            const base::Bytes tail = bytes.subspan(to - write.offset);
            left.push_back({write.sequence, to, {tail.begin(), tail.end()}});
        }
    }
    pending_ = std::move(left);
}

void FileContent::grow(std::uint64_t size, std::uint64_t sequence, bool durable) {
    if (durable) {
        durable_size_ = std::max(durable_size_, size);
    }
    if (size > size_) {
        size_ = size;
        if (!durable) {
            growth_.push_back({sequence, size});
        }
    }
}

void FileContent::finish_sync(std::uint64_t covers) {
    for (const Write& write : pending_) {
        if (write.sequence <= covers) {
            durable_.write(write.offset, write.bytes);
        }
    }
    std::erase_if(pending_, [&](const Write& write) { return write.sequence <= covers; });
    for (const Growth& growth : growth_) {
        if (growth.sequence <= covers) {
            durable_size_ = std::max(durable_size_, growth.size);
        }
    }
    std::erase_if(growth_, [&](const Growth& growth) { return growth.sequence <= covers; });
}

void FileContent::fail_sync(std::uint64_t covers, std::uint32_t sector, base::Prng& prng) {
    const bool evicted = prng.chance(1, 2);  // the clean pages leave the cache right away
    for (const Write& write : pending_) {
        if (write.sequence > covers) {
            continue;
        }
        const std::uint64_t sectors = write.bytes.size() / sector;
        for (std::uint64_t s = 0; s < sectors; ++s) {
            if (prng.chance(1, 4)) {
                durable_.write(write.offset + s * sector,
                               base::Bytes(write.bytes).subspan(s * sector, sector));
            }
        }
        if (evicted) {
            seen_.copy_from(durable_, write.offset, write.offset + write.bytes.size());
        }
    }
    std::erase_if(pending_, [&](const Write& write) { return write.sequence <= covers; });
    for (const Write& write : pending_) {
        seen_.write(write.offset, write.bytes);
    }
    std::erase_if(growth_, [&](const Growth& growth) { return growth.sequence <= covers; });
}

void FileContent::drop_cache() {
    seen_ = durable_;
    for (const Write& write : pending_) {
        seen_.write(write.offset, write.bytes);
    }
}

FileContent::Write FileContent::widened(const Write& write, std::uint32_t sector) const {
    const std::uint64_t from = write.offset / sector * sector;
    const std::uint64_t to = base::round_up(write.offset + write.bytes.size(), sector);
    Write wide{write.sequence, from, std::vector<std::byte>(to - from)};
    seen_.read(from, wide.bytes);
    std::ranges::copy(write.bytes,
                      wide.bytes.begin() + static_cast<std::ptrdiff_t>(write.offset - from));
    return wide;
}

void FileContent::survive(const Write& write, base::Prng& prng, std::uint32_t sector,
                          bool tear_inside, TearCounts& counts) {
    const std::uint64_t sectors = write.bytes.size() / sector;
    Tear tear(prng, sectors);
    std::uint64_t kept = 0;
    bool torn_inside = false;
    for (std::uint64_t s = 0; s < sectors; ++s) {
        base::Bytes bytes = base::Bytes(write.bytes).subspan(s * sector, sector);
        const bool keeps = tear.keeps(s);
        if (tear_inside && !tear.whole() && prng.chance(1, 8)) {
            bytes = bytes.first(prng.below(sector));
            torn_inside = true;
        } else if (!keeps) {
            continue;
        } else {
            ++kept;
        }
        durable_.write(write.offset + s * sector, bytes);
    }
    if (kept == sectors) {
        ++counts.kept;
    } else if (kept == 0 && !torn_inside) {
        ++counts.lost;
    } else {
        ++counts.torn;
    }
}

FileContent FileContent::crashed(base::Prng& prng, std::uint32_t sector, bool tear_inside,
                                 TearCounts& counts) const {
    FileContent after;
    after.durable_ = durable_;
    std::vector<std::uint64_t> sizes{durable_size_};
    for (const Growth& growth : growth_) {
        sizes.push_back(growth.size);
    }
    for (const Write& write : pending_) {
        after.survive(write, prng, sector, tear_inside, counts);
    }
    std::vector<Write> flying;
    for (const auto& [id, write] : flying_) {
        flying.push_back(widened(write, sector));
        sizes.push_back(write.offset + write.bytes.size());
    }
    while (!flying.empty()) {
        std::swap(flying[prng.below(flying.size())], flying.back());
        after.survive(flying.back(), prng, sector, tear_inside, counts);
        flying.pop_back();
    }
    after.durable_size_ = std::max(durable_size_, sizes[prng.below(sizes.size())]);
    after.size_ = after.durable_size_;
    after.durable_.cut(after.size_);
    after.seen_ = after.durable_;
    for (std::uint64_t b = 0; b < blocks_.size() && b * kBlock < after.size_; ++b) {
        if (blocks_[b]) {
            after.take_blocks(b * kBlock, kBlock);
        }
    }
    return after;
}

void FileContent::overwrite(std::uint64_t offset, base::Bytes bytes) {
    seen_.write(offset, bytes);
    durable_.write(offset, bytes);
}

}  // namespace sim
