// What the kernel and the limits of this process allow, looked at before the first ring is made, so
// that a refusal names the switch that has to be turned.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace io {

struct KernelFacts {
    int major = 0;  // version of the running kernel
    int minor = 0;
    std::optional<int> io_uring_disabled;  // the sysctl of that name, where the kernel has it
    bool seccomp = false;                  // a filter on system calls is on this process
    std::uint64_t locked_memory_max = 0;   // bytes, RLIMIT_MEMLOCK
    std::uint64_t descriptors_max = 0;     // RLIMIT_NOFILE
};
[[nodiscard]] KernelFacts read_kernel_facts();

// One sentence for a person: why io_uring_setup(2) failed with `error`, and what to do about it.
[[nodiscard]] std::string explain_setup_failure(int error, const KernelFacts& facts);

// Makes a small ring, asks which operations there are, and sends one through. Fails with a sentence
// for a person.
[[nodiscard]] base::Status probe_kernel();

}  // namespace io
