// The bench on which the conformance cases run, and the two suites that a driver's test program
// instantiates: OpOutcome (every op with every outcome) and Conformance (what takes more than one
// op, and the calls that act at once).
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "io/driver.h"
#include "ring/driver_factory.h"

namespace ring_test {

// An op that keeps what it was told.
class RecordedOp : public io::Op {
  public:
    RecordedOp() : Op(&record) {}

    std::vector<io::Completion> completions;

    [[nodiscard]] std::int32_t result() const {
        return completions.empty() ? -ENODATA : completions.back().result;
    }

  private:
    static void record(io::Op& op, const io::Completion& completion) {
        static_cast<RecordedOp&>(op).completions.push_back(completion);
    }
};

// Two ends of one connection, both with driver 0.
struct Connection {
    io::OwnedHandle client;
    io::OwnedHandle server;
};

// Driver 0 of a world, and the turns that tests need. A failure to come to an end within a minute
// of the driver's clock fails the test.
class Bench {
  public:
    explicit Bench(World& world) : world_(world), driver_(world.driver(0)) {}

    [[nodiscard]] World& world() const { return world_; }
    [[nodiscard]] io::Driver& driver() const { return driver_; }

    // One turn; what completed is finished.
    void turn(base::Duration at_most);
    // Turns until `done`. False, and a test failure, when it does not come.
    bool run_until(const std::function<bool()>& done);
    // Enough turns, without a bound on what one does, for all that can happen by itself.
    void settle();
    // Submits and turns until the op is no longer in flight. The last result.
    std::int32_t run(RecordedOp& op);
    // Cancels an op that may be in flight, and turns until it is not.
    void end(RecordedOp& op);

    [[nodiscard]] io::OwnedHandle own(io::Handle handle) const { return {driver_, handle}; }

    // A listener on a free port of 127.0.0.1, and its address.
    [[nodiscard]] std::pair<io::OwnedHandle, io::SocketAddress> listen();
    [[nodiscard]] io::OwnedHandle socket();
    [[nodiscard]] Connection connect();
    // Sends all of it, in as many pieces as it takes.
    void send(io::Handle socket, std::string_view bytes);
    // Receives until `size` bytes are there, or the end of the stream, or an error.
    [[nodiscard]] std::string receive(io::Handle socket, std::size_t size);

    // The world's directory.
    [[nodiscard]] io::Handle directory();
    // Below the world's directory; none, with a test failure, when it does not open.
    [[nodiscard]] io::OwnedHandle open(const std::string& name, io::OpenMode mode);
    // A new file with this content, open for writing too.
    [[nodiscard]] io::OwnedHandle file(const std::string& name, std::string_view content);
    [[nodiscard]] std::string content(const std::string& name);
    // Name by name different.
    [[nodiscard]] std::string fresh_name() { return "name" + std::to_string(++names_); }

  private:
    World& world_;
    io::Driver& driver_;
    io::OwnedHandle directory_;
    int names_ = 0;
};

enum class Outcome { success, short_, error, cancelled_before, cancelled_after };

[[nodiscard]] const char* name_of(Outcome outcome);

struct OpCase {
    io::OpCode code;
    Outcome outcome;

    friend std::ostream& operator<<(std::ostream& out, const OpCase& op_case) {
        return out << io::name_of(op_case.code) << ", " << name_of(op_case.outcome);
    }
};
// Every combination that can exist; the table in op_cases.cc has a reason for each other.
[[nodiscard]] std::vector<OpCase> op_cases();

class WorldTest {
  protected:
    explicit WorldTest(const DriverFactory& factory)
        : world_(factory.create()), bench_(std::make_unique<Bench>(*world_)) {}
    ~WorldTest() {
        bench_.reset();
        world_->end(0);
    }
    [[nodiscard]] Bench& bench() { return *bench_; }
    [[nodiscard]] World& world() { return *world_; }

  private:
    std::unique_ptr<World> world_;
    std::unique_ptr<Bench> bench_;
};

class OpOutcome : public testing::TestWithParam<std::tuple<DriverFactory, OpCase>>,
                  protected WorldTest {
  protected:
    OpOutcome() : WorldTest(std::get<0>(GetParam())) {}
};

class Conformance : public testing::TestWithParam<DriverFactory>, protected WorldTest {
  protected:
    Conformance() : WorldTest(GetParam()) {}
};

// For the last argument of INSTANTIATE_TEST_SUITE_P.
[[nodiscard]] std::string case_name(const testing::TestParamInfo<OpOutcome::ParamType>& info);
[[nodiscard]] std::string factory_name(const testing::TestParamInfo<DriverFactory>& info);

}  // namespace ring_test
