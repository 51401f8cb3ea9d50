// StopSignals: SIGINT and SIGTERM, as the main thread waits for them.
//
// Made by the main thread before it starts any other, since threads inherit the mask.
//
// SignalsBlocked: for who starts a thread that no signal is to reach.
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

// While it lives, threads that this one starts block every signal: those are for the main thread.
class SignalsBlocked {
  public:
    SignalsBlocked();
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked();

  private:
    sigset_t before_{};
};

}  // namespace app
