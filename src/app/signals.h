// StopSignals: SIGINT and SIGTERM, as the main thread waits for them.
//
// Made by the main thread before it starts any other, since threads inherit the mask.
//
// SignalsBlocked: for who starts a thread that no signal is to reach.
#pragma once

#include <chrono>
#include <cstdint>

#include <csignal>

namespace app {

class StopSignals {
  public:
    enum class Hangup : std::uint8_t {
        stops,    // SIGHUP ends the process at once, as a terminal that goes does
        is_told,  // wait() gives SIGHUP, too
    };
    // Blocks them for this thread and all that it starts; ignores SIGPIPE, so that a peer that is
    // gone is a result of a call and no death.
    explicit StopSignals(Hangup hangup = Hangup::stops);

    // Until one comes; gives its number.
    int wait();
    // The same for at most `time`; 0 when none came.
    int wait_for(std::chrono::milliseconds time);
    // From now on a further SIGINT or SIGTERM ends the process at once, for a stop that takes too
    // long.
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
