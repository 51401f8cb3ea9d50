// Every op with every outcome: the cases are generated from the table of what cannot be.
#include <cerrno>
#include <cstdio>
#include <iterator>

#include "ring/conformance.h"
#include "ring/scenario.h"

namespace ring_test {
namespace {

using io::OpCode;

// For each op, in the order of OpCode: nullptr, or why the outcome cannot be.
struct Row {
    OpCode code;
    const char* no_short = nullptr;
    const char* no_error = nullptr;
};
constexpr const char* kNoSize = "it has no size";
constexpr Row kRows[] = {
    {OpCode::nop, kNoSize, "nothing can go wrong"},
    {OpCode::accept_multishot, kNoSize},
    {OpCode::connect, kNoSize},
    {OpCode::receive},
    {OpCode::receive_multishot},
    {OpCode::send},
    {OpCode::send_vector},
    {OpCode::poll, kNoSize, "an error of the handle is an event, POLLERR"},
    {OpCode::shutdown, kNoSize},
    {OpCode::open, kNoSize},
    {OpCode::read},
    {OpCode::write},
    {OpCode::write_vector},
    {OpCode::sync, kNoSize},
    {OpCode::allocate, "it reserves all or fails"},
    {OpCode::rename, kNoSize},
    {OpCode::unlink, kNoSize},
    {OpCode::make_directory, kNoSize},
};
constexpr bool every_op_has_its_row() {
    // OpCode::none is none.
    if (std::size(kRows) != io::kOpCodes - 1) return false;
    for (std::size_t i = 0; i < std::size(kRows); ++i) {
        if (static_cast<std::size_t>(kRows[i].code) != i + 1) return false;
    }
    return true;
}
static_assert(every_op_has_its_row(), "a new op needs its row here, and a scenario");

void expect_one_completion(const RecordedOp& op) {
    EXPECT_FALSE(op.in_flight());
    ASSERT_EQ(op.completions.size(), 1U);
    EXPECT_FALSE(op.completions.front().more);
}

void use_again(Bench& bench, Scenario& scenario, RecordedOp& op) {
    op.completions.clear();
    scenario.prepare(op);
    bench.driver().submit(op);
    bench.run_until([&] { return !op.completions.empty(); });
    scenario.check(op);
    bench.end(op);
}

void run_success(Bench& bench, Scenario& scenario) {
    RecordedOp op;
    scenario.prepare(op);
    bench.driver().submit(op);
    EXPECT_TRUE(op.in_flight());
    EXPECT_TRUE(op.completions.empty()) << "an op completes later, never inside submit()";
    bench.run_until([&] { return !op.completions.empty(); });
    scenario.check(op);
    bench.end(op);
    use_again(bench, scenario, op);
}

// The driver has not begun with it yet. False: what it waited for came after all.
bool cancel_before(Bench& bench, Scenario& scenario, RecordedOp& op) {
    op.completions.clear();
    const bool waits = scenario.prepare_waiting(op);
    if (!waits) {
        scenario.prepare(op);
    }
    bench.driver().submit(op);
    bench.driver().cancel(op);
    bench.driver().cancel(op);  // a second time changes nothing
    EXPECT_TRUE(op.in_flight()) << "a cancelled op completes, and not inside cancel()";
    EXPECT_TRUE(op.completions.empty());
    bench.run_until([&] { return !op.in_flight(); });
    expect_one_completion(op);
    if (waits) {
        return op.result() == -ECANCELED;
    }
    if (op.result() != -ECANCELED) {
        scenario.check(op);
    }
    return true;
}

// It waits, out there. False: what it waited for came after all.
bool cancel_waiting(Bench& bench, RecordedOp& op) {
    bench.driver().submit(op);
    bench.settle();
    const bool waited = op.in_flight();
    EXPECT_EQ(waited, op.completions.empty());
    bench.driver().cancel(op);
    bench.run_until([&] { return !op.in_flight(); });
    expect_one_completion(op);
    return waited && op.result() == -ECANCELED;
}

// As often as the scenario needs.
void try_until_cancelled(const Scenario& scenario, const std::function<bool()>& attempt) {
    int attempts = scenario.waiting_is_certain() ? 1 : 100;
    while (!attempt()) {
        ASSERT_GT(--attempts, 0) << "it does not wait, or the cancel does not reach it";
    }
}

void run_cancelled_before(Bench& bench, Scenario& scenario) {
    RecordedOp op;
    try_until_cancelled(scenario, [&] { return cancel_before(bench, scenario, op); });
    use_again(bench, scenario, op);
}

// It never waits; so it has completed, but its owner does not know yet, cancels it, and uses it
// again at once. The late cancel must not hit the second use.
void run_cancelled_unfinished(Bench& bench, Scenario& scenario, RecordedOp& op) {
    scenario.prepare(op);
    bench.driver().submit(op);
    while (op.in_flight()) {
        const base::MonoTime deadline = bench.driver().now() + std::chrono::minutes(1);
        for (const io::Reaped& reaped : bench.world().turn(0, deadline)) {
            ASSERT_EQ(reaped.op, &op);
            bench.driver().cancel(op);
            op.finish(reaped.completion);
        }
        ASSERT_LT(bench.driver().now(), deadline);
    }
    expect_one_completion(op);
    scenario.check(op);
    bench.driver().cancel(op);  // nothing: it is not in flight
    use_again(bench, scenario, op);
}

void run_cancelled_after(Bench& bench, Scenario& scenario) {
    RecordedOp op;
    if (!scenario.prepare_waiting(op)) {
        return run_cancelled_unfinished(bench, scenario, op);
    }
    try_until_cancelled(scenario, [&] {
        op.completions.clear();
        scenario.prepare_waiting(op);
        return cancel_waiting(bench, op);
    });
    use_again(bench, scenario, op);
}

class Nop : public Scenario {
  public:
    using Scenario::Scenario;
    void prepare(RecordedOp& op) override { op.prepare_nop(); }
    void check(RecordedOp& op) override { EXPECT_EQ(op.result(), 0); }
};

TEST_P(OpOutcome, IsAsTheSeamSays) {
    const OpCase& op_case = std::get<1>(GetParam());
    const std::unique_ptr<Scenario> scenario = make_scenario(op_case.code, bench());
    ASSERT_NE(scenario, nullptr);
    switch (op_case.outcome) {
        case Outcome::success:
            return run_success(bench(), *scenario);
        case Outcome::short_:
            return scenario->run_short();
        case Outcome::error:
            return scenario->run_error();
        case Outcome::cancelled_before:
            return run_cancelled_before(bench(), *scenario);
        case Outcome::cancelled_after:
            return run_cancelled_after(bench(), *scenario);
    }
}

TEST(OpOutcomes, WhatCannotBe) {
    for (const Row& row : kRows) {
        if (row.no_short != nullptr) {
            std::printf("%s, short: %s\n", io::name_of(row.code), row.no_short);
        }
        if (row.no_error != nullptr) {
            std::printf("%s, error: %s\n", io::name_of(row.code), row.no_error);
        }
    }
}

}  // namespace

std::unique_ptr<Scenario> make_scenario(OpCode code, Bench& bench) {
    if (code == OpCode::nop) {
        return std::make_unique<Nop>(bench);
    }
    std::unique_ptr<Scenario> scenario = make_socket_scenario(code, bench);
    return scenario ? std::move(scenario) : make_file_scenario(code, bench);
}

std::vector<OpCase> op_cases() {
    std::vector<OpCase> cases;
    for (const Row& row : kRows) {
        cases.push_back({row.code, Outcome::success});
        if (row.no_short == nullptr) cases.push_back({row.code, Outcome::short_});
        if (row.no_error == nullptr) cases.push_back({row.code, Outcome::error});
        cases.push_back({row.code, Outcome::cancelled_before});
        cases.push_back({row.code, Outcome::cancelled_after});
    }
    return cases;
}

}  // namespace ring_test
