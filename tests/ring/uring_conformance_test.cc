// The conformance cases over the production driver.
#include "ring/conformance.h"
#include "ring/uring_world.h"

namespace ring_test {

INSTANTIATE_TEST_SUITE_P(Uring, OpOutcome,
                         testing::Combine(testing::Values(uring_factory()),
                                          testing::ValuesIn(op_cases())),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Uring, Conformance, testing::Values(uring_factory()), factory_name);

}  // namespace ring_test
