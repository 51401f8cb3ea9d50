// A scenario for each op: the smallest surroundings in which it can end in each way.
#pragma once

#include <memory>

#include "ring/conformance.h"

namespace ring_test {

class Scenario {
  public:
    explicit Scenario(Bench& bench) : bench_(bench) {}
    Scenario(const Scenario&) = delete;
    Scenario& operator=(const Scenario&) = delete;
    virtual ~Scenario() = default;

    // Prepares `op` so that it succeeds, with nothing left to happen before. Also for a second
    // time, when the first one is over.
    virtual void prepare(RecordedOp& op) = 0;
    // Of the last prepare(): the results are right, and the effect is there.
    virtual void check(RecordedOp& op) = 0;
    // Prepares `op` so that it waits for something that does not happen. False: it never waits.
    virtual bool prepare_waiting(RecordedOp&) { return false; }
    // Now and then the something happens all the same; the case is tried again then.
    [[nodiscard]] virtual bool waiting_is_certain() const { return true; }
    // The short and the failed outcome, from beginning to end. For those that the table allows.
    virtual void run_short() { FAIL() << "no scenario for the short outcome"; }
    virtual void run_error() { FAIL() << "no scenario for the error outcome"; }

  protected:
    [[nodiscard]] Bench& bench() const { return bench_; }
    [[nodiscard]] io::Driver& driver() const { return bench_.driver(); }

  private:
    Bench& bench_;
};

[[nodiscard]] std::unique_ptr<Scenario> make_scenario(io::OpCode code, Bench& bench);
// Of these two makers each makes the ones of its file, and nullptr for the others.
[[nodiscard]] std::unique_ptr<Scenario> make_socket_scenario(io::OpCode code, Bench& bench);
[[nodiscard]] std::unique_ptr<Scenario> make_file_scenario(io::OpCode code, Bench& bench);

}  // namespace ring_test
