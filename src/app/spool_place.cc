#include "app/spool_place.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/format.h"

namespace app {
namespace {

bool is_locked(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    // Shared, and let go at once: two that look do not take each other for a holder.
    const bool locked = ::flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(file);
    return locked;
}

// Who has one partition has them all.
std::array<std::string, 2> locks_of(const std::string& path) {
    return {path + "/lock", path + "/" + store::format::partition_name(0) + "/lock"};
}

// "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF": who holds a lock of that file.
std::optional<int> holder_of(const std::string& path) {
    struct stat status{};
    std::FILE* const table = std::fopen("/proc/locks", "re");
    if (table == nullptr) {
        return std::nullopt;
    }
    std::optional<int> holder;
    char line[256];
    while (::stat(path.c_str(), &status) == 0 && !holder &&
           std::fgets(line, sizeof line, table) != nullptr) {
        int pid = 0;
        unsigned first = 0;
        unsigned second = 0;
        unsigned long long inode = 0;
        if (std::sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &first, &second, &inode) ==
                4 &&
            pid > 0 && inode == status.st_ino && first == major(status.st_dev) &&
            second == minor(status.st_dev)) {
            holder = pid;
        }
    }
    std::fclose(table);
    return holder;
}

// What a file system that is not on a local disk is called; "" for those that are.
std::string distance_of(unsigned long type) {
    constexpr unsigned long kCifs = 0xff534d42;
    constexpr unsigned long kSmb2 = 0xfe534d42;
    constexpr unsigned long kFuse = 0x65735546;
    switch (type) {
        case NFS_SUPER_MAGIC:
            return "NFS";
        case SMB_SUPER_MAGIC:
        case kCifs:
        case kSmb2:
            return "SMB";
        case V9FS_MAGIC:
            return "9P";
        case kFuse:
            return "FUSE";
        default:
            return "";
    }
}

}  // namespace

std::vector<std::string> doubts_about_spool(const std::string& path) {
    std::vector<std::string> doubts;
    struct statfs system{};
    if (::statfs(path.c_str(), &system) == 0) {
        const auto type = static_cast<unsigned long>(system.f_type);
        if (type == TMPFS_MAGIC || type == RAMFS_MAGIC) {
            doubts.push_back("the spool " + path +
                             " is in memory (tmpfs): mail that was accepted does not survive a "
                             "reboot; set `spool` to a folder on a disk");
        }
        if (const std::string name = distance_of(type); !name.empty()) {
            doubts.push_back("the spool " + path + " is on " + name +
                             ": whether a sync and a lock hold there is up to what is behind it; "
                             "set `spool` to a folder on a local disk (ext4, XFS, Btrfs)");
        }
    }
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777U);
        doubts.push_back("the spool " + path + " may be changed by others (mode " + mode +
                         "): who can remove its files can lose mail; chmod 0700 it");
    }
    return doubts;
}

bool spool_is_locked(const std::string& path) {
    return std::ranges::any_of(locks_of(path), is_locked);
}

std::optional<int> spool_holder(const std::string& path) {
    for (const std::string& lock : locks_of(path)) {
        if (const std::optional<int> holder = holder_of(lock)) {
            return holder;
        }
    }
    return std::nullopt;
}

}  // namespace app
