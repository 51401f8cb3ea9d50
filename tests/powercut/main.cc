// volatile_disk FOLDER --control SOCKET [--size-mib N] [--cache-mib N] [--sync-delay-ms MS]
// [--leave]
//
// Serves FOLDER/disk, a disk with a write cache whose power can fail (see volatile_disk.h), until
// SIGTERM. It is commanded over SOCKET (see control.h); disk.py does so, and puts a file system on
// it.
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <CLI/CLI.hpp>

#include "powercut/control.h"
#include "powercut/fuse_file.h"
#include "powercut/volatile_disk.h"

int main(int argc, char** argv) {
    CLI::App app("A disk in memory whose power can fail");
    std::string folder;
    std::string control_path;
    std::uint64_t size_mib = 1024;
    std::uint64_t cache_mib = 256;
    double sync_delay_ms = 0;
    bool leave = false;
    app.add_option("folder", folder, "where to mount; the file is FOLDER/disk")->required();
    app.add_option("--control", control_path, "the Unix socket for commands")->required();
    app.add_option("--size-mib", size_mib, "size of the disk")->check(CLI::Range(1, 1 << 20));
    app.add_option("--cache-mib", cache_mib, "what may be volatile; more than that is written back")
        ->check(CLI::Range(1, 1 << 20));
    app.add_option("--sync-delay-ms", sync_delay_ms, "how long a sync takes")
        ->check(CLI::Range(0.0, 60000.0));
    app.add_flag(
        "--leave", leave,
        "leave the mount namespace after mounting. Else, where this process is the last in it "
        "and is killed, the kernel unmounts what is on the disk while the disk is gone, and "
        "waits for ever");
    CLI11_PARSE(app, argc, argv);

    // The kernel writes pages out to here; memory that is asked for meanwhile must not wait for
    // that. Without the right to say so (CAP_SYS_RESOURCE) it goes on all the same.
    ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);

    powercut::VolatileDisk disk(size_mib << 20U, (cache_mib << 20U) / powercut::kBlockBytes);
    disk.delay_syncs(std::chrono::nanoseconds(static_cast<std::int64_t>(sync_delay_ms * 1e6)));
    powercut::FuseFile file(disk);
    if (!file.mount(folder)) {
        fmt::print(stderr, "cannot mount at {}; this needs root and /dev/fuse\n", folder);
        return 1;
    }
    if (leave && ::unshare(CLONE_NEWNS) < 0) {
        fmt::print(stderr, "cannot leave the mount namespace: {}\n", std::strerror(errno));
        return 1;
    }
    const powercut::Control control(disk, control_path);
    return file.run() < 0 ? 1 : 0;
}
