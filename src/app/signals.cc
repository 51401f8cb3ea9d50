#include "app/signals.h"

#include <cerrno>
#include <ctime>

#include <pthread.h>

namespace app {

StopSignals::StopSignals(Hangup hangup) {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGINT);
    ::sigaddset(&set_, SIGTERM);
    if (hangup == Hangup::is_told) {
        ::sigaddset(&set_, SIGHUP);
    }
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

int StopSignals::wait() {
    int number = 0;
    while (::sigwait(&set_, &number) != 0) {
    }
    return number;
}

int StopSignals::wait_for(std::chrono::milliseconds time) {
    const timespec limit{.tv_sec = time.count() / 1000, .tv_nsec = time.count() % 1000 * 1'000'000};
    const int number = ::sigtimedwait(&set_, nullptr, &limit);
    return number > 0 ? number : 0;  // EAGAIN: the time is over; EINTR: the caller asks again
}

void StopSignals::unblock() {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    ::sigdelset(&set_, SIGHUP);
    ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
}

SignalsBlocked::SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace app
