// What a driver brings so that the conformance cases of this folder can run over it.
//
// A test program links the cases and says which worlds they run in:
//
//     // CMakeLists.txt: ringpost_test(DEPS sim ring_cases io base)
//     INSTANTIATE_TEST_SUITE_P(Sim, Conformance, testing::Values(DriverFactory{"sim", make_world}),
//                              ring_test::factory_name);
//
// (once per suite that ring/conformance.h declares). Every case gets a world of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string>

#include "base/time.h"
#include "io/driver.h"

namespace ring_test {

// Two drivers and what they share: a network in which 127.0.0.1 reaches the other driver, and one
// file system. Without faults: latency and segmentation are allowed, resets and EIO are not.
class World {
  public:
    World() = default;
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    virtual ~World() = default;

    // The driver of shard `index`, 0 or 1; made at the first call. Where a world has threads
    // (`threads()`), the calling thread is its shard's from then on, and end() comes from there.
    [[nodiscard]] virtual io::Driver& driver(std::size_t index) = 0;
    // Destroys that driver. REQUIRES: what holds of ~Driver.
    virtual void end(std::size_t index) = 0;

    // One turn of that driver: Driver::wait(), with the world moved on so far that what is due by
    // `deadline` can happen. Comes back early when something completed or the doorbell rang.
    [[nodiscard]] virtual std::span<const io::Reaped> turn(std::size_t index,
                                                           base::MonoTime deadline) {
        return driver(index).wait(deadline);
    }

    // True: each driver is to run on a thread of its own, and wake() is called from a third one.
    // False: all of it happens on one thread.
    [[nodiscard]] virtual bool threads() const = 0;

    // The absolute path of an empty directory that both drivers can use; it goes with the world.
    [[nodiscard]] virtual std::string directory() = 0;

    // From now on a write that crosses offset `bytes` of any file is cut there (a short write), and
    // one that starts there or later fails with EFBIG or ENOSPC; until the world ends.
    virtual void limit_file_size(std::uint64_t bytes) = 0;
};

struct DriverFactory {
    const char* name;
    std::unique_ptr<World> (*create)();

    friend std::ostream& operator<<(std::ostream& out, const DriverFactory& factory) {
        return out << factory.name;
    }
};

}  // namespace ring_test
