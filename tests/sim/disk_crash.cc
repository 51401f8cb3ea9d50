// What of a disk survives: names by their directory's sync, all of it by a crash.
#include <set>
#include <utility>

#include "base/assert.h"
#include "sim/disk.h"

namespace sim {

namespace {

using Change = Disk::NameChange;

void apply(Disk::State& state, const Change& change) {
    const auto remove = [&](Disk::Inode directory, const std::string& name) {
        auto& names = state.files.at(directory).durable_entries;
        const auto entry = names.find(name);
        if (entry != names.end() && entry->second == change.inode) {
            names.erase(entry);
        }
    };
    switch (change.kind) {
        case Change::Kind::create:
            state.files.at(change.directory).durable_entries[change.name] = change.inode;
            break;
        case Change::Kind::unlink:
            remove(change.directory, change.name);
            break;
        case Change::Kind::rename:
            remove(change.directory, change.name);
            state.files.at(change.to_directory).durable_entries[change.to_name] = change.inode;
            break;
    }
}

// The names and files that a change touches. Two changes that share one keep their order.
class Touched {
  public:
    void add(const Change& change) {
        names_.insert({change.directory, change.name});
        if (change.kind == Change::Kind::rename) {
            names_.insert({change.to_directory, change.to_name});
        }
        inodes_.insert(change.inode);
    }
    // Shares a name or a file.
    [[nodiscard]] bool shares(const Change& change) const {
        return names_.contains({change.directory, change.name}) || inodes_.contains(change.inode) ||
               (change.kind == Change::Kind::rename &&
                names_.contains({change.to_directory, change.to_name}));
    }
    // Or is inside of a directory that was touched.
    [[nodiscard]] bool meets(const Change& change) const {
        return shares(change) || inodes_.contains(change.directory) ||
               (change.kind == Change::Kind::rename && inodes_.contains(change.to_directory));
    }

  private:
    std::set<std::pair<Disk::Inode, std::string>> names_;
    std::set<Disk::Inode> inodes_;
};

}  // namespace

// A sync of `directory` began when `covers` was the newest change.
void Disk::commit_names(Inode directory, std::uint64_t covers) {
    std::vector<Change>& changes = state_.changes;
    std::vector<bool> commits(changes.size());
    Touched needed;
    bool found = false;
    for (std::size_t i = changes.size(); i-- > 0;) {
        const Change& change = changes[i];
        const Inode home =
            change.kind == Change::Kind::rename ? change.to_directory : change.directory;
        const bool asked = home == directory && change.sequence <= covers;
        const bool comes_along =
            options_.names == NameOrder::prefix ? found : needed.shares(change);
        if (asked || comes_along) {
            commits[i] = found = true;
            needed.add(change);
        }
    }
    std::vector<Change> left;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (commits[i]) {
            apply(state_, changes[i]);
        } else {
            left.push_back(std::move(changes[i]));
        }
    }
    changes = std::move(left);
    forget_unreachable(state_);
}

void Disk::forget_unreachable(State& state) const {
    std::set<Inode> reachable;
    std::vector<Inode> next{kRoot};
    for (const Change& change : state.changes) {
        next.insert(next.end(), {change.inode, change.directory});
        if (change.kind == Change::Kind::rename) {
            next.push_back(change.to_directory);
        }
    }
    if (&state == &state_) {
        for (const auto& [inode, opens] : opens_) {
            next.push_back(inode);
        }
    }
    while (!next.empty()) {
        const Inode inode = next.back();
        next.pop_back();
        if (!reachable.insert(inode).second) {
            continue;
        }
        const File& in = state.files.at(inode);
        for (const auto* entries : {&in.entries, &in.durable_entries}) {
            for (const auto& [name, entry] : *entries) {
                next.push_back(entry);
            }
        }
    }
    std::erase_if(state.files, [&](const auto& item) { return !reachable.contains(item.first); });
}

Disk::State Disk::crashed(base::Prng& prng, CrashCounts* counts) const {
    State after = state_;
    CrashCounts sum;
    // A cut in the order of changes (a journal), or each by itself.
    std::uint64_t first_lost = prng.below(after.changes.size() + 1);
    if (prng.chance(1, 4)) {
        first_lost = prng.chance(1, 2) ? 0 : after.changes.size();
    }
    Touched lost;
    for (std::size_t i = 0; i < after.changes.size(); ++i) {
        const Change& change = after.changes[i];
        const bool keeps = options_.names == NameOrder::prefix
                               ? i < first_lost
                               : prng.chance(1, 2) && !lost.meets(change);
        if (keeps) {
            apply(after, change);
            ++sum.changes_kept;
        } else {
            lost.add(change);
            ++sum.changes_lost;
        }
    }
    after.changes.clear();
    for (auto& [inode, in] : after.files) {
        in.entries = in.durable_entries;
    }
    forget_unreachable(after);
    TearCounts tears;
    for (auto& [inode, in] : after.files) {
        in.content =
            in.content.crashed(prng, options_.sector_bytes, options_.tear_inside_sectors, tears);
        for (const auto& [name, entry] : in.entries) {
            if (after.files.at(entry).directory) {
                after.files.at(entry).parent = inode;
            }
        }
    }
    if (counts != nullptr) {
        *counts = sum;
        counts->writes_kept = tears.kept;
        counts->writes_lost = tears.lost;
        counts->writes_torn = tears.torn;
    }
    return after;
}

std::string Disk::durable_bytes() const {
    std::string bytes;
    std::vector<Inode> next{kRoot};
    while (!next.empty()) {
        const File& in = state_.files.at(next.back());
        next.pop_back();
        in.content.append_durable(bytes);
        for (const auto& [name, entry] : in.durable_entries) {
            next.push_back(entry);
        }
    }
    return bytes;
}

Disk::CrashCounts Disk::crash(base::Prng& prng) {
    CrashCounts counts;
    State after = crashed(prng, &counts);
    ++epoch_;
    opens_.clear();
    locks_.clear();
    state_ = std::move(after);
    return counts;
}

void Disk::restore(State state) {
    RP_ASSERT(opens_.empty());
    ++epoch_;
    state_ = std::move(state);
}

}  // namespace sim
