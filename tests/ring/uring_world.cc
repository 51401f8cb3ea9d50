#include "ring/uring_world.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/assert.h"

namespace ring_test {

UringWorld::UringWorld(const io::UringOptions& options) : options_(options) {}

UringWorld::~UringWorld() {
    drivers_ = {};
    if (file_size_before_) {
        ::setrlimit(RLIMIT_FSIZE, &*file_size_before_);
    }
    if (!directory_.empty()) {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }
}

// Made when it is asked for, so that the children of death tests leave none behind. Beside the
// program, in the build folder: /tmp may be a tmpfs, which knows no O_DIRECT rules.
std::string UringWorld::directory() {
    if (directory_.empty()) {
        const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
        directory_ = (program.parent_path() / "ring_XXXXXX").string();
        RP_ASSERT(::mkdtemp(directory_.data()) != nullptr);
    }
    return directory_;
}

io::Driver& UringWorld::driver(std::size_t index) {
    std::unique_ptr<io::UringDriver>& driver = drivers_.at(index);
    if (!driver) {
        base::Result<std::unique_ptr<io::UringDriver>> made = io::UringDriver::create(options_);
        if (!made) {
            RP_PANIC(made.error().describe().c_str());
        }
        driver = std::move(*made);
    }
    return *driver;
}

void UringWorld::limit_file_size(std::uint64_t bytes) {
    rlimit limit{};
    RP_ASSERT(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
    if (!file_size_before_) {
        file_size_before_ = limit;
    }
    ::signal(SIGXFSZ, SIG_IGN);
    limit.rlim_cur = bytes;
    RP_ASSERT(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

DriverFactory uring_factory() {
    return {"uring", [] { return std::unique_ptr<World>(std::make_unique<UringWorld>()); }};
}

}  // namespace ring_test
