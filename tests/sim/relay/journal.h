// Journal: what a run tells: notes for a person, folded into the trace's hash, and the violations
// that its oracle found.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "sim/world.h"

namespace sim::relay {

class Journal {
  public:
    // `out`: where notes go as lines; nullptr: nowhere.
    Journal(World& world, std::FILE* out) : world_(world), out_(out) {}
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    void note(std::string_view text) {
        world_.trace_bytes("note", base::as_bytes(text));
        if (out_ != nullptr) {
            const std::chrono::duration<double> now = world_.now().time_since_epoch();
            std::fprintf(out_, "%8llu %12.6f  %.*s\n",
                         static_cast<unsigned long long>(world_.events()), now.count(),
                         static_cast<int>(text.size()), text.data());
        }
    }
    // Something that must not be, as a sentence.
    void fault(const std::string& what) {
        note("VIOLATION: " + what);
        const std::chrono::duration<double> now = world_.now().time_since_epoch();
        if (faults_.size() < kFaultsMax) {
            faults_.push_back(what + " (at " + std::to_string(now.count()) + " s, event " +
                              std::to_string(world_.events()) + ")");
        }
    }
    [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }

  private:
    static constexpr std::size_t kFaultsMax = 20;

    World& world_;
    std::FILE* out_;
    std::vector<std::string> faults_;
};

}  // namespace sim::relay
