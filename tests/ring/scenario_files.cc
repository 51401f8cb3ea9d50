#include <algorithm>
#include <cerrno>

#include "ring/scenario.h"

namespace ring_test {
namespace {

using io::OpCode;

constexpr std::string_view kContent = "the content of a file";

class Open : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        name_ = bench().fresh_name();
        op.prepare_open(bench().directory(), name_.c_str(),
                        {.write = true, .create = true, .exclusive = true});
    }
    void check(RecordedOp& op) override {
        ASSERT_GE(op.result(), 0);
        const io::OwnedHandle file = bench().own(op.result());
        EXPECT_EQ(driver().file_size(file.get()).value_or(1), 0U);
        static_cast<void>(bench().open(name_, {}));
    }
    void run_error() override {
        RecordedOp op;
        op.prepare_open(bench().directory(), "absent", {.write = true});
        EXPECT_EQ(bench().run(op), -ENOENT);
        op.prepare_open(bench().directory(), "absent/below", {.write = true, .create = true});
        EXPECT_EQ(bench().run(op), -ENOENT);
        static_cast<void>(bench().file("present", ""));
        op.prepare_open(bench().directory(), "present",
                        {.write = true, .create = true, .exclusive = true});
        EXPECT_EQ(bench().run(op), -EEXIST);
        op.prepare_open(bench().directory(), "present", {.directory = true});
        EXPECT_EQ(bench().run(op), -ENOTDIR);
    }

  private:
    std::string name_;
};

class Read : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        file_ = bench().file("file", kContent);
        into_.assign(7, std::byte{});
        op.prepare_read(file_.get(), into_, 4);
    }
    void check(RecordedOp& op) override {
        ASSERT_EQ(op.result(), 7);
        EXPECT_EQ(base::as_text(into_), kContent.substr(4, 7));
    }
    // What is left of the file; and at its end, nothing.
    void run_short() override {
        file_ = bench().file("file", kContent);
        into_.assign(100, std::byte{});
        RecordedOp op;
        op.prepare_read(file_.get(), into_, 4);
        ASSERT_EQ(bench().run(op), static_cast<std::int32_t>(kContent.size() - 4));
        EXPECT_EQ(base::as_text(into_).substr(0, kContent.size() - 4), kContent.substr(4));
        op.prepare_read(file_.get(), into_, kContent.size());
        EXPECT_EQ(bench().run(op), 0);
    }
    void run_error() override {
        into_.assign(7, std::byte{});
        RecordedOp op;
        op.prepare_read(bench().directory(), into_, 0);
        EXPECT_EQ(bench().run(op), -EISDIR);
    }

  private:
    io::OwnedHandle file_;
    std::vector<std::byte> into_;
};

// write, and write_vector with the same bytes in two pieces.
class Write : public Scenario {
  public:
    Write(Bench& on, bool vector) : Scenario(on), vector_(vector) {}

    void prepare(RecordedOp& op) override {
        name_ = bench().fresh_name();
        file_ = bench().file(name_, "....");
        prepare_for(op, file_.get(), 4);
    }
    void check(RecordedOp& op) override {
        ASSERT_EQ(op.result(), static_cast<std::int32_t>(bytes_.size()));
        EXPECT_EQ(bench().content(name_), "...." + bytes_);
    }
    void run_short() override {
        name_ = bench().fresh_name();
        file_ = bench().file(name_, "....");
        bench().world().limit_file_size(8192);
        bytes_ = std::string(8192, 'x');
        RecordedOp op;
        prepare_for(op, file_.get(), 4);
        EXPECT_EQ(bench().run(op), 8192 - 4);
        EXPECT_EQ(driver().file_size(file_.get()).value_or(0), 8192U);
    }
    void run_error() override {
        static_cast<void>(bench().file("file", kContent));
        const io::OwnedHandle to_read = bench().open("file", {});
        RecordedOp op;
        prepare_for(op, to_read.get(), 0);
        EXPECT_EQ(bench().run(op), -EBADF);
        EXPECT_EQ(bench().content("file"), kContent);
    }

  private:
    void prepare_for(RecordedOp& op, io::Handle file, std::uint64_t offset) {
        if (!vector_) {
            op.prepare_write(file, base::as_bytes(bytes_), offset);
            return;
        }
        pieces_[0] = {bytes_.data(), 5};
        pieces_[1] = {bytes_.data() + 5, bytes_.size() - 5};
        op.prepare_write_vector(file, pieces_, 2, offset);
    }

    bool vector_;
    std::string name_;
    io::OwnedHandle file_;
    std::string bytes_ = std::string(kContent);
    iovec pieces_[2] = {};
};

class Sync : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        file_ = bench().file("file", kContent);
        op.prepare_sync(file_.get());
    }
    void check(RecordedOp& op) override {
        EXPECT_EQ(op.result(), 0);
        RecordedOp directory;
        directory.prepare_sync(bench().directory());
        EXPECT_EQ(bench().run(directory), 0);
    }
    void run_error() override {
        const io::OwnedHandle socket = bench().socket();
        RecordedOp op;
        op.prepare_sync(socket.get());
        EXPECT_EQ(bench().run(op), -EINVAL) << "a socket has nothing to sync";
    }

  private:
    io::OwnedHandle file_;
};

class Allocate : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        name_ = bench().fresh_name();
        file_ = bench().file(name_, kContent);
        op.prepare_allocate(file_.get(), 0, 65536);
    }
    void check(RecordedOp& op) override {
        EXPECT_EQ(op.result(), 0);
        EXPECT_EQ(driver().file_size(file_.get()).value_or(0), 65536U);
        const std::string content = bench().content(name_);
        EXPECT_EQ(content.substr(0, kContent.size()), kContent);
        EXPECT_EQ(std::ranges::count(content, '\0'), 65536 - std::ptrdiff_t{kContent.size()});
    }
    void run_error() override {
        static_cast<void>(bench().file("file", ""));
        const io::OwnedHandle to_read = bench().open("file", {});
        RecordedOp op;
        op.prepare_allocate(to_read.get(), 0, 4096);
        EXPECT_EQ(bench().run(op), -EBADF);
    }

  private:
    std::string name_;
    io::OwnedHandle file_;
};

class Rename : public Scenario {
  public:
    using Scenario::Scenario;

    // Onto a name that is taken, as a checkpoint is put into place.
    void prepare(RecordedOp& op) override {
        from_ = bench().fresh_name();
        to_ = bench().fresh_name();
        static_cast<void>(bench().file(from_, kContent));
        static_cast<void>(bench().file(to_, "old"));
        op.prepare_rename(bench().directory(), from_.c_str(), to_.c_str());
    }
    void check(RecordedOp& op) override {
        EXPECT_EQ(op.result(), 0);
        EXPECT_EQ(bench().content(to_), kContent);
        RecordedOp open;
        open.prepare_open(bench().directory(), from_.c_str(), {});
        EXPECT_EQ(bench().run(open), -ENOENT);
    }
    void run_error() override {
        RecordedOp op;
        op.prepare_rename(bench().directory(), "absent", "other");
        EXPECT_EQ(bench().run(op), -ENOENT);
    }

  private:
    std::string from_;
    std::string to_;
};

class Unlink : public Scenario {
  public:
    using Scenario::Scenario;

    // An open handle keeps the file.
    void prepare(RecordedOp& op) override {
        name_ = bench().fresh_name();
        file_ = bench().file(name_, kContent);
        op.prepare_unlink(bench().directory(), name_.c_str());
    }
    void check(RecordedOp& op) override {
        EXPECT_EQ(op.result(), 0);
        RecordedOp open;
        open.prepare_open(bench().directory(), name_.c_str(), {});
        EXPECT_EQ(bench().run(open), -ENOENT);
        EXPECT_EQ(driver().file_size(file_.get()).value_or(0), kContent.size());
    }
    void run_error() override {
        RecordedOp op;
        op.prepare_unlink(bench().directory(), "absent");
        EXPECT_EQ(bench().run(op), -ENOENT);
    }

  private:
    std::string name_;
    io::OwnedHandle file_;
};

class MakeDirectory : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        name_ = bench().fresh_name();
        op.prepare_make_directory(bench().directory(), name_.c_str(), 0700);
    }
    void check(RecordedOp& op) override {
        EXPECT_EQ(op.result(), 0);
        const io::OwnedHandle made = bench().open(name_, {.directory = true});
        const base::Result<std::vector<std::string>> names = driver().list_directory(made.get());
        ASSERT_TRUE(names.has_value());
        EXPECT_TRUE(names->empty());
    }
    void run_error() override {
        RecordedOp op;
        prepare(op);
        EXPECT_EQ(bench().run(op), 0);
        EXPECT_EQ(bench().run(op), -EEXIST);
        op.prepare_make_directory(bench().directory(), "absent/below", 0700);
        EXPECT_EQ(bench().run(op), -ENOENT);
    }

  private:
    std::string name_;
};

}  // namespace

std::unique_ptr<Scenario> make_file_scenario(OpCode code, Bench& bench) {
    switch (code) {
        case OpCode::open:
            return std::make_unique<Open>(bench);
        case OpCode::read:
            return std::make_unique<Read>(bench);
        case OpCode::write:
            return std::make_unique<Write>(bench, false);
        case OpCode::write_vector:
            return std::make_unique<Write>(bench, true);
        case OpCode::sync:
            return std::make_unique<Sync>(bench);
        case OpCode::allocate:
            return std::make_unique<Allocate>(bench);
        case OpCode::rename:
            return std::make_unique<Rename>(bench);
        case OpCode::unlink:
            return std::make_unique<Unlink>(bench);
        case OpCode::make_directory:
            return std::make_unique<MakeDirectory>(bench);
        default:
            return nullptr;
    }
}

}  // namespace ring_test
