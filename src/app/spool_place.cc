#include "app/spool_place.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
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

// Who has one partition has them all.
bool spool_is_locked(const std::string& path) {
    const std::array locks = {path + "/lock",
                              path + "/" + store::format::partition_name(0) + "/lock"};
    return std::ranges::any_of(locks, is_locked);
}

}  // namespace app
