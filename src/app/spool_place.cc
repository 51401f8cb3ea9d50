#include "app/spool_place.h"

#include <cstdio>

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace app {

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

}  // namespace app
