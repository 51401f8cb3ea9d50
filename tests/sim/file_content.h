// FileContent: the bytes of one simulated file, as the running system sees them and as the medium
// holds them, and the writes between the two. Part of Disk, which says what is durable when.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/prng.h"

namespace sim {

// Bytes of which most are zero or shared with another copy. Reads beyond what was written give
// zeros.
class SparseBytes {
  public:
    void read(std::uint64_t offset, base::MutableBytes into) const;
    void write(std::uint64_t offset, base::Bytes bytes);
    // Takes [from, to) over from `other`, sharing its memory.
    void copy_from(const SparseBytes& other, std::uint64_t from, std::uint64_t to);
    // Everything from `size` on becomes zero.
    void cut(std::uint64_t size);
    // All pages below `size` that are not zero.
    void append_to(std::string& out, std::uint64_t size) const;

  private:
    static constexpr std::size_t kPage = 4096;
    using Page = std::array<std::byte, kPage>;
    std::map<std::uint64_t, std::shared_ptr<const Page>> pages_;  // absent: zeros
};

struct TearCounts {
    std::uint64_t lost = 0;
    std::uint64_t torn = 0;
    std::uint64_t kept = 0;
};

class FileContent {
  public:
    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] std::size_t read(std::uint64_t offset, base::MutableBytes into) const;
    [[nodiscard]] std::uint64_t allocated_bytes() const { return allocated_; }
    // How many bytes of [offset, offset + bytes) have no block yet, in whole blocks.
    [[nodiscard]] std::uint64_t missing_bytes(std::uint64_t offset, std::uint64_t bytes) const;
    void allocate(std::uint64_t offset, std::uint64_t bytes, std::uint64_t sequence);

    void begin_write(std::uint64_t id, std::uint64_t offset, std::vector<std::byte> bytes);
    [[nodiscard]] std::uint64_t write_offset(std::uint64_t id) const {
        return flying_.at(id).offset;
    }
    void finish_write(std::uint64_t id, std::size_t bytes, bool durable, std::uint64_t sequence,
                      std::uint32_t sector);
    void fail_write(std::uint64_t id, std::uint64_t sequence, std::uint32_t sector,
                    base::Prng& prng);
    void cancel_write(std::uint64_t id) { flying_.erase(id); }

    void finish_sync(std::uint64_t covers);
    void fail_sync(std::uint64_t covers, std::uint32_t sector, base::Prng& prng);
    void drop_cache();

    // What is durable for certain.
    void append_durable(std::string& out) const { durable_.append_to(out, durable_size_); }
    // As the medium holds it after a power cut.
    [[nodiscard]] FileContent crashed(base::Prng& prng, std::uint32_t sector, bool tear_inside,
                                      TearCounts& counts) const;
    // Changes what is on the medium and what is seen alike.
    void overwrite(std::uint64_t offset, base::Bytes bytes);

  private:
    struct Write {
        std::uint64_t sequence;  // of its completion
        std::uint64_t offset;
        std::vector<std::byte> bytes;  // whole sectors, once completed
    };
    struct Growth {
        std::uint64_t sequence;
        std::uint64_t size;
    };

    void take_effect(std::uint64_t offset, base::Bytes bytes, bool durable, std::uint64_t sequence,
                     std::uint32_t sector);
    void forget_pending(std::uint64_t from, std::uint64_t to);
    void take_blocks(std::uint64_t offset, std::uint64_t bytes);
    // Puts onto the medium what a power cut left of `write`.
    void survive(const Write& write, base::Prng& prng, std::uint32_t sector, bool tear_inside,
                 TearCounts& counts);
    void grow(std::uint64_t size, std::uint64_t sequence, bool durable);
    [[nodiscard]] Write widened(const Write& write, std::uint32_t sector) const;

    SparseBytes seen_;
    SparseBytes durable_;
    std::uint64_t size_ = 0;
    std::uint64_t durable_size_ = 0;
    std::uint64_t allocated_ = 0;
    std::vector<bool> blocks_;               // which blocks of 4 KiB are allocated
    std::vector<Write> pending_;             // completed, not durable, in order
    std::vector<Growth> growth_;             // of the size, not durable, in order
    std::map<std::uint64_t, Write> flying_;  // begun, not completed
};

}  // namespace sim
