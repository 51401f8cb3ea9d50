// Control: what is asked of a VolatileDisk from outside, over a Unix socket. One line in, one line
// of JSON back, then the connection is closed; one connection at a time.
//
//   status
//   cut FATE SEED [MOMENT COUNT WITHIN_MS [BEHIND]]
//   restart
//   delay MS     each sync takes so long (a decimal)
//   fail COUNT [forget]   so many syncs fail; or all, and what the first should have saved is gone
//   spoil TEXT   blocks that hold this word cannot be read; without a word: all can again
//
// FATE: drop, mixed, mostly, any; MOMENT: now, write, sync, commit, checkpoint, cleaning, rotation;
// BEHIND: so many writes and syncs more.
//
// A thread of its own serves it, from the constructor to the destructor. `cut` is answered when the
// power has failed. What is not understood gets {"error": …}. Fatal (exit 1): no socket there.
#pragma once

#include <string>
#include <thread>

#include "powercut/volatile_disk.h"

namespace powercut {

class Control {
  public:
    Control(VolatileDisk& disk, std::string path);
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;
    ~Control();

  private:
    void serve();
    [[nodiscard]] std::string answer(const std::string& line);

    VolatileDisk& disk_;
    std::string path_;
    int socket_;
    std::thread thread_;
};

}  // namespace powercut
