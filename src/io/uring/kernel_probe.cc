#include "io/uring/kernel_probe.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include <liburing.h>
#include <sys/resource.h>
#include <sys/utsname.h>

namespace io {
namespace {

constexpr int kFloorMajor = 6;
constexpr int kFloorMinor = 1;

bool below_floor(const KernelFacts& facts) {
    return facts.major < kFloorMajor || (facts.major == kFloorMajor && facts.minor < kFloorMinor);
}

std::string version_of(const KernelFacts& facts) {
    return std::to_string(facts.major) + "." + std::to_string(facts.minor);
}

std::string too_old(const KernelFacts& facts) {
    return "this kernel is " + version_of(facts) +
           ", and ringpost needs Linux 6.1 or newer: boot a newer kernel";
}

std::uint64_t soft_limit(int resource) {
    rlimit limit{};
    return ::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0 ? limit.rlim_cur
                                                                                : 0;
}

struct NeededOp {
    int code;
    const char* name;
};
constexpr NeededOp kNeededOps[] = {
    {IORING_OP_NOP, "NOP"},
    {IORING_OP_ACCEPT, "ACCEPT"},
    {IORING_OP_CONNECT, "CONNECT"},
    {IORING_OP_RECV, "RECV"},
    {IORING_OP_SEND, "SEND"},
    {IORING_OP_SENDMSG, "SENDMSG"},
    {IORING_OP_POLL_ADD, "POLL_ADD"},
    {IORING_OP_SHUTDOWN, "SHUTDOWN"},
    {IORING_OP_OPENAT, "OPENAT"},
    {IORING_OP_CLOSE, "CLOSE"},
    {IORING_OP_READ, "READ"},
    {IORING_OP_WRITE, "WRITE"},
    {IORING_OP_WRITEV, "WRITEV"},
    {IORING_OP_FSYNC, "FSYNC"},
    {IORING_OP_FALLOCATE, "FALLOCATE"},
    {IORING_OP_RENAMEAT, "RENAMEAT"},
    {IORING_OP_UNLINKAT, "UNLINKAT"},
    {IORING_OP_MKDIRAT, "MKDIRAT"},
    {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
    {IORING_OP_MSG_RING, "MSG_RING"},
    // Came with 6.0 and 6.1, as multishot receive, SINGLE_ISSUER and DEFER_TASKRUN did, which have
    // no sign of their own: a kernel with these has those.
    {IORING_OP_SEND_ZC, "SEND_ZC"},
    {IORING_OP_SENDMSG_ZC, "SENDMSG_ZC"},
};

constexpr unsigned kNeededFeatures =
    IORING_FEAT_NODROP |         // no completion is lost while there is memory
    IORING_FEAT_SUBMIT_STABLE |  // a msghdr may go once its SQE was taken
    IORING_FEAT_FAST_POLL |      // sockets wait by poll, not by a blocked thread
    IORING_FEAT_EXT_ARG |        // a timeout on enter
    IORING_FEAT_CQE_SKIP;        // closes and doorbells complete silently

base::Status check(io_uring& ring, const KernelFacts& facts) {
    if ((ring.features & kNeededFeatures) != kNeededFeatures) {
        return base::fail(EOPNOTSUPP,
                          "io_uring here lacks features of Linux 6.1; " + too_old(facts));
    }
    const std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(
        io_uring_get_probe_ring(&ring), io_uring_free_probe);
    if (!probe) {
        return base::fail(EPERM,
                          "io_uring_register is refused; a seccomp profile that allows "
                          "io_uring must allow io_uring_setup, io_uring_enter and "
                          "io_uring_register");
    }
    for (const NeededOp& op : kNeededOps) {
        if (io_uring_opcode_supported(probe.get(), op.code) == 0) {
            return base::fail(EOPNOTSUPP, std::string("io_uring here lacks the operation ") +
                                              op.name + "; " + too_old(facts));
        }
    }
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    const int error = -io_uring_submit_and_wait(&ring, 1);
    if (error > 0 && error != EINTR) {
        return base::fail(error, std::string("io_uring_enter is refused (") + std::strerror(error) +
                                     "); a seccomp profile that allows io_uring must allow "
                                     "io_uring_setup, io_uring_enter and io_uring_register");
    }
    return {};
}

}  // namespace

KernelFacts read_kernel_facts() {
    KernelFacts facts;
    utsname name{};
    if (::uname(&name) == 0) {
        static_cast<void>(std::sscanf(name.release, "%d.%d", &facts.major, &facts.minor));
    }
    if (int value = 0; std::ifstream("/proc/sys/kernel/io_uring_disabled") >> value) {
        facts.io_uring_disabled = value;
    }
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("Seccomp:")) {
            facts.seccomp = line.find('2') != std::string::npos;
        }
    }
    facts.locked_memory_max = soft_limit(RLIMIT_MEMLOCK);
    facts.descriptors_max = soft_limit(RLIMIT_NOFILE);
    return facts;
}

std::string explain_setup_failure(int error, const KernelFacts& facts) {
    const bool sandboxed = facts.seccomp && (error == EPERM || error == ENOSYS || error == EACCES);
    if (facts.io_uring_disabled == 2 && error == EPERM) {
        return "io_uring is switched off on this machine (kernel.io_uring_disabled = 2): set it to "
               "0 with `sysctl kernel.io_uring_disabled=0`";
    }
    if (facts.io_uring_disabled == 1 && error == EPERM) {
        return "io_uring is kept for one group of users on this machine "
               "(kernel.io_uring_disabled = 1): run ringpost in the group that "
               "kernel.io_uring_group names, or set kernel.io_uring_disabled to 0";
    }
    if (sandboxed) {
        return std::string("io_uring is refused by this sandbox's seccomp filter (") +
               std::strerror(error) +
               "): allow io_uring_setup, io_uring_enter and io_uring_register, for a container "
               "with a profile of its own (`--security-opt seccomp=FILE`), for a systemd service "
               "in SystemCallFilter";
    }
    switch (error) {
        case ENOSYS:
            return below_floor(facts)
                       ? too_old(facts)
                       : "this kernel was built without io_uring: use one with CONFIG_IO_URING=y";
        case EINVAL:
            return below_floor(facts)
                       ? too_old(facts)
                       : "the kernel refuses the ring's set-up flags although it "
                         "calls itself " +
                             version_of(facts) + ": is this a real Linux kernel, 6.1 or newer?";
        case EPERM:
        case EACCES:
            return "a security policy of this machine refuses io_uring: look for the denial in the "
                   "kernel's log (SELinux, AppArmor) and allow io_uring for ringpost";
        case ENOMEM:
            return "there is no memory for the ring: raise the limit of locked memory "
                   "(RLIMIT_MEMLOCK, now " +
                   std::to_string(facts.locked_memory_max / 1024) +
                   " KiB; LimitMEMLOCK in a systemd service) or free memory";
        case EMFILE:
            return "no file descriptor is left for the ring: raise the limit of open files "
                   "(RLIMIT_NOFILE, now " +
                   std::to_string(facts.descriptors_max) + "; LimitNOFILE in a systemd service)";
        case ENFILE:
            return "no file descriptor is left on this machine: raise fs.file-max";
        default:
            return std::string("io_uring_setup failed: ") + std::strerror(error);
    }
}

base::Status probe_kernel() {
    const KernelFacts facts = read_kernel_facts();
    io_uring ring{};
    const int error =
        -io_uring_queue_init(4, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (error > 0) {
        return base::fail(error, explain_setup_failure(error, facts));
    }
    base::Status status = check(ring, facts);
    io_uring_queue_exit(&ring);
    return status;
}

}  // namespace io
