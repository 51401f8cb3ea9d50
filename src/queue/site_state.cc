#include "queue/site_state.h"

#include <algorithm>

#include "queue/scheduler.h"
#include "queue/site.h"

namespace queue {

SiteState Site::state() const {
    const base::MonoTime now = scheduler_.shard().now();
    SiteState state;
    state.name = route_.name;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        state.hosts.push_back({.name = route_.targets[i].name,
                               .words = targets_[i].failing ? targets_[i].reason : ""});
    }
    state.dead = dead();
    if (state.dead) {
        state.last_words = last_words_;
    }
    state.short_of_means = now < short_until_;
    if (holds(now)) {
        state.next_try = std::max(cool_until_, short_until_) - now;
    }
    state.connections = engaged_;
    state.connections_limit = state.dead ? 1 : limit_;
    state.connections_max = route_.connections_max;
    state.full = running_ >= state.connections_limit && resting_.empty();
    state.ready = ready_count_ + expired_count_;
    return state;
}

}  // namespace queue
