// Runs a fuzz target over the files of a corpus, without libFuzzer: one folder or file per
// argument.
//
// So every compiler and preset replays what the fuzzers found before. A missing or empty folder is
// no failure (a young target has no corpus yet): the target then sees the empty input alone, as
// libFuzzer tries it first too.
//
// Fatal: a file that cannot be read ends the program with 1. Panic: the target's own assertions.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace {

bool run_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<char> content{std::istreambuf_iterator<char>(file),
                              std::istreambuf_iterator<char>()};
    if (!file.is_open() || file.bad()) {
        std::fprintf(stderr, "cannot read %s\n", path.c_str());
        return false;
    }
    // Printed first, so that a crash names the input that made it.
    std::printf("%s (%zu bytes)\n", path.c_str(), content.size());
    std::fflush(stdout);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint8_t nothing = 0;
    LLVMFuzzerTestOneInput(&nothing, 0);
    std::size_t files = 0;
    for (int i = 1; i < argc; ++i) {
        std::error_code error;
        if (!std::filesystem::is_directory(argv[i], error)) {
            if (!std::filesystem::exists(argv[i], error)) continue;
            if (!run_file(argv[i])) return 1;
            ++files;
            continue;
        }
        for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i], error)) {
            if (!entry.is_regular_file()) continue;
            if (!run_file(entry.path())) return 1;
            ++files;
        }
    }
    std::printf("%zu inputs replayed\n", files);
    return 0;
}
