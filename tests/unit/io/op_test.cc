#include "io/op.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace {

using io::Completion;
using io::Op;
using io::OpCode;

TEST(Op, EveryCodeHasItsName) {
    std::set<std::string> names;
    for (std::size_t i = 0; i < io::kOpCodes; ++i) {
        names.insert(io::name_of(static_cast<OpCode>(i)));
    }
    EXPECT_EQ(names.size(), io::kOpCodes);
}

TEST(Op, IsInFlightUntilTheLastCompletion) {
    static int calls = 0;
    calls = 0;
    Op op([](Op& self, const Completion& completion) {
        ++calls;
        EXPECT_EQ(self.in_flight(), completion.more) << "cleared before the call";
    });
    op.prepare_nop();
    EXPECT_FALSE(op.in_flight());
    op.start();
    EXPECT_TRUE(op.in_flight());
    op.finish({.more = true});
    EXPECT_TRUE(op.in_flight());
    op.finish({});
    EXPECT_FALSE(op.in_flight());
    EXPECT_EQ(calls, 2);
}

// What one prepare_*() set is not seen by the next.
TEST(Op, PreparingForgetsTheLastUse) {
    Op op([](Op&, const Completion&) {});
    std::byte bytes[8] = {};
    op.prepare_read(3, bytes, 4096);
    EXPECT_EQ(op.parameters().size, 8U);
    EXPECT_EQ(op.parameters().offset, 4096U);
    op.prepare_open(io::kNoHandle, "name", {.write = true});
    EXPECT_EQ(op.code(), OpCode::open);
    EXPECT_EQ(op.parameters().handle, io::kNoHandle);
    EXPECT_EQ(op.parameters().offset, 0U);
    EXPECT_TRUE(op.parameters().mode.write);
    op.prepare_sync(3);
    EXPECT_FALSE(op.parameters().mode.write);
}

TEST(OpDeathTest, MisuseIsAPanic) {
    const auto ignore = [](Op&, const Completion&) {};
    EXPECT_DEATH(Op(ignore).start(), "panic: .*none");
    EXPECT_DEATH(
        {
            Op op(ignore);
            op.prepare_nop();
            op.start();
            op.start();
        },
        "panic: .*in_flight");
    EXPECT_DEATH(
        {
            Op op(ignore);
            op.prepare_nop();
            op.start();
            op.prepare_nop();
        },
        "panic: .*in_flight");
    EXPECT_DEATH(
        {
            Op op(ignore);
            op.prepare_nop();
            op.start();
        },
        "panic: .*in_flight");
    EXPECT_DEATH(
        {
            Op op(ignore);
            op.prepare_nop();
            op.finish({});
        },
        "panic: .*in_flight");
    EXPECT_DEATH(Op(ignore).prepare_write_vector(1, nullptr, 0, 0), "panic: .*count");
}

}  // namespace
