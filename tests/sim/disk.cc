#include "sim/disk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"

namespace sim {

using Change = Disk::NameChange;

OpenFile::OpenFile(Disk& disk, std::uint64_t inode, const io::OpenMode& mode)
    : disk_(disk), inode_(inode), epoch_(disk.epoch()), mode_(mode) {
    directory_ = disk.file(inode).directory;
    ++disk_.opens_[inode];
}

OpenFile::~OpenFile() {
    if (current()) {
        disk_.release(*this);
    }
}

bool OpenFile::current() const {
    return epoch_ == disk_.epoch();
}

Disk::Disk(const Options& options) : options_(options) {
    RP_ASSERT(options.sector_bytes == 512 || options.sector_bytes == kBlock);
    state_.files[kRoot].directory = true;
}

Disk::File& Disk::file(Inode inode) {
    const auto found = state_.files.find(inode);
    RP_ASSERT(found != state_.files.end());
    return found->second;
}

const Disk::File& Disk::file(Inode inode) const {
    const auto found = state_.files.find(inode);
    RP_ASSERT(found != state_.files.end());
    return found->second;
}

base::Result<Disk::Place> Disk::find(Inode directory, std::string_view path) const {
    if (path.empty()) {
        return base::fail(ENOENT);
    }
    Place place{path.front() == '/' ? kRoot : directory, {}, 0};
    place.inode = place.directory;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view name = path.substr(0, slash);
        path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
        if (name.empty() || name == ".") {
            continue;
        }
        if (place.inode == 0) {
            return base::fail(ENOENT);
        }
        const File& in = file(place.inode);
        if (!in.directory) {
            return base::fail(ENOTDIR);
        }
        if (name.size() > 255) {
            return base::fail(ENAMETOOLONG);
        }
        if (name == "..") {
            place = {in.parent, {}, in.parent};
            continue;
        }
        const auto entry = in.entries.find(std::string(name));
        place = {place.inode, std::string(name), entry == in.entries.end() ? 0 : entry->second};
    }
    return place;
}

void Disk::add_change(NameChange change) {
    change.sequence = ++state_.sequence;
    state_.changes.push_back(std::move(change));
}

base::Result<std::shared_ptr<OpenFile>> Disk::open(Inode directory, std::string_view path,
                                                   const io::OpenMode& mode) {
    base::Result<Place> place = find(directory, path);
    if (!place) {
        return std::unexpected(place.error());
    }
    if (mode.create && mode.directory) {
        return base::fail(EINVAL);
    }
    if (place->inode != 0) {
        if (mode.create && mode.exclusive) {
            return base::fail(EEXIST);
        }
        const bool is_directory = file(place->inode).directory;
        if (is_directory && (mode.write || mode.create)) {
            return base::fail(EISDIR);
        }
        if (!is_directory && (mode.directory || path.ends_with('/'))) {
            return base::fail(ENOTDIR);
        }
        return std::make_shared<OpenFile>(*this, place->inode, mode);
    }
    if (!mode.create) {
        return base::fail(ENOENT);
    }
    if (path.ends_with('/')) {
        return base::fail(EISDIR);
    }
    const Inode inode = state_.next_inode++;
    state_.files[inode];
    file(place->directory).entries[place->name] = inode;
    add_change({Change::Kind::create, 0, place->directory, place->name, inode, 0, {}});
    return std::make_shared<OpenFile>(*this, inode, mode);
}

base::Status Disk::make_directory(Inode directory, std::string_view path) {
    base::Result<Place> place = find(directory, path);
    if (!place) {
        return std::unexpected(place.error());
    }
    if (place->inode != 0) {
        return base::fail(EEXIST);
    }
    const Inode inode = state_.next_inode++;
    File& made = state_.files[inode];
    made.directory = true;
    made.parent = place->directory;
    file(place->directory).entries[place->name] = inode;
    add_change({Change::Kind::create, 0, place->directory, place->name, inode, 0, {}});
    return {};
}

base::Status Disk::rename(Inode directory, std::string_view from, std::string_view to) {
    base::Result<Place> old = find(directory, from);
    base::Result<Place> target = find(directory, to);
    if (!old) {
        return std::unexpected(old.error());
    }
    if (!target) {
        return std::unexpected(target.error());
    }
    if (old->inode == 0) {
        return base::fail(ENOENT);
    }
    if (old->name.empty() || target->name.empty()) {
        return base::fail(EBUSY);
    }
    if (old->inode == target->inode) {
        return {};
    }
    File& moved = file(old->inode);
    for (Inode up = target->directory; moved.directory && up != kRoot; up = file(up).parent) {
        if (up == old->inode) {
            return base::fail(EINVAL);
        }
    }
    if (target->inode != 0) {
        const File& replaced = file(target->inode);
        if (replaced.directory != moved.directory) {
            return base::fail(replaced.directory ? EISDIR : ENOTDIR);
        }
        if (!replaced.entries.empty()) {
            return base::fail(ENOTEMPTY);
        }
    }
    file(old->directory).entries.erase(old->name);
    file(target->directory).entries[target->name] = old->inode;
    if (moved.directory) {
        moved.parent = target->directory;
    }
    add_change({Change::Kind::rename, 0, old->directory, old->name, old->inode, target->directory,
                target->name});
    return {};
}

base::Status Disk::unlink(Inode directory, std::string_view path) {
    base::Result<Place> place = find(directory, path);
    if (!place) {
        return std::unexpected(place.error());
    }
    if (place->inode == 0) {
        return base::fail(ENOENT);
    }
    if (file(place->inode).directory) {
        return base::fail(EISDIR);
    }
    file(place->directory).entries.erase(place->name);
    add_change({Change::Kind::unlink, 0, place->directory, place->name, place->inode, 0, {}});
    return {};
}

base::Result<std::vector<std::string>> Disk::list(Inode directory) const {
    const File& in = file(directory);
    if (!in.directory) {
        return base::fail(ENOTDIR);
    }
    std::vector<std::string> names;
    for (const auto& [name, inode] : in.entries) {
        names.push_back(name);
    }
    return names;
}

std::uint64_t Disk::size(Inode inode) const {
    return file(inode).content.size();
}

std::uint64_t Disk::used_bytes() const {
    std::set<Inode> counted;
    for (const auto& [inode, opens] : opens_) {
        counted.insert(inode);
    }
    for (const auto& [inode, in] : state_.files) {
        for (const auto& [name, entry] : in.entries) {
            counted.insert(entry);
        }
    }
    std::uint64_t used = 0;
    for (const Inode inode : counted) {
        used += file(inode).content.allocated_bytes();
    }
    return used;
}

bool Disk::has_room(std::uint64_t more_bytes) const {
    return more_bytes == 0 || used_bytes() + more_bytes <= options_.capacity_bytes;
}

base::Status Disk::allocate(Inode inode, std::uint64_t offset, std::uint64_t bytes) {
    FileContent& content = file(inode).content;
    if (offset + bytes > file_bytes_max_) {
        return base::fail(EFBIG);
    }
    if (!has_room(content.missing_bytes(offset, bytes))) {
        return base::fail(ENOSPC);
    }
    content.allocate(offset, bytes, ++state_.sequence);
    return {};
}

std::size_t Disk::read(Inode inode, std::uint64_t offset, base::MutableBytes into) const {
    return file(inode).content.read(offset, into);
}

std::uint64_t Disk::begin_write(Inode inode, std::uint64_t offset, std::vector<std::byte> bytes) {
    const std::uint64_t write = next_write_++;
    file(inode).content.begin_write(write, offset, std::move(bytes));
    return write;
}

base::Result<std::size_t> Disk::room_for(const FileContent& content, std::uint64_t offset,
                                         std::uint64_t bytes) const {
    if (bytes != 0 && offset >= file_bytes_max_) {
        return base::fail(EFBIG);
    }
    bytes = std::min(bytes, file_bytes_max_ - offset);
    if (has_room(content.missing_bytes(offset, bytes))) {
        return bytes;
    }
    std::uint64_t fits = 0;
    while (fits < bytes && has_room(content.missing_bytes(offset, fits + 1))) {
        fits = std::min(bytes, ((offset + fits) / kBlock + 1) * kBlock - offset);
    }
    return fits == 0 ? base::Result<std::size_t>(base::fail(ENOSPC)) : fits;
}

base::Result<std::size_t> Disk::finish_write(Inode inode, std::uint64_t write, std::size_t bytes,
                                             bool durable) {
    FileContent& content = file(inode).content;
    const base::Result<std::size_t> fits = room_for(content, content.write_offset(write), bytes);
    if (!fits) {
        content.cancel_write(write);
        return fits;
    }
    content.finish_write(write, *fits, durable, ++state_.sequence, options_.sector_bytes);
    return fits;
}

void Disk::fail_write(Inode inode, std::uint64_t write, base::Prng& prng) {
    file(inode).content.fail_write(write, ++state_.sequence, options_.sector_bytes, prng);
}

void Disk::cancel_write(Inode inode, std::uint64_t write) {
    file(inode).content.cancel_write(write);
}

void Disk::finish_sync(Inode inode, std::uint64_t covers) {
    if (file(inode).directory) {
        commit_names(inode, covers);
    } else {
        file(inode).content.finish_sync(covers);
    }
}

void Disk::fail_sync(Inode inode, std::uint64_t covers, base::Prng& prng) {
    if (!file(inode).directory) {
        file(inode).content.fail_sync(covers, options_.sector_bytes, prng);
    }
}

bool Disk::try_lock(const OpenFile& open_file) {
    RP_ASSERT(open_file.current());
    const auto [lock, taken] = locks_.try_emplace(open_file.inode(), &open_file);
    return taken || lock->second == &open_file;
}

void Disk::release(const OpenFile& open_file) {
    const auto lock = locks_.find(open_file.inode());
    if (lock != locks_.end() && lock->second == &open_file) {
        locks_.erase(lock);
    }
    const auto opens = opens_.find(open_file.inode());
    RP_ASSERT(opens != opens_.end());
    if (--opens->second == 0) {
        opens_.erase(opens);
        forget_unreachable(state_);
    }
}

void Disk::put_directory(std::string_view path) {
    const base::Status made = make_directory(kRoot, path);
    RP_ASSERT(made.has_value() || made.error().number() == EEXIST);
    const base::Result<Place> place = find(kRoot, path);
    commit_names(place->directory, state_.sequence);
}

void Disk::put_file(std::string_view path, std::string_view content) {
    io::OpenMode mode;
    mode.write = mode.create = true;
    const auto opened = open(kRoot, path, mode);
    RP_ASSERT(opened.has_value());
    const Inode inode = (*opened)->inode();
    const base::Bytes bytes = base::as_bytes(content);
    file(inode).content = FileContent();
    const std::uint64_t write = begin_write(inode, 0, {bytes.begin(), bytes.end()});
    RP_ASSERT(finish_write(inode, write, bytes.size(), true).has_value());
    commit_names(find(kRoot, path)->directory, state_.sequence);
}

std::optional<std::string> Disk::content_of(std::string_view path) const {
    const base::Result<Place> place = find(kRoot, path);
    if (!place || place->inode == 0 || file(place->inode).directory) {
        return {};
    }
    std::string content(size(place->inode), '\0');
    (void)read(place->inode, 0, std::as_writable_bytes(std::span(content)));
    return content;
}

bool Disk::exists(std::string_view path) const {
    const base::Result<Place> place = find(kRoot, path);
    return place.has_value() && place->inode != 0;
}

std::vector<std::string> Disk::names_in(std::string_view path) const {
    const base::Result<Place> place = find(kRoot, path);
    RP_ASSERT(place.has_value() && place->inode != 0);
    const auto names = list(place->inode);
    RP_ASSERT(names.has_value());
    return *names;
}

void Disk::overwrite(std::string_view path, std::uint64_t offset, base::Bytes bytes) {
    const base::Result<Place> place = find(kRoot, path);
    RP_ASSERT(place.has_value() && place->inode != 0);
    file(place->inode).content.overwrite(offset, bytes);
}

}  // namespace sim
