// FuseFile: a folder with one file in it, `disk`, whose content is a VolatileDisk's. The file is
// opened past the page cache (direct_io): each write of whoever has it open is one here, and only
// an fsync or fdatasync is a sync. A close is none.
//
// run() serves until SIGTERM, SIGINT or an unmount. Needs root, or fusermount3.
#pragma once

#include <string>

#include "powercut/volatile_disk.h"

struct fuse_session;

namespace powercut {

class FuseFile {
  public:
    explicit FuseFile(VolatileDisk& disk) : disk_(disk) {}
    FuseFile(const FuseFile&) = delete;
    FuseFile& operator=(const FuseFile&) = delete;
    ~FuseFile();

    // False: it said why on stderr.
    bool mount(const std::string& folder);
    int run();

  private:
    VolatileDisk& disk_;
    fuse_session* session_ = nullptr;
};

}  // namespace powercut
