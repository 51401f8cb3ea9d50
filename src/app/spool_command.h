// `ringpost spool verify`, `dump` and `add-partitions`: a spool looked at, or extended, by hand,
// without a server.
//
// verify and dump change nothing. They run store::check_spool() on a ring of their own, on the
// calling thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

namespace app {

struct SpoolVerifyOptions {
    std::string path = {};
    bool json = false;
};

struct SpoolDumpOptions {
    std::string path = {};
    bool json = false;
    std::optional<std::uint32_t> partition = {};
    std::string segment = {};  // its id in hexadecimal, or its file's name; empty: all
    std::string message = {};  // a queue id; empty: all
    bool content = false;      // with message
};

struct SpoolAddOptions {
    std::string path = {};
    std::uint32_t count = 0;
};

inline constexpr int kSpoolDamaged = 1;
inline constexpr int kSpoolUnreadable = 2;  // no spool, one of a newer format, or not to be read

// 0: sound. kSpoolDamaged: findings say what. kSpoolUnreadable: with a sentence on `err`.
[[nodiscard]] int run_spool_verify(const SpoolVerifyOptions& options, std::FILE* out,
                                   std::FILE* err);
// As run_spool_verify(); what is damaged is told on `err`.
[[nodiscard]] int run_spool_dump(const SpoolDumpOptions& options, std::FILE* out, std::FILE* err);
// 0, or 1 with a sentence on `err`: the spool is in use, or cannot be extended.
[[nodiscard]] int run_spool_add(const SpoolAddOptions& options, std::FILE* out, std::FILE* err);

}  // namespace app
