#include "store/witness.h"

#include <cerrno>

#include "store/format.h"
#include "store/spool.h"

namespace store {
namespace {

std::unexpected<base::Error> failed(const char* what, std::int32_t result,
                                    const std::string& path) {
    return base::fail(-result, std::string("cannot ") + what + " " + path + ": " +
                                   base::Error(-result).describe() + advice_for(-result));
}

}  // namespace

rt::Task<base::Result<bool>> has_witness(rt::Shard& shard, rt::AwaitableOp& op, std::string spool,
                                         std::uint32_t partition) {
    const std::string path = spool + "/" + format::witness_name(partition);
    op.prepare_open(io::kNoHandle, path.c_str(), io::OpenMode());
    const std::int32_t opened = co_await op.submit(shard);
    if (opened >= 0) {
        shard.driver().close(opened);
        co_return true;
    }
    if (opened != -ENOENT) {
        co_return failed("open", opened, path);
    }
    co_return false;
}

rt::Task<base::Status> make_witness(rt::Shard& shard, rt::AwaitableOp& op, std::string spool,
                                    std::uint32_t partition) {
    const std::string path = spool + "/" + format::witness_name(partition);
    io::OpenMode mode;
    mode.directory = true;
    op.prepare_open(io::kNoHandle, spool.c_str(), mode);
    const std::int32_t folder = co_await op.submit(shard);
    if (folder < 0) {
        co_return failed("open", folder, spool);
    }
    const io::OwnedHandle owned(shard.driver(), folder);
    mode.directory = false;
    mode.write = true;
    mode.create = true;
    op.prepare_open(io::kNoHandle, path.c_str(), mode);
    const std::int32_t opened = co_await op.submit(shard);
    if (opened < 0) {
        co_return failed("make", opened, path);
    }
    shard.driver().close(opened);
    op.prepare_sync(folder);
    const std::int32_t synced = co_await op.submit(shard);
    if (synced < 0) {
        co_return failed("sync", synced, spool);
    }
    co_return base::Status();
}

}  // namespace store
