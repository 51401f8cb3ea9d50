#include "powercut/volatile_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include <sys/mman.h>

#include "base/assert.h"
#include "base/prng.h"
#include "store/format.h"

namespace powercut {
namespace {

// One block at a cut: `versions` from the durable one to the newest.
enum class Outcome : std::uint8_t { kept, dropped, torn };

Outcome draw(Fate fate, base::Prng& prng) {
    switch (fate) {
        case Fate::mixed:
            return static_cast<Outcome>(prng.below(3));
        case Fate::mostly:
            return prng.chance(7, 8) ? Outcome::kept : static_cast<Outcome>(1 + prng.below(2));
        case Fate::drop:
        case Fate::any:  // resolved before
            break;
    }
    return Outcome::dropped;
}

// Each sector by itself comes from one of the versions.
void tear(std::byte* durable, const std::vector<const std::byte*>& versions, base::Prng& prng) {
    for (std::size_t at = 0; at < kBlockBytes; at += kSectorBytes) {
        const std::uint64_t version = prng.below(versions.size() + 1);
        if (version < versions.size()) {
            std::memcpy(durable + at, versions[version] + at, kSectorBytes);
        }
    }
}

void add(Holds& to, const Holds& more) {
    to.commit = to.commit || more.commit;
    to.checkpoint = to.checkpoint || more.checkpoint;
    to.cleaning = to.cleaning || more.cleaning;
    to.rotation = to.rotation || more.rotation;
}

// Whether what happens, a write or a sync, is what is waited for.
bool meets(Moment wanted, Moment happens, const Holds& holds) {
    switch (wanted) {
        case Moment::commit:
            return holds.commit;
        case Moment::checkpoint:
            return holds.checkpoint;
        case Moment::cleaning:
            return holds.cleaning;
        case Moment::rotation:
            return holds.rotation;
        case Moment::now:
        case Moment::write:
        case Moment::sync:
            break;
    }
    return wanted == happens;
}

}  // namespace

Holds look_at(std::span<const std::byte, kBlockBytes> block) {
    namespace format = store::format;
    std::uint64_t magic = 0;
    std::memcpy(&magic, block.data(), sizeof magic);
    Holds holds;
    holds.checkpoint = magic == format::CheckpointPage::kMagic;
    holds.rotation = magic == format::SegmentHeader::kMagic;
    format::BatchHeader batch;
    std::memcpy(&batch, block.data(), sizeof batch);
    if (batch.magic != format::BatchHeader::kMagic) {
        return holds;
    }
    holds.cleaning = (batch.flags & format::BatchHeader::kMoved) != 0;
    const std::size_t end = std::min(kBlockBytes, sizeof batch + batch.record_bytes);
    for (std::size_t at = sizeof batch; at + sizeof(format::RecordHeader) <= end;) {
        format::RecordHeader record;
        std::memcpy(&record, block.data() + at, sizeof record);
        holds.commit = holds.commit || record.type == format::RecordType::commit;
        holds.cleaning = holds.cleaning || record.type == format::RecordType::relocation;
        at += format::record_bytes(record.bytes);
    }
    // Mail that was moved has its commit record with it, and is none that anybody waits for.
    holds.commit = holds.commit && (batch.flags & format::BatchHeader::kMoved) == 0;
    return holds;
}

VolatileDisk::VolatileDisk(std::uint64_t bytes, std::uint64_t cache_blocks_max)
    : bytes_(bytes), cache_blocks_max_(cache_blocks_max) {
    RP_ASSERT(bytes % kBlockBytes == 0 && cache_blocks_max > 0);
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    RP_ASSERT(memory != MAP_FAILED);
    durable_ = static_cast<std::byte*>(memory);
    layers_.emplace_back();
}

VolatileDisk::~VolatileDisk() {
    ::munmap(durable_, bytes_);
}

const std::byte* VolatileDisk::newest(std::uint64_t block) const {
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
        if (const auto found = layer->blocks.find(block); found != layer->blocks.end()) {
            return found->second->data();
        }
    }
    return durable_ + block * kBlockBytes;
}

// The block in the layer that takes writes. `whole`: all of it is about to be written.
std::byte* VolatileDisk::writable(std::uint64_t block, bool whole) {
    std::unordered_map<std::uint64_t, std::unique_ptr<Block>>& blocks = layers_.back().blocks;
    if (const auto found = blocks.find(block); found != blocks.end()) {
        return found->second->data();
    }
    auto fresh = std::make_unique_for_overwrite<Block>();
    if (!whole) {
        std::memcpy(fresh->data(), newest(block), kBlockBytes);
    }
    ++status_.volatile_blocks;
    return blocks.emplace(block, std::move(fresh)).first->second->data();
}

int VolatileDisk::read(std::uint64_t offset, std::span<std::byte> to) {
    RP_ASSERT(offset <= bytes_ && to.size() <= bytes_ - offset);
    const std::scoped_lock lock(lock_);
    while (!to.empty()) {
        if (!status_.power) return EIO;
        const std::uint64_t within = offset % kBlockBytes;
        const std::size_t size = std::min<std::size_t>(to.size(), kBlockBytes - within);
        const std::byte* block = newest(offset / kBlockBytes);
        if (!spoilt_.empty() &&
            ::memmem(block, kBlockBytes, spoilt_.data(), spoilt_.size()) != nullptr) {
            return EIO;
        }
        std::memcpy(to.data(), block + within, size);
        offset += size;
        to = to.subspan(size);
    }
    return 0;
}

int VolatileDisk::write(std::uint64_t offset, std::span<const std::byte> from) {
    RP_ASSERT(offset <= bytes_ && from.size() <= bytes_ - offset);
    const std::scoped_lock lock(lock_);
    if (!status_.power) return EIO;
    ++status_.writes;
    Holds holds;
    while (!from.empty()) {
        const std::uint64_t within = offset % kBlockBytes;
        const std::size_t size = std::min<std::size_t>(from.size(), kBlockBytes - within);
        std::memcpy(writable(offset / kBlockBytes, size == kBlockBytes) + within, from.data(),
                    size);
        if (size == kBlockBytes) {
            add(holds, look_at(from.first<kBlockBytes>()));
        }
        offset += size;
        from = from.subspan(size);
    }
    count_down(Moment::write, holds);
    if (!status_.power) return EIO;
    if (status_.volatile_blocks > cache_blocks_max_) {
        ++status_.full_caches;
        write_back(seal());
    }
    return 0;
}

int VolatileDisk::sync() {
    std::unique_lock lock(lock_);
    if (!status_.power) return EIO;
    ++status_.syncs;
    ++status_.syncs_in_progress;
    count_down(Moment::sync, {});
    const std::uint64_t life = life_;
    const std::uint64_t sealed = seal();
    if (delay_.count() > 0 && status_.power) {
        failed_.wait_for(lock, delay_, [&] { return life != life_; });
    }
    --status_.syncs_in_progress;
    if (!status_.power || life != life_) return EIO;
    if (fail_ > 0) {
        --fail_;
        ++status_.syncs_failed;
        if (forget_) {
            fail_ = UINT64_MAX;
            forget(sealed);
        }
        return EIO;
    }
    write_back(sealed);
    return 0;
}

// From here on writes go to a new layer; gives the number of the newest one that a sync covers.
std::uint64_t VolatileDisk::seal() {
    const std::uint64_t number = layers_.back().number;
    layers_.push_back(Layer{.number = number + 1, .blocks = {}});
    return number;
}

// Makes the layers up to `number` durable. A later sync may have done it.
void VolatileDisk::write_back(std::uint64_t number) {
    while (layers_.size() > 1 && layers_.front().number <= number) {
        for (const auto& [block, content] : layers_.front().blocks) {
            std::memcpy(durable_ + block * kBlockBytes, content->data(), kBlockBytes);
        }
        status_.volatile_blocks -= layers_.front().blocks.size();
        layers_.pop_front();
    }
}

// As if they had never been written; a later sync may have made some durable.
void VolatileDisk::forget(std::uint64_t number) {
    while (layers_.size() > 1 && layers_.front().number <= number) {
        status_.volatile_blocks -= layers_.front().blocks.size();
        layers_.pop_front();
    }
}

void VolatileDisk::count_down(Moment moment, const Holds& holds) {
    if (!armed_) {
        return;
    }
    if (armed_->left > 0) {
        armed_->left -= meets(armed_->order.moment, moment, holds) ? 1 : 0;
        if (armed_->left > 0 || armed_->behind > 0) {
            return;
        }
    } else if (--armed_->behind > 0) {
        return;
    }
    fail_power(CutOrder(armed_->order));
}

void VolatileDisk::fail_power(const CutOrder& order) {
    cut_ = Cut{};
    cut_.time_ns = std::chrono::steady_clock::now().time_since_epoch().count();
    cut_.syncs_in_progress = status_.syncs_in_progress;
    base::Prng prng(order.seed);
    const Fate fate = order.fate == Fate::any ? static_cast<Fate>(prng.below(3)) : order.fate;
    std::map<std::uint64_t, std::vector<const std::byte*>> blocks;  // sorted: a seed must replay
    for (const Layer& layer : layers_) {
        for (const auto& [block, content] : layer.blocks) {
            blocks[block].push_back(content->data());
        }
    }
    for (const auto& [block, versions] : blocks) {
        Holds holds;
        for (const std::byte* content : versions) {
            add(holds, look_at(std::span<const std::byte, kBlockBytes>(content, kBlockBytes)));
        }
        cut_.commits += holds.commit;
        cut_.checkpoints += holds.checkpoint;
        cut_.cleanings += holds.cleaning;
        cut_.rotations += holds.rotation;
        std::byte* durable = durable_ + block * kBlockBytes;
        switch (draw(fate, prng)) {
            case Outcome::kept:
                std::memcpy(durable, versions.back(), kBlockBytes);
                ++cut_.kept;
                break;
            case Outcome::dropped:
                ++cut_.dropped;
                break;
            case Outcome::torn:
                tear(durable, versions, prng);
                ++cut_.torn;
                break;
        }
    }
    layers_.clear();
    layers_.emplace_back();
    status_.volatile_blocks = 0;
    status_.power = false;
    ++life_;
    armed_.reset();
    failed_.notify_all();
}

Cut VolatileDisk::cut(const CutOrder& order) {
    std::unique_lock lock(lock_);
    if (status_.power && order.moment != Moment::now && order.count > 0) {
        armed_ = Armed{.order = order, .left = order.count, .behind = order.behind};
        failed_.wait_for(lock, order.within, [&] { return !status_.power; });
    }
    if (status_.power) {
        fail_power(order);
    }
    return cut_;
}

void VolatileDisk::restart() {
    const std::scoped_lock lock(lock_);
    status_.power = true;
    fail_ = 0;
    forget_ = false;
}

void VolatileDisk::delay_syncs(std::chrono::nanoseconds delay) {
    const std::scoped_lock lock(lock_);
    delay_ = delay;
}

void VolatileDisk::fail_syncs(std::uint64_t count, bool forget) {
    const std::scoped_lock lock(lock_);
    fail_ = count;
    forget_ = forget;
}

void VolatileDisk::spoil(std::string text) {
    const std::scoped_lock lock(lock_);
    spoilt_ = std::move(text);
}

VolatileDisk::Status VolatileDisk::status() {
    const std::scoped_lock lock(lock_);
    return status_;
}

}  // namespace powercut
