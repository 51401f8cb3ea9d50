// The real world: the kernel, loopback, and a directory beside the test program.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include <sys/resource.h>

#include "io/uring/uring_driver.h"
#include "ring/driver_factory.h"

namespace ring_test {

class UringWorld final : public World {
  public:
    explicit UringWorld(const io::UringOptions& options = {});
    ~UringWorld() override;

    [[nodiscard]] io::Driver& driver(std::size_t index) override;
    void end(std::size_t index) override { drivers_.at(index).reset(); }
    [[nodiscard]] bool threads() const override { return true; }
    [[nodiscard]] std::string directory() override;
    void limit_file_size(std::uint64_t bytes) override;

  private:
    io::UringOptions options_;
    std::array<std::unique_ptr<io::UringDriver>, 2> drivers_;
    std::string directory_;  // "" until it is asked for
    std::optional<rlimit> file_size_before_;
};

[[nodiscard]] DriverFactory uring_factory();

}  // namespace ring_test
