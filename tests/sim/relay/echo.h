// Echo: this program once more, in a process of its own, that runs the same seeds: what depends on
// addresses, or on what ran before, shows as another hash.
#pragma once

#include <cstdint>

#include <sys/types.h>

namespace sim::relay {

class Echo {
  public:
    // Starts it. Panics where that fails.
    Echo();
    Echo(const Echo&) = delete;
    Echo& operator=(const Echo&) = delete;
    ~Echo();

    // It begins at once, beside us.
    void ask(std::uint64_t seed);
    // Of the seed last asked for; 0 when it has died of it.
    [[nodiscard]] std::uint64_t answer();

  private:
    pid_t child_ = 0;
    int to_ = -1;
    int from_ = -1;
};

}  // namespace sim::relay
