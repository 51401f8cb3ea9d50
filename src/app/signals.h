// StopSignals: SIGINT and SIGTERM, as the main thread waits for them.
//
// Made by the main thread before it starts any other, since threads inherit the mask.
#pragma once

#include <chrono>

#include <csignal>

namespace app {

class StopSignals {
  public:
    // Blocks both for this thread and all that it starts; ignores SIGPIPE, so that a peer that is
    // gone is a result of a call and no death.
    StopSignals();

    // Until one comes; gives its number.
    int wait();
    // The same for at most `time`; 0 when none came.
    int wait_for(std::chrono::milliseconds time);
    // From now on a further one ends the process at once, for a stop that takes too long.
    void unblock();

  private:
    sigset_t set_;
};

}  // namespace app
