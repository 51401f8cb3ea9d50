// Every page of every checkpoint that a partition has.
#include <algorithm>
#include <cerrno>

#include "store/checkpoint_reader.h"
#include "store/log_check.h"
#include "store/log_reader.h"

namespace store {

rt::Task<void> LogCheck::check_checkpoints() {
    std::vector<std::uint64_t> generations;
    for (const std::string& name : names_) {
        if (const auto generation = format::parse_checkpoint_name(name)) {
            generations.push_back(*generation);
        }
    }
    std::ranges::sort(generations);
    for (const std::uint64_t generation : generations) {
        co_await check_checkpoint(generation);
    }
}

rt::Task<void> LogCheck::check_checkpoint(std::uint64_t generation) {
    const std::string name = format::checkpoint_name(generation);
    op_.prepare_open(files_.directory, name.c_str(), io::OpenMode());
    const std::int32_t opened = co_await op_.submit(shard_);
    if (opened == -ENOENT) {
        co_return;  // it went meanwhile
    }
    CheckpointFacts facts;
    facts.generation = generation;
    std::string bad;
    if (opened >= 0) {
        const io::OwnedHandle file(shard_.driver(), opened);
        bad = co_await read_pages(opened, facts);
    }
    {
        // The table is filled for this alone: recovery has one of its own, afterwards.
        const auto reader = std::make_unique<CheckpointReader>(files_, table_, rules_);
        facts.valid = co_await reader->read(generation);
        if (facts.valid) {
            facts.start = reader->start();
            totals_.checkpoints.push_back(generation);
        }
        table_.clear();
        rules_.clear();
        if (!facts.valid) {
            const std::string why = reader->fault();
            const bool there = co_await still_there(name);
            if (there) {
                error(name + " is void: " + why + bad +
                      "; a start goes on with another checkpoint, or the log alone");
            }
        }
    }
    visitor_.checkpoint(facts);
}

// Gives which pages do not validate, for a sentence.
rt::Task<std::string> LogCheck::read_pages(io::Handle file, CheckpointFacts& facts) {
    constexpr std::size_t kPage = format::CheckpointPage::kBytes;
    constexpr std::uint64_t kToldMax = 8;
    const base::Result<std::uint64_t> size = shard_.driver().file_size(file);
    facts.bytes = size.value_or(0);
    const format::PlaceSeed seed = checkpoint_seed(files_, facts.generation);
    const base::MutableBytes page = buffer_.bytes().first(kPage);
    std::string bad;
    bool last = false;
    for (std::uint32_t number = 0; number < facts.bytes / kPage && !last; ++number) {
        const base::Status status = co_await read_fully(shard_, op_, file, page, number * kPage);
        const auto header = status.has_value()
                                ? checkpoint_page_at(page, seed, facts.generation, number)
                                : std::nullopt;
        if (header) {
            show_page(page, *header, facts.generation);
            last = (header->flags & format::CheckpointPage::kLast) != 0;
            continue;
        }
        if (++facts.bad_pages <= kToldMax) {
            bad += (bad.empty() ? " (page " : ", ") + std::to_string(number);
        }
    }
    if (facts.bad_pages > kToldMax) {
        bad += " and " + std::to_string(facts.bad_pages - kToldMax) + " more";
    }
    co_return bad.empty() ? bad : bad + ")";
}

void LogCheck::show_page(base::Bytes page, const format::CheckpointPage& header,
                         std::uint64_t generation) {
    RecordReader records = checkpoint_records(page, header);
    while (const auto record = records.next()) {
        visitor_.checkpoint_record(generation, header.number, records.index(), *record);
    }
}

}  // namespace store
