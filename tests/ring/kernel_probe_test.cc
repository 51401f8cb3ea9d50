// A refusal of io_uring says which switch to turn. The real thing, as far as a process can do it to
// itself: a child with a seccomp filter.
#include "io/uring/kernel_probe.h"

#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/uring/uring_driver.h"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const io::KernelFacts kGood{.major = 6,
                            .minor = 12,
                            .io_uring_disabled = 0,
                            .seccomp = false,
                            .locked_memory_max = 8 << 20,
                            .descriptors_max = 1024};

// From now on `call` fails with `error`, for this process.
bool forbid(int call, int error) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(filter), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// What create() says in a child that `set_up` has been at; "none" when it gives a driver.
std::string refusal_in_child(const std::function<bool()>& set_up) {
    int pipe_ends[2];
    EXPECT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        std::string text = "the child could not be set up";
        if (set_up()) {
            const auto driver = io::UringDriver::create({});
            text = driver ? "none" : driver.error().text();
        }
        const ssize_t written = ::write(pipe_ends[1], text.data(), text.size());
        ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
    }
    ::close(pipe_ends[1]);
    std::string text(2000, '\0');
    std::size_t size = 0;
    ssize_t got = 0;
    while ((got = ::read(pipe_ends[0], text.data() + size, text.size() - size)) > 0) {
        size += static_cast<std::size_t>(got);
    }
    ::close(pipe_ends[0]);
    text.resize(size);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    return text;
}

TEST(KernelProbe, ThisKernelWillDo) {
    const base::Status status = io::probe_kernel();
    EXPECT_TRUE(status.has_value()) << status.error().describe();
    EXPECT_EQ(refusal_in_child([] { return true; }), "none");
}

TEST(KernelProbe, ReadsTheFacts) {
    const io::KernelFacts facts = io::read_kernel_facts();
    EXPECT_GE(facts.major, 6);
    EXPECT_GT(facts.descriptors_max, 0U);
}

TEST(KernelProbe, ASandboxThatForbidsTheSetUp) {
    for (const int error : {EPERM, ENOSYS, EACCES}) {
        EXPECT_THAT(
            refusal_in_child([&] { return forbid(SYS_io_uring_setup, error); }),
            AllOf(HasSubstr("seccomp"), HasSubstr("io_uring_setup"), HasSubstr("--security-opt")))
            << error;
    }
}

TEST(KernelProbe, ASandboxThatForgotACall) {
    EXPECT_THAT(refusal_in_child([] { return forbid(SYS_io_uring_register, EPERM); }),
                AllOf(HasSubstr("io_uring_register is refused"), HasSubstr("seccomp")));
    EXPECT_THAT(refusal_in_child([] { return forbid(SYS_io_uring_enter, EPERM); }),
                AllOf(HasSubstr("io_uring_enter is refused"), HasSubstr("seccomp")));
}

TEST(KernelProbe, NoDescriptorLeft) {
    EXPECT_THAT(refusal_in_child([] {
                    const rlimit none{0, 1024};
                    return ::setrlimit(RLIMIT_NOFILE, &none) == 0;
                }),
                AllOf(HasSubstr("RLIMIT_NOFILE"), HasSubstr("LimitNOFILE")));
}

TEST(KernelProbe, TheSysctl) {
    io::KernelFacts facts = kGood;
    facts.io_uring_disabled = 2;
    EXPECT_THAT(io::explain_setup_failure(EPERM, facts),
                HasSubstr("sysctl kernel.io_uring_disabled=0"));
    facts.io_uring_disabled = 1;
    EXPECT_THAT(io::explain_setup_failure(EPERM, facts), HasSubstr("kernel.io_uring_group"));
    // Both at once: the sysctl is the one that would refuse without the sandbox too.
    facts.seccomp = true;
    EXPECT_THAT(io::explain_setup_failure(EPERM, facts), HasSubstr("kernel.io_uring_group"));
}

TEST(KernelProbe, AnOldKernel) {
    io::KernelFacts facts = kGood;
    facts.major = 5;
    facts.minor = 10;
    for (const int error : {EINVAL, ENOSYS}) {
        EXPECT_THAT(io::explain_setup_failure(error, facts),
                    AllOf(HasSubstr("this kernel is 5.10"), HasSubstr("6.1 or newer")));
    }
    facts.major = 6;
    facts.minor = 0;
    EXPECT_THAT(io::explain_setup_failure(EINVAL, facts), HasSubstr("this kernel is 6.0"));
    facts.minor = 1;
    EXPECT_THAT(io::explain_setup_failure(EINVAL, facts), Not(HasSubstr("this kernel is")));
}

TEST(KernelProbe, TheOtherReasons) {
    EXPECT_THAT(io::explain_setup_failure(ENOSYS, kGood), HasSubstr("CONFIG_IO_URING"));
    EXPECT_THAT(io::explain_setup_failure(EPERM, kGood), HasSubstr("SELinux"));
    EXPECT_THAT(io::explain_setup_failure(ENOMEM, kGood),
                AllOf(HasSubstr("RLIMIT_MEMLOCK"), HasSubstr("8192 KiB")));
    EXPECT_THAT(io::explain_setup_failure(ENFILE, kGood), HasSubstr("fs.file-max"));
    EXPECT_THAT(io::explain_setup_failure(EFAULT, kGood), HasSubstr("Bad address"));
}

}  // namespace
