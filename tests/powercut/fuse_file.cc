#include "powercut/fuse_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <sys/stat.h>

namespace powercut {
namespace {

constexpr fuse_ino_t kFolder = FUSE_ROOT_ID;
constexpr fuse_ino_t kFile = 2;
constexpr const char* kName = "disk";
constexpr double kForever_s = 1e9;
constexpr unsigned kTransferMax = 1U << 20U;

VolatileDisk& disk_of(fuse_req_t request) {
    return *static_cast<VolatileDisk*>(fuse_req_userdata(request));
}

struct stat attributes(fuse_req_t request, fuse_ino_t inode) {
    struct stat result{};
    result.st_ino = inode;
    result.st_mode = inode == kFolder ? S_IFDIR | 0700 : S_IFREG | 0600;
    result.st_nlink = inode == kFolder ? 2 : 1;
    result.st_size = inode == kFolder ? 0 : static_cast<off_t>(disk_of(request).bytes());
    result.st_blksize = kBlockBytes;
    return result;
}

void on_init(void*, fuse_conn_info* connection) {
    connection->max_write = kTransferMax;
}

void on_lookup(fuse_req_t request, fuse_ino_t, const char* name) {
    if (std::strcmp(name, kName) != 0) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    fuse_entry_param entry{};
    entry.ino = kFile;
    entry.attr = attributes(request, kFile);
    entry.attr_timeout = kForever_s;
    entry.entry_timeout = kForever_s;
    fuse_reply_entry(request, &entry);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
    const struct stat result = attributes(request, inode);
    fuse_reply_attr(request, &result, kForever_s);
}

void on_readdir(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
    std::array<char, 256> entry{};
    std::size_t used = 0;
    if (offset == 0) {
        const struct stat file = attributes(request, kFile);
        used = fuse_add_direntry(request, entry.data(), entry.size(), kName, &file, 1);
    }
    fuse_reply_buf(request, entry.data(), std::min(used, size));
}

void on_open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
    if (inode != kFile) {
        fuse_reply_err(request, EISDIR);
        return;
    }
    file->direct_io = 1;
    fuse_reply_open(request, file);
}

void on_read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
    const std::uint64_t from =
        std::min(static_cast<std::uint64_t>(offset), disk_of(request).bytes());
    std::vector<std::byte> bytes(std::min<std::uint64_t>(size, disk_of(request).bytes() - from));
    if (const int error = disk_of(request).read(from, bytes); error != 0) {
        fuse_reply_err(request, error);
        return;
    }
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void on_write(fuse_req_t request, fuse_ino_t, const char* data, std::size_t size, off_t offset,
              fuse_file_info*) {
    const auto to = static_cast<std::uint64_t>(offset);
    int error = ENOSPC;
    if (to <= disk_of(request).bytes() && size <= disk_of(request).bytes() - to) {
        error = disk_of(request).write(to, std::as_bytes(std::span(data, size)));
    }
    if (error != 0) {
        fuse_reply_err(request, error);
        return;
    }
    fuse_reply_write(request, size);
}

void on_fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    fuse_reply_err(request, disk_of(request).sync());
}

}  // namespace

FuseFile::~FuseFile() {
    if (session_ != nullptr) {
        fuse_session_unmount(session_);
        fuse_remove_signal_handlers(session_);
        fuse_session_destroy(session_);
    }
}

bool FuseFile::mount(const std::string& folder) {
    fuse_lowlevel_ops operations{};
    operations.init = on_init;
    operations.lookup = on_lookup;
    operations.getattr = on_getattr;
    operations.readdir = on_readdir;
    operations.open = on_open;
    operations.read = on_read;
    operations.write = on_write;
    operations.fsync = on_fsync;
    std::array<std::string, 3> words{"volatile_disk", "-o", "fsname=volatile_disk"};
    std::array<char*, 3> arguments{words[0].data(), words[1].data(), words[2].data()};
    fuse_args given = FUSE_ARGS_INIT(static_cast<int>(arguments.size()), arguments.data());
    session_ = fuse_session_new(&given, &operations, sizeof operations, &disk_);
    fuse_opt_free_args(&given);
    return session_ != nullptr && fuse_set_signal_handlers(session_) == 0 &&
           fuse_session_mount(session_, folder.c_str()) == 0;
}

int FuseFile::run() {
    fuse_loop_config* config = fuse_loop_cfg_create();
    const int result = fuse_session_loop_mt(session_, config);
    fuse_loop_cfg_destroy(config);
    return result;
}

}  // namespace powercut
