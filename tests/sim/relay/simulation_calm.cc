// What is asked when the faults have stopped.
#include <algorithm>

#include "sim/network.h"
#include "sim/relay/simulation.h"

namespace sim::relay {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// Of one partition, at rest: the active segment and one that is sealed, those prepared, the free
// ones that are kept, and the reserve.
constexpr std::size_t kSegmentsMost = 12;

}  // namespace

bool Simulation::run_until(const std::function<bool()>& done, base::Duration longest) {
    const std::uint64_t most = world_.events() + kEventsMost;
    const bool fine =
        world_.run_until([&] { return world_.events() >= most || (done && done()); }, longest);
    if (world_.events() >= most) {
        journal_.fault("it does not come to rest");
        return false;
    }
    return fine;
}

bool Simulation::clients_over() const {
    return std::ranges::all_of(clients_, [](const auto& client) { return client->over(); });
}

void Simulation::calm_down() {
    journal_.note("the faults stop");
    calm_ = true;
    write_trap_ = ack_trap_ = taken_trap_ = name_trap_ = kill_trap_ = false;
    checkpoint_trap_ = cleaning_trap_ = false;
    again_after_events_ = 0;
    world_.set_faults(Faults::none());
    host_.disk().set_capacity_bytes(kMuchDiskBytes);
    release_all();
    for (const std::unique_ptr<NextHop>& hop : hops_) {
        hop->calm_down(stays(*hop));
    }
}

// As an operator does who has put the disk right: until the relay takes it.
void Simulation::release_all() {
    if (released_) {
        return;
    }
    if (program_.up()) {
        const store::Rule rule{.action = store::RuleAction::release};
        const std::size_t number = oracle_.rule_given(rule);
        program_.give(rule, [this, number] {
            oracle_.rule_durable(number);
            released_ = true;
        });
    }
    world_.after(seconds(5), "operator", [this] { release_all(); });
}

// Nothing is queued, and no connection is open, by which something could still come.
bool Simulation::at_rest() {
    return program_.up() && program_.queue_size() == 0 &&
           host_.open_sockets() == program_.settings().store.shards;
}

bool Simulation::drain() {
    // What failed comes back a few in a minute.
    const base::Duration most =
        plan_.notifications_are_few ? 5 * kDrainMost : base::Duration(kDrainMost);
    const bool empty = run_until([this] { return at_rest() && clients_over(); }, most);
    if (!empty) {
        std::string what = "the queue does not empty, or clients wait";
        if (program_.up()) {
            what += ": " + std::to_string(program_.queue_size()) + " messages";
            for (const std::string& id : program_.queued()) {
                what += " " + id;
            }
        } else {
            what += std::string(": the relay is ") + name_of(program_.stage());
        }
        for (const std::unique_ptr<Client>& client : clients_) {
            what += client->over() ? "" : "; " + client->describe();
        }
        journal_.fault(what);
    }
    return empty;
}

// All that they send is acknowledged, unless a stop comes in between: nothing stands against it.
bool Simulation::clients_come(std::uint64_t count) {
    const std::uint64_t first = next_letter_;
    const std::size_t before = oracle_.acknowledged_count();
    const std::uint64_t disturbances = program_.disturbances();
    for (std::uint64_t i = 0; i < count; ++i) {
        clients_.push_back(
            std::make_unique<Client>(home(calm_plan_), next_client_++, prng_.next()));
        clients_.back()->start();
    }
    const bool over = run_until([this] { return clients_over(); }, minutes(1));
    const std::size_t accepted = oracle_.acknowledged_count() - before;
    const bool undisturbed = program_.disturbances() == disturbances;
    if (over && undisturbed && accepted != next_letter_ - first) {
        journal_.fault("of " + std::to_string(next_letter_ - first) +
                       " letters that nothing stood against, " + std::to_string(accepted) +
                       " were acknowledged");
    }
    return over;
}

// Sessions that stay in mid-content: nobody's 250 waits for them longer than for a commit_delay.
void Simulation::come_and_idle(sim::Peer& idlers) {
    const store::StoreOptions& store = plan_.settings.store;
    const bool room = plan_.settings.sessions_max > 10 && store.transactions_max > 10 &&
                      store.chunk_bytes_max > (1U << 20U);
    if (!room) {
        return;
    }
    idlers.on_connect = [](sim::Connection& connection) {
        connection.send(
            "EHLO idle.test\r\nMAIL FROM:<>\r\nRCPT TO:<idle@dst.test>\r\nDATA\r\nSubject: "
            "half\r\n");
    };
    for (int i = 1; i <= 4; ++i) {
        idlers.connect(kRelayAddress, "10.201.0." + std::to_string(i) + ":4000");
    }
    world_.run_for(seconds(1));
}

// Mail that comes now is acknowledged and delivered at once; what is put off, once or some times,
// goes on as soon as its wait is over.
bool Simulation::try_once_more() {
    world_.run_for(seconds(12));  // cool-downs end
    oracle_.quiet();
    disk_is_prompt_ = true;
    const std::uint64_t first = next_letter_;
    const std::uint64_t refusals = prng_.below(4);
    base::Duration wait{};
    for (std::uint32_t i = 1; i <= refusals && wait + plan_.wait_after(i) < plan_.expiry / 2; ++i) {
        serving_hop().refuse_once("r0." + std::to_string(first) + "@dst.test");
        wait += plan_.longest_wait_after(i) + seconds(2);
    }
    const std::uint64_t count = 1 + prng_.below(3);
    bool done = false;
    {
        sim::Peer idlers(world_);
        come_and_idle(idlers);
        done = clients_come(count);
    }
    // Each recipient may need a connection of its own, one behind another.
    wait += seconds(2 + oracle_.recipients_from(first));
    done = done && run_until([&] { return oracle_.all_taken_from(first); }, wait);
    if (!done) {
        std::string what = "mail is late while its next hop is free";
        for (const std::unique_ptr<Client>& client : clients_) {
            what += client->over() ? "" : "; " + client->describe();
        }
        journal_.fault(what);
    }
    return done;
}

// What nobody takes is given up when its time is over, and not later, and its sender is told: be
// it refused over and over, or all next hops away. What is refused for good is given up at once.
bool Simulation::give_one_up() {
    const bool for_good = prng_.chance(1, 2);
    const bool away = !for_good && prng_.chance(1, 2);
    if (!for_good && plan_.expiry > minutes(3)) {
        return true;
    }
    const std::string path = "r0." + std::to_string(next_letter_) + "@dst.test";
    journal_.note(path + (for_good ? " is refused for good"
                          : away   ? " finds no next hop"
                                   : " is refused over and over"));
    std::vector<NextHop*> serving;
    for (const std::unique_ptr<NextHop>& hop : hops_) {
        if (hop->listens()) {
            serving.push_back(hop.get());
        }
    }
    for (NextHop* hop : serving) {
        if (for_good) {
            hop->refuse_for_good(path);
        } else if (away) {
            hop->stop_listening();
        } else {
            hop->refuse_always(path);
        }
    }
    const bool sent = clients_come(1);
    // An attempt that began in time, and ended behind it, makes it wait once more.
    const base::Duration longest = plan_.longest_wait_after(UINT32_MAX) +
                                   hops_.size() * plan_.settings.queue.smtp.connect_timeout +
                                   (plan_.notifications_are_few ? minutes(1) : seconds(0));
    const base::Duration most = for_good && !plan_.notifications_are_few
                                    ? seconds(20)
                                    : plan_.expiry + longest + seconds(5);
    const bool failed = sent && run_until([&] { return oracle_.has_failed(path); }, most);
    if (!failed) {
        journal_.fault(path + (for_good ? " has not failed, and was refused for good"
                                        : " has not expired, and its time is over"));
        return false;
    }
    for (NextHop* hop : serving) {
        if (away) {
            hop->listen();
        }
    }
    // The notification may have to wait like any other mail.
    const bool told =
        run_until([&] { return oracle_.is_named(path) && program_.queue_size() == 0; },
                  plan_.settings.queue.cool_down_most + longest + seconds(20));
    if (!told) {
        journal_.fault(path + " has failed, and its sender is not told in time");
    }
    // Of a delay he is told in time, whether anything is tried meanwhile or not.
    const bool late = !for_good && !plan_.notifications_are_few &&
                      plan_.delay_notice > base::Duration::zero() &&
                      plan_.delay_notice + seconds(20) < plan_.expiry;
    if (told && late && !oracle_.is_told_of_delay(path)) {
        journal_.fault(path + " was delayed, and its sender was not told");
    }
    return told;
}

// A stop while a next hop's 250 is on its way: what is taken then is not delivered again.
bool Simulation::stop_in_delivery() {
    stop_trap_ = true;
    bool done = clients_come(1);
    done = done && run_until([this] { return !stop_trap_ && at_rest(); }, minutes(1));
    if (!done) {
        journal_.fault("mail is not delivered behind a stop in mid-delivery");
    }
    return done;
}

// In order; then once more up and down, with nothing in the queue.
bool Simulation::stop() {
    restarts_ = false;
    for (int round = 0; round < 2; ++round) {
        const bool rested =
            run_until([this] { return program_.up() && program_.queue_size() == 0; }, seconds(30));
        if (!rested) {
            journal_.fault("the queue is not empty at the end, or the relay does not start");
            return false;
        }
        world_.run_for(seconds(10));  // connections that rest are closed
        if (program_.rules_under_way() > 0) {
            journal_.fault(std::to_string(program_.rules_under_way()) +
                           " rules are under way over an empty queue");
        }
        const std::size_t sockets = host_.open_sockets();
        const std::uint32_t shards = program_.settings().store.shards;
        if (sockets != shards) {
            journal_.fault(std::to_string(sockets) + " sockets are open at rest, with " +
                           std::to_string(shards) + " listeners");
        }
        program_.stop();
        const bool down =
            run_until([this] { return program_.stage() == Program::Stage::down; }, kStopMost);
        if (!down) {
            journal_.fault("the relay does not stop");
            return false;
        }
        if (round == 0) {
            host_.start();
        }
    }
    return true;
}

void Simulation::check_leftovers() {
    for (std::uint32_t i = 0; i < program_.partitions(); ++i) {
        const std::string folder = "/spool/p00" + std::to_string(i);
        const auto segments = static_cast<std::size_t>(
            std::ranges::count_if(host_.disk().names_in(folder),
                                  [](const std::string& name) { return name.ends_with(".seg"); }));
        if (segments > kSegmentsMost) {
            journal_.fault(std::to_string(segments) + " segments are left over in " + folder);
        }
    }
}

}  // namespace sim::relay
