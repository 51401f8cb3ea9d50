#include "sim/host.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "sim/sim_driver.h"

namespace sim {

namespace {

// A dead program that still submits after so many turns is not being unwound at all.
constexpr int kUnwindTurnsMax = 10'000;

}  // namespace

Host::Host(World& world, std::string name)
    : world_(world), name_(std::move(name)), disk_(world.options().disk) {}

Host::~Host() = default;

void Host::start() {
    RP_ASSERT(process_ == nullptr);
    for (const EndpointId endpoint : std::exchange(vanished_, {})) {
        world_.network().forget(endpoint);
    }
    process_ = std::make_unique<Process>();
    process_->generation = ++generation_;
    ++starts_;
    world_.trace("host.start", starts_);
    if (program_.start) {
        program_.start();
    }
}

SimDriver& Host::add_driver() {
    if (process_ == nullptr) {
        start();
    }
    process_->drivers.push_back(
        std::make_unique<SimDriver>(*this, *process_, process_->drivers.size()));
    return *process_->drivers.back();
}

std::vector<SimDriver*> Host::drivers() {
    std::vector<SimDriver*> all;
    if (process_ != nullptr) {
        for (const auto& driver : process_->drivers) {
            all.push_back(driver.get());
        }
    }
    return all;
}

SimDriver* Host::driver_of(std::uint64_t generation, std::size_t index) {
    return running() && process_->generation == generation ? process_->drivers[index].get()
                                                           : nullptr;
}

void Host::die(const char* label) {
    world_.trace(label, generation_);
    process_->dead = true;
}

void Host::kill() {
    if (!running()) {
        return;
    }
    world_.count(Fault::kill, "");
    die("host.kill");
    for (auto& [handle, entry] : std::exchange(process_->entries, {})) {
        if (entry.endpoint != kNoEndpoint) {
            world_.network().close(entry.endpoint);
        } else {
            process_->left_open->push_back(std::move(entry.file));
        }
    }
}

void Host::crash(std::optional<std::uint64_t> seed) {
    world_.count(Fault::crash, "");
    ++crashes_;
    if (running()) {
        die("host.crash");
        for (auto& [handle, entry] : std::exchange(process_->entries, {})) {
            if (entry.endpoint == kNoEndpoint) {
                continue;
            }
            if (world_.network().is_listener(entry.endpoint) || world_.prng().chance(1, 2)) {
                world_.network().vanish(entry.endpoint);
                vanished_.push_back(entry.endpoint);
            } else {
                world_.network().reset(entry.endpoint);
            }
        }
    }
    base::Prng own(seed.value_or(0));
    last_crash_ = disk_.crash(seed ? own : world_.prng());
    const std::pair<Fault, std::uint64_t> met[] = {{Fault::lost_write, last_crash_.writes_lost},
                                                   {Fault::torn_write, last_crash_.writes_torn},
                                                   {Fault::lost_name, last_crash_.changes_lost}};
    for (const auto& [fault, times] : met) {
        for (std::uint64_t i = 0; i < times; ++i) {
            world_.count(fault, "crash");
        }
    }
}

void Host::settle() {
    if (process_ == nullptr || !process_->dead || settling_) {
        return;
    }
    settling_ = true;
    const auto unwound = [this] {
        return operations_in_flight() == 0 && (!program_.unwound || program_.unwound());
    };
    const int turns = program_.end_unwinds ? 0 : kUnwindTurnsMax;
    for (int turn = 0; turn < turns && !unwound(); ++turn) {
        for (const auto& driver : process_->drivers) {
            driver->take_dead_turn();
        }
    }
    if (program_.end) {
        program_.end();
    }
    RP_ASSERT(operations_in_flight() == 0);
    process_.reset();
    settling_ = false;
    if (restart_ && program_.start) {
        plan_restart();
    }
}

void Host::plan_restart() {
    world_.after(world_.draw(world_.options().restart_delay), "host.restart", [this] {
        if (process_ == nullptr) {
            start();
        }
    });
}

void Host::stop() {
    RP_ASSERT(process_ != nullptr);
    if (process_->dead) {
        const bool restart = std::exchange(restart_, false);
        settle();
        restart_ = restart;
        return;
    }
    if (program_.end) {
        program_.end();
    }
    RP_ASSERT(operations_in_flight() == 0);
    for (auto& [handle, entry] : std::exchange(process_->entries, {})) {
        if (entry.endpoint != kNoEndpoint) {
            world_.network().close(entry.endpoint);
        }
    }
    process_.reset();
}

std::optional<Injection> Host::injection_for(io::OpCode code) {
    for (auto injection = injections_.begin(); injection != injections_.end(); ++injection) {
        if (injection->code != code) {
            continue;
        }
        if (injection->skip != 0) {
            --injection->skip;
            return {};
        }
        const Injection found = *injection;
        injections_.erase(injection);
        return found;
    }
    return {};
}

std::size_t Host::operations_in_flight() const {
    std::size_t sum = 0;
    if (process_ != nullptr) {
        for (const auto& driver : process_->drivers) {
            sum += driver->in_flight();
        }
    }
    return sum;
}

std::size_t Host::open_sockets() const {
    return process_ == nullptr ? 0
                               : static_cast<std::size_t>(
                                     std::ranges::count_if(process_->entries, [](const auto& item) {
                                         return item.second.endpoint != kNoEndpoint;
                                     }));
}

EndpointId Host::endpoint_of(io::Handle handle) const {
    if (process_ == nullptr) {
        return kNoEndpoint;
    }
    const auto found = process_->entries.find(handle);
    return found == process_->entries.end() ? kNoEndpoint : found->second.endpoint;
}

std::size_t Host::open_handles() const {
    return process_ == nullptr ? 0 : process_->entries.size();
}

}  // namespace sim
