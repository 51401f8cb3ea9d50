// Flags of SQEs that no result shows.
#include "io/uring/prepare.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace {

using io::Op;
using io::SyncKind;

class Prepare : public testing::Test {
  protected:
    const io_uring_sqe& prepared(SyncKind sync = SyncKind::data) {
        sqe_ = {};
        io::prepare(op, sync, sqe_, header);
        return sqe_;
    }
    int open_flags(io::OpenMode mode) {
        op.prepare_open(io::kNoHandle, "name", mode);
        return static_cast<int>(prepared().open_flags);
    }
    Op op{[](Op&, const io::Completion&) {}};
    msghdr header{};

  private:
    io_uring_sqe sqe_{};
};

TEST_F(Prepare, SendsRaiseNoSignal) {
    iovec piece{};
    op.prepare_send(1, {});
    EXPECT_EQ(prepared().msg_flags, static_cast<unsigned>(MSG_NOSIGNAL));
    op.prepare_send_vector(1, &piece, 1);
    EXPECT_EQ(prepared().msg_flags, static_cast<unsigned>(MSG_NOSIGNAL));
    EXPECT_EQ(header.msg_iov, &piece);
    EXPECT_EQ(header.msg_iovlen, 1U);
}

TEST_F(Prepare, OpenModes) {
    EXPECT_EQ(open_flags({}), O_CLOEXEC | O_RDONLY);
    EXPECT_EQ(open_flags({.write = true}), O_CLOEXEC | O_RDWR);
    EXPECT_EQ(open_flags({.write = true, .create = true, .exclusive = true}),
              O_CLOEXEC | O_RDWR | O_CREAT | O_EXCL);
    EXPECT_EQ(open_flags({.write = true, .direct = true, .dsync = true}),
              O_CLOEXEC | O_RDWR | O_DIRECT | O_DSYNC);
    EXPECT_EQ(open_flags({.directory = true}), O_CLOEXEC | O_RDONLY | O_DIRECTORY);
    op.prepare_open(io::kNoHandle, "name", {.create = true, .permissions = 0640});
    EXPECT_EQ(prepared().len, 0640U);
    EXPECT_EQ(prepared().fd, AT_FDCWD);
    op.prepare_open(7, "name", {});
    EXPECT_EQ(prepared().fd, 7);
}

TEST_F(Prepare, SyncKinds) {
    op.prepare_sync(1);
    EXPECT_EQ(prepared(SyncKind::data).fsync_flags, IORING_FSYNC_DATASYNC);
    EXPECT_EQ(prepared(SyncKind::all).fsync_flags, 0U);
}

TEST_F(Prepare, HugeTransfersAreCutToWholeBlocks) {
    // Never read: only the size of the span matters.
    const auto* start = reinterpret_cast<const std::byte*>(4096);
    op.prepare_write(1, {start, std::size_t{1} << 33}, 1ULL << 40);
    EXPECT_EQ(prepared().len, 0x7ffff000U);
    EXPECT_EQ(prepared().off, 1ULL << 40);
}

using PrepareDeathTest = Prepare;

TEST_F(PrepareDeathTest, AnOpThatWasNotPreparedIsAPanic) {
    EXPECT_DEATH(static_cast<void>(prepared()), "panic: .*not prepared");
}

}  // namespace
