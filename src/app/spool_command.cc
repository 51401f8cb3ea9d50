#include "app/spool_command.h"

#include <functional>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "app/clean_text.h"
#include "app/descriptors.h"
#include "app/spool_dump.h"
#include "app/spool_place.h"
#include "app/spool_report.h"
#include "io/uring/uring_driver.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "store/format.h"
#include "store/spool.h"
#include "store/spool_check.h"

namespace app {
namespace {

int complain(std::FILE* err, const std::string& text, int code) {
    std::string line = "ringpost: ";
    append_clean(line, text, CleanStyle::plain);
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), err);
    return code;
}

// Runs one task to its end, on this thread.
class OwnShard {
  public:
    [[nodiscard]] static base::Result<std::unique_ptr<OwnShard>> create() {
        auto driver = io::UringDriver::create({});
        if (!driver) {
            return std::unexpected(driver.error());
        }
        return std::make_unique<OwnShard>(std::move(*driver));
    }
    explicit OwnShard(std::unique_ptr<io::UringDriver> driver)
        : driver_(std::move(driver)), shard_(0, *driver_) {}

    [[nodiscard]] rt::Shard& shard() { return shard_; }
    void run(rt::Task<void> task) {
        rt::Scope scope(shard_, "spool");
        scope.spawn(std::move(task));
        while (scope.size() > 0) {
            shard_.turn();
        }
    }

  private:
    std::unique_ptr<io::UringDriver> driver_;
    rt::Shard shard_;
};

rt::Task<void> check(rt::Shard& shard, store::SpoolCheckOptions options,
                     store::SpoolVisitor& visitor, base::Status& status) {
    status = co_await store::check_spool(shard, std::move(options), visitor);
}

base::Status run_check(store::SpoolCheckOptions options, store::SpoolVisitor& visitor) {
    raise_descriptor_limit();  // one per segment of a partition
    auto own = OwnShard::create();
    if (!own) {
        return std::unexpected(own.error());
    }
    options.in_use = spool_is_locked(options.spool);
    if (options.in_use) {
        store::Finding note;
        note.severity = store::Finding::Severity::note;
        note.what =
            "the spool is in use by a running process: what is told is its state of this moment, "
            "and a batch that is being written now may look torn";
        visitor.finding(note);
    }
    base::Status status;
    const std::string path = options.spool;
    const bool in_use = options.in_use;
    (*own)->run(check((*own)->shard(), std::move(options), visitor, status));
    if (!in_use && spool_is_locked(path)) {
        store::Finding note;
        note.severity = store::Finding::Severity::note;
        note.what =
            "a process has begun to use the spool meanwhile: what was told of may have gone since; "
            "look again";
        visitor.finding(note);
    }
    return status;
}

bool written(std::FILE* out) {
    return std::fflush(out) == 0 && std::ferror(out) == 0;
}

// While it lives no server starts on the spool.
class HeldLock {
  public:
    explicit HeldLock(const std::string& spool)
        : file_(::open((spool + "/" + store::format::partition_name(0) + "/lock").c_str(),
                       O_RDONLY | O_CLOEXEC)) {
        held_ = file_ < 0 || ::flock(file_, LOCK_EX | LOCK_NB) == 0;
    }
    HeldLock(const HeldLock&) = delete;
    HeldLock& operator=(const HeldLock&) = delete;
    ~HeldLock() {
        if (file_ >= 0) {
            ::close(file_);
        }
    }
    // True as well where no server has ever run.
    [[nodiscard]] bool held() const { return held_; }

  private:
    int file_;
    bool held_ = false;
};

struct Addition {
    std::uint32_t before = 0;
    base::Status status{};
};

rt::Task<void> add(rt::Shard& shard, std::string path, std::uint32_t count, Addition& addition) {
    store::IdentityDamage damage;
    const base::Result<store::format::Identity> identity =
        co_await store::read_spool(shard, path, damage);
    if (!identity.has_value()) {
        addition.status = std::unexpected(identity.error());
        co_return;
    }
    if (!damage.identity.empty()) {
        addition.status = base::fail(
            EUCLEAN, path +
                         "/identity is damaged or missing; put it back from a copy of the "
                         "spool, or start once with `ringpost serve --salvage` to take "
                         "identity.copy, which is whole; then add partitions");
        co_return;
    }
    addition.before = identity->partitions;
    if (count > mail::QueueId::kPartitionsMax - identity->partitions) {
        addition.status = base::fail(EINVAL, "a spool has at most " +
                                                 std::to_string(mail::QueueId::kPartitionsMax) +
                                                 " partitions, and this one has " +
                                                 std::to_string(identity->partitions) + " already");
        co_return;
    }
    const base::Result<store::SpoolIdentity> opened =
        co_await store::open_spool(shard, path, identity->partitions + count);
    if (!opened.has_value()) {
        addition.status = std::unexpected(opened.error());
    }
}

}  // namespace

int run_spool_verify(const SpoolVerifyOptions& options, std::FILE* out, std::FILE* err) {
    SpoolReport report(out, options.json);
    store::SpoolCheckOptions check;
    check.spool = options.path;
    if (const base::Status status = run_check(std::move(check), report); !status) {
        std::fflush(out);
        return complain(err, status.error().describe(), kSpoolUnreadable);
    }
    report.summary(options.path);
    if (!written(out)) {
        return complain(err, "cannot write the report", kSpoolUnreadable);
    }
    return report.errors() == 0 ? 0 : kSpoolDamaged;
}

int run_spool_dump(const SpoolDumpOptions& options, std::FILE* out, std::FILE* err) {
    SpoolDump::Choice choice;
    choice.content = options.content;
    if (!options.message.empty()) {
        choice.message = mail::QueueId::parse(options.message);
    }
    if (!options.segment.empty()) {
        choice.segment = std::stoull(options.segment, nullptr, 16);
    }
    SpoolDump dump(out, err, options.json, choice);
    store::SpoolCheckOptions check;
    check.spool = options.path;
    check.partition = options.partition;
    if (choice.message && !check.partition) {
        check.partition = choice.message->partition();
    }
    check.check_messages = false;
    if (const base::Status status = run_check(std::move(check), dump); !status) {
        std::fflush(out);
        return complain(err, status.error().describe(), kSpoolUnreadable);
    }
    if (!written(out)) {
        return complain(err, "cannot write the dump", kSpoolUnreadable);
    }
    const std::string where =
        options.path +
        (check.partition ? "/" + store::format::partition_name(*check.partition) : "");
    if (!dump.found_segment()) {
        return complain(err,
                        "no segment " + store::format::segment_name(*choice.segment) +
                            " is in the spool " + where,
                        kSpoolDamaged);
    }
    if (!dump.found_message()) {
        return complain(err,
                        std::string(options.content ? "no commit record" : "no record") +
                            " of the message " + std::string(mail::view(choice.message->text())) +
                            " is in the spool " + where,
                        kSpoolDamaged);
    }
    return dump.errors() == 0 ? 0 : kSpoolDamaged;
}

int run_spool_add(const SpoolAddOptions& options, std::FILE* out, std::FILE* err) {
    auto own = OwnShard::create();
    if (!own) {
        return complain(err, own.error().describe(), 1);
    }
    const HeldLock lock(options.path);
    if (!lock.held()) {
        return complain(err,
                        "the spool " + options.path +
                            " is in use by a running process; stop that, then add partitions",
                        1);
    }
    Addition addition;
    (*own)->run(add((*own)->shard(), options.path, options.count, addition));
    if (!addition.status) {
        return complain(err, addition.status.error().describe(), 1);
    }
    std::fprintf(out, "the spool had %u partitions and has %u\n", addition.before,
                 addition.before + options.count);
    return written(out) ? 0 : 1;
}

}  // namespace app
