// An operation that a test prepares, with its completions and what to do at each.
#pragma once

#include <cstdint>
#include <functional>

#include "base/time.h"
#include "io/driver.h"
#include "io/op.h"

namespace sim {

class TestOp : public io::Op {
  public:
    TestOp() : Op(&finished) {}
    std::function<void(const io::Completion&)> then;
    int completions = 0;
    std::int32_t result = 0;

  private:
    static void finished(io::Op& op, const io::Completion& completion) {
        auto& self = static_cast<TestOp&>(op);
        ++self.completions;
        self.result = completion.result;
        if (self.then) {
            self.then(completion);
        }
    }
};

inline void turn(io::Driver& driver, base::MonoTime deadline = base::kNever) {
    for (const io::Reaped& reaped : driver.wait(deadline)) {
        reaped.op->finish(reaped.completion);
    }
}

// Submits it and takes turns until it is over; gives its last result.
inline std::int32_t run(io::Driver& driver, TestOp& op) {
    driver.submit(op);
    while (op.in_flight()) {
        turn(driver);
    }
    return op.result;
}

}  // namespace sim
