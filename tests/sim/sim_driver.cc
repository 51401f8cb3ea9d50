#include "sim/sim_driver.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace sim {

SimDriver::SimDriver(Host& host, Process& process, std::size_t index)
    : host_(host),
      world_(host.world()),
      process_(process),
      index_(index),
      secrets_(host.world().prng().next()) {}

SimDriver::~SimDriver() {
    world_.take_back(turn_event_);
}

// Turns.

void SimDriver::set_turn(std::function<void()> turn) {
    turn_ = std::move(turn);
    plan_turn(world_.now());
}

void SimDriver::plan_turn(base::MonoTime time) {
    if (!turn_ || process_.dead) {
        return;
    }
    time = std::max({time, busy_until_, world_.now()});
    if (turn_event_.sequence != 0) {
        if (turn_event_.time <= time) {
            return;
        }
        world_.take_back(turn_event_);
    }
    turn_event_ = world_.at(time, "turn", [this] {
        turn_event_ = {};
        take_turn();
    });
}

void SimDriver::take_turn() {
    if (process_.dead) {
        return;
    }
    world_.trace("turn.of", index_);
    in_turn_ = true;
    turn_();
    in_turn_ = false;
    busy_until_ = world_.now() + world_.draw(world_.options().turn_cost);
    const bool more = gave_ || rung_ || !completed_.empty() || !queued_.empty() ||
                      !cancels_.empty() || !doorbells_.empty();
    if (more) {
        plan_turn(busy_until_);
    } else if (deadline_ != base::kNever) {
        plan_turn(deadline_);
    }
}

void SimDriver::take_dead_turn() {
    if (turn_) {
        in_turn_ = true;
        turn_();
        in_turn_ = false;
    }
}

std::span<const io::Reaped> SimDriver::wait(base::MonoTime deadline) {
    ++counters_.turns;
    deadline_ = deadline;
    if (!process_.dead) {
        hand_over();
        if (!in_turn_) {
            drive_until_due(deadline);
        }
    }
    rung_ = false;
    return process_.dead ? reap_dead(deadline) : reap();
}

// Outside of World::run(): wait() itself lets the world go on.
void SimDriver::drive_until_due(base::MonoTime deadline) {
    // A wait that shall not block takes its time too, else a loop of them would stop the clock.
    const base::MonoTime until =
        std::max(deadline, world_.now() + world_.draw(world_.options().turn_cost));
    while (completed_.empty() && !rung_ && !process_.dead) {
        if (!world_.queue_.empty() && world_.queue_.next_time() <= until) {
            world_.step();
            continue;
        }
        if (until == base::kNever) {
            RP_PANIC("wait() without a deadline in a world where nothing is left to happen");
        }
        world_.now_ = until;
        return;
    }
}

std::span<const io::Reaped> SimDriver::reap() {
    given_.clear();
    while (!completed_.empty() && given_.size() < world_.options().budget_per_turn) {
        const Done done = completed_.front();
        completed_.pop_front();
        given_.push_back(done.reaped);
        if (!done.reaped.completion.more) {
            const auto flight = flights_.find(done.id);
            process_.users[flight->second.parameters.handle].erase(done.id);
            flights_.erase(flight);
        }
    }
    counters_.completed += given_.size();
    gave_ = !given_.empty();
    return given_;
}

std::span<const io::Reaped> SimDriver::reap_dead(base::MonoTime deadline) {
    given_.clear();
    if (flights_.empty() && deadline > now() && deadline != base::kNever) {
        dead_ahead_ += deadline - now();
    }
    for (const auto& [id, flight] : flights_) {
        given_.push_back({flight.op, {.result = -ECANCELED}});
    }
    flights_.clear();
    by_op_.clear();
    queued_.clear();
    cancels_.clear();
    doorbells_.clear();
    completed_.clear();
    counters_.completed += given_.size();
    return given_;
}

// Operations.

void SimDriver::submit(io::Op& op) {
    op.start();
    ++counters_.submitted;
    const FlightId id = process_.next_flight++;
    Flight flight;
    flight.op = &op;
    flight.code = op.code();
    flight.parameters = op.parameters();
    process_.users[flight.parameters.handle].emplace(id, index_);
    flights_.emplace(id, std::move(flight));
    if (process_.dead) {
        return;
    }
    by_op_[&op] = id;
    queued_.push_back(id);
    if (!in_turn_) {
        plan_turn(world_.now());
    }
}

void SimDriver::cancel(io::Op& op) {
    const auto found = by_op_.find(&op);
    if (found == by_op_.end() || process_.dead) {
        return;
    }
    cancels_.push_back(found->second);
    if (!in_turn_) {
        plan_turn(world_.now());
    }
}

void SimDriver::hand_over() {
    for (const FlightId id : std::exchange(queued_, {})) {
        start(id);
        if (process_.dead) {
            return;
        }
    }
    for (const FlightId id : std::exchange(cancels_, {})) {
        base::Duration delay = world_.draw(world_.options().ring_latency);
        const auto flight = flights_.find(id);
        if (flight == flights_.end()) {
            continue;
        }
        if (world_.fault(Fault::cancel_loses, io::name_of(flight->second.code))) {
            flight->second.no_cancel = true;  // a file's operation runs to its end
            delay += world_.draw({std::chrono::milliseconds(1), std::chrono::milliseconds(20)});
        }
        later(delay, "op.cancel", [id](SimDriver& driver) { driver.cancel_started(id); });
    }
    for (SimDriver* other : std::exchange(doorbells_, {})) {
        base::Duration delay = world_.draw(world_.options().ring_latency);
        if (world_.fault(Fault::slow_doorbell, "doorbell")) {
            delay += world_.draw({std::chrono::milliseconds(1), std::chrono::milliseconds(100)});
        }
        other->later(delay, "doorbell", [](SimDriver& driver) { driver.ring(); });
    }
}

void SimDriver::start(FlightId id) {
    Flight& flight = flights_.at(id);
    flight.phase = Phase::started;
    world_.trace(io::name_of(flight.code), id,
                 static_cast<std::uint64_t>(flight.parameters.handle));
    if (host_.on_start) {
        host_.on_start(*flight.op);
        if (process_.dead) {
            return;
        }
    }
    switch (flight.code) {
        case io::OpCode::nop:
            complete(id, 0);  // waits for nothing: in the order of submission, as the kernel does
            return;
        case io::OpCode::accept_multishot:
        case io::OpCode::connect:
        case io::OpCode::receive:
        case io::OpCode::receive_multishot:
        case io::OpCode::send:
        case io::OpCode::send_vector:
        case io::OpCode::poll:
        case io::OpCode::shutdown:
            start_socket(id, flight);
            return;
        default:
            start_file(id, flight);
    }
}

SimDriver::Flight* SimDriver::started(FlightId id) {
    const auto found = flights_.find(id);
    return found == flights_.end() || found->second.phase != Phase::started ? nullptr
                                                                            : &found->second;
}

EventId SimDriver::later(base::Duration delay, const char* label,
                         std::function<void(SimDriver& driver)> then) {
    return world_.after(
        delay, label,
        [&host = host_, generation = process_.generation, index = index_, then = std::move(then)] {
            if (SimDriver* driver = host.driver_of(generation, index)) {
                then(*driver);
            }
        });
}

void SimDriver::complete_soon(FlightId id, std::int32_t result) {
    later(world_.draw(world_.options().ring_latency), "op.complete",
          [id, result](SimDriver& driver) { driver.complete(id, result); });
}

void SimDriver::complete(FlightId id, std::int32_t result) {
    complete_more(id, result, -1, false);
}

void SimDriver::complete_more(FlightId id, std::int32_t result, std::int32_t buffer, bool more) {
    Flight* flight = started(id);
    if (flight == nullptr) {
        return;
    }
    world_.trace("op.done", id, static_cast<std::uint64_t>(result));
    completed_.push_back({id, {flight->op, {result, buffer, more}}});
    const io::Handle handle = flight->parameters.handle;
    if (!more) {
        flight->phase = Phase::completed;
        flight->file.reset();
        by_op_.erase(flight->op);
    }
    plan_turn(world_.now());
    if (flight->attempted) {
        changed(process_, handle);  // the next in line may try
    }
}

void SimDriver::cancel_started(FlightId id) {
    Flight* flight = started(id);
    if (flight == nullptr) {
        return;
    }
    if (flight->event.sequence != 0) {
        cancel_file(id, *flight);
    } else if (flight->waits) {
        complete(id, -ECANCELED);
    }
}

// Clocks, chance, doorbells.

base::MonoTime SimDriver::now() {
    return world_.now() + dead_ahead_;
}

base::WallTime SimDriver::wall_now() {
    return world_.wall_now() + dead_ahead_;
}

void SimDriver::random(base::MutableBytes into) {
    while (!into.empty()) {
        const std::uint64_t word = secrets_.next();
        const std::size_t n = std::min(into.size(), sizeof word);
        std::memcpy(into.data(), &word, n);
        into = into.subspan(n);
    }
}

void SimDriver::ring_doorbell(io::Driver& other) {
    auto& driver = static_cast<SimDriver&>(other);
    RP_ASSERT(&driver.process_ == &process_);
    if (process_.dead) {
        return;
    }
    doorbells_.push_back(&driver);
    if (!in_turn_) {
        plan_turn(world_.now());
    }
}

void SimDriver::wake() {
    if (!process_.dead) {
        ring();
    }
}

void SimDriver::ring() {
    world_.trace("rung", index_);
    rung_ = true;
    plan_turn(world_.now());
}

// The end.

void SimDriver::fatal(std::string_view sentence) {
    if (process_.dead) {
        return;
    }
    host_.fatal_sentence_ = sentence;
    world_.trace_bytes("fatal", base::as_bytes(sentence));
    host_.kill();
}

bool SimDriver::dead() const {
    return process_.dead;
}

// Buffers.

base::Result<io::BufferRingId> SimDriver::add_buffer_ring(std::uint32_t count, std::uint32_t size) {
    if (count == 0 || (count & (count - 1)) != 0 || count > 32768 || size == 0) {
        return base::fail(EINVAL);
    }
    auto ring = std::make_unique<BufferRing>();
    ring->size = size;
    ring->memory.resize(count);
    ring->out.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        ring->free.push_back(static_cast<std::int32_t>(i));
    }
    rings_.push_back(std::move(ring));
    return static_cast<io::BufferRingId>(rings_.size() - 1);
}

base::MutableBytes SimDriver::BufferRing::bytes(std::int32_t id) {
    std::unique_ptr<std::byte[]>& one = memory[static_cast<std::size_t>(id)];
    if (one == nullptr) {
        one = std::make_unique<std::byte[]>(size);
    }
    return {one.get(), size};
}

base::MutableBytes SimDriver::buffer(io::BufferRingId ring, std::int32_t id) {
    BufferRing& of = *rings_.at(ring);
    RP_ASSERT(id >= 0 && of.out.at(static_cast<std::size_t>(id)));
    return of.bytes(id);
}

void SimDriver::return_buffer(io::BufferRingId ring, std::int32_t id) {
    BufferRing& of = *rings_.at(ring);
    std::memset(buffer(ring, id).data(), 0xdd, of.size);
    of.out[static_cast<std::size_t>(id)] = false;
    of.free.push_back(id);
}

std::size_t SimDriver::leases_out() const {
    std::size_t out = 0;
    for (const auto& ring : rings_) {
        out += static_cast<std::size_t>(std::ranges::count(ring->out, true));
    }
    return out;
}

}  // namespace sim
