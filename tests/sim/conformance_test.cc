// The cases of tests/ring over SimDriver, so that the simulator and the kernel agree.
#include "ring/conformance.h"
#include "sim/host.h"
#include "sim/sim_driver.h"
#include "sim/world.h"

namespace {

class SimWorld : public ring_test::World {
  public:
    explicit SimWorld(std::uint64_t seed) : world_(seed), host_(world_.add_host("host")) {
        host_.disk().put_directory("/work");
        drivers_[0] = &host_.add_driver();
        drivers_[1] = &host_.add_driver();
    }
    io::Driver& driver(std::size_t index) override { return *drivers_.at(index); }
    void end(std::size_t index) override { RP_ASSERT(drivers_.at(index)->in_flight() == 0); }
    [[nodiscard]] bool threads() const override { return false; }
    std::string directory() override { return "/work"; }
    void limit_file_size(std::uint64_t bytes) override { host_.disk().set_file_bytes_max(bytes); }

  private:
    sim::World world_;
    sim::Host& host_;
    std::array<sim::SimDriver*, 2> drivers_{};
};

template <std::uint64_t kSeed>
std::unique_ptr<ring_test::World> make_world() {
    return std::make_unique<SimWorld>(kSeed);
}

// Whether a cancel wins is chance, so more than one seed.
const auto kWorlds = testing::Values(ring_test::DriverFactory{"sim1", make_world<1>},
                                     ring_test::DriverFactory{"sim2", make_world<2>});

}  // namespace

namespace ring_test {

INSTANTIATE_TEST_SUITE_P(Sim, OpOutcome, testing::Combine(kWorlds, testing::ValuesIn(op_cases())),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Sim, Conformance, kWorlds, factory_name);

}  // namespace ring_test
