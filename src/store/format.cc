#include "store/format.h"

#include <cstdio>
#include <cstring>

#include "base/assert.h"
#include "base/crc32c.h"

namespace store::format {
namespace {

template <typename T>
base::Bytes bytes_of(const T& value) {
    return std::as_bytes(std::span<const T, 1>(&value, 1));
}

constexpr std::size_t kHeaderCrcFrom = offsetof(BatchHeader, sequence);

std::uint32_t header_crc(const BatchHeader& header, std::uint32_t seed) {
    return base::crc32c(seed, bytes_of(header).subspan(kHeaderCrcFrom));
}

}  // namespace

PlaceSeed::PlaceSeed(const StoreId& store, std::uint32_t partition, std::uint64_t segment)
    : segment_(base::crc32c(base::crc32c(base::crc32c(0, store), bytes_of(partition)),
                            bytes_of(segment))) {}

std::uint32_t PlaceSeed::at(std::uint64_t offset) const {
    return base::crc32c(segment_, bytes_of(offset));
}

void sign_batch(base::MutableBytes area, BatchHeader& header, const PlaceSeed& seed,
                std::uint64_t offset) {
    RP_ASSERT(area.size() >= sizeof header + header.record_bytes);
    const std::uint32_t start = seed.at(offset);
    header.records_crc = base::crc32c(start, area.subspan(sizeof header, header.record_bytes));
    header.header_crc = header_crc(header, start);
    std::memcpy(area.data(), &header, sizeof header);
}

std::optional<BatchHeader> batch_header_at(base::Bytes block, const PlaceSeed& seed,
                                           std::uint64_t segment, std::uint64_t offset,
                                           std::uint64_t segment_bytes) {
    RP_ASSERT(block.size() >= sizeof(BatchHeader));
    BatchHeader header;
    std::memcpy(&header, block.data(), sizeof header);
    if (header.magic != BatchHeader::kMagic || header.segment != segment ||
        header.header_crc != header_crc(header, seed.at(offset))) {
        return std::nullopt;
    }
    if (offset > segment_bytes || header.bytes() > segment_bytes - offset) {
        return std::nullopt;
    }
    return header;
}

bool records_valid(const BatchHeader& header, base::Bytes records, const PlaceSeed& seed,
                   std::uint64_t offset) {
    return records.size() == header.record_bytes &&
           base::crc32c(seed.at(offset), records) == header.records_crc;
}

template <typename Header>
void write_block(base::MutableBytes block, Header header) {
    RP_ASSERT(block.size() == kBlock);
    header.crc = 0;
    std::memset(block.data(), 0, block.size());
    std::memcpy(block.data(), &header, sizeof header);
    const std::uint32_t crc = base::crc32c(0, block);
    std::memcpy(block.data() + offsetof(Header, crc), &crc, sizeof crc);
}

template <typename Header>
BlockState read_block(base::Bytes block, Header& header) {
    if (block.size() != kBlock) {
        return BlockState::damaged;
    }
    std::array<std::byte, kBlock> copy;
    std::memcpy(copy.data(), block.data(), kBlock);
    std::memcpy(&header, copy.data(), sizeof header);
    std::memset(copy.data() + offsetof(Header, crc), 0, sizeof header.crc);
    bool good = base::crc32c(0, copy) == header.crc;
    if (!good) {
        // What lies behind the header was written as zeros, so damage there can be told apart.
        std::memset(copy.data() + sizeof header, 0, kBlock - sizeof header);
        good = base::crc32c(0, copy) == header.crc;
    }
    if (header.magic != Header::kMagic || !good) {
        return BlockState::damaged;
    }
    return header.version > kVersion ? BlockState::newer : BlockState::good;
}

template void write_block(base::MutableBytes, Identity);
template void write_block(base::MutableBytes, SegmentHeader);
template void write_block(base::MutableBytes, Established);
template BlockState read_block(base::Bytes, Identity&);
template BlockState read_block(base::Bytes, SegmentHeader&);
template BlockState read_block(base::Bytes, Established&);

namespace {

constexpr std::string_view kSegmentSuffix = ".seg";
constexpr std::string_view kCheckpointSuffix = ".ckpt";

std::string numbered_name(std::uint64_t number, std::string_view suffix) {
    std::array<char, 32> text;
    const int size =
        std::snprintf(text.data(), text.size(), "%08llx", static_cast<unsigned long long>(number));
    return std::string(text.data(), static_cast<std::size_t>(size)).append(suffix);
}

std::optional<std::uint64_t> parse_numbered_name(std::string_view name, std::string_view suffix) {
    if (name.size() != 8 + suffix.size() || !name.ends_with(suffix)) {
        return std::nullopt;
    }
    std::uint64_t number = 0;
    for (const char c : name.substr(0, 8)) {
        const bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) {
            return std::nullopt;
        }
        number = number << 4U | static_cast<unsigned>(digit ? c - '0' : c - 'a' + 10);
    }
    return number;
}

}  // namespace

std::string segment_name(std::uint64_t segment) {
    return numbered_name(segment, kSegmentSuffix);
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
    return parse_numbered_name(name, kSegmentSuffix);
}

std::string checkpoint_name(std::uint64_t generation) {
    return numbered_name(generation, kCheckpointSuffix);
}

std::optional<std::uint64_t> parse_checkpoint_name(std::string_view name) {
    return parse_numbered_name(name, kCheckpointSuffix);
}

std::string partition_name(std::uint32_t partition) {
    std::array<char, 16> text;
    const int size = std::snprintf(text.data(), text.size(), "p%03u", partition);
    return {text.data(), static_cast<std::size_t>(size)};
}

std::string witness_name(std::uint32_t partition) {
    return "established-" + partition_name(partition);
}

}  // namespace store::format
