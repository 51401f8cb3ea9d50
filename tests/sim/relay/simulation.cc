#include "sim/relay/simulation.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/assert.h"
#include "sim/network.h"
#include "store/format.h"

namespace sim::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

sim::Options world_options(const Plan& plan, std::FILE* events) {
    sim::Options options = plan.world;
    options.log = events;
    return options;
}

Plan calmed(Plan plan) {
    plan.world.faults = Faults::none();
    plan.world.disk.capacity_bytes = kMuchDiskBytes;
    plan.client = {};
    plan.content_bytes_max = 2000;
    plan.may_be_short = false;
    return plan;
}

bool is_checkpoint_page(const io::Op& op) {
    using store::format::CheckpointPage;
    const io::Op::Parameters& parameters = op.parameters();
    CheckpointPage page;
    if (parameters.size < sizeof page) {
        return false;
    }
    std::memcpy(&page, parameters.memory, sizeof page);
    return page.magic == CheckpointPage::kMagic;
}

bool is_moved_mail(const io::Op& op) {
    using store::format::BatchHeader;
    const auto* pieces = static_cast<const iovec*>(op.parameters().memory);
    BatchHeader batch;
    if (pieces[0].iov_len < sizeof batch) {
        return false;
    }
    std::memcpy(&batch, pieces[0].iov_base, sizeof batch);
    return batch.magic == BatchHeader::kMagic && (batch.flags & BatchHeader::kMoved) != 0;
}

bool is_of_disk(Fault fault) {
    return fault <= Fault::slow_disk;
}

}  // namespace

Simulation::Simulation(std::uint64_t seed, std::FILE* notes, std::FILE* events)
    : plan_(Plan::of(seed)),
      calm_plan_(calmed(plan_)),
      world_(seed, world_options(plan_, events)),
      journal_(world_, notes),
      oracle_(world_, plan_, journal_),
      host_(world_.add_host("relay")),
      program_(host_, plan_, oracle_, journal_),
      prng_(seed ^ 0x73746f726dU),
      disk_is_prompt_(!plan_.on(Fault::slow_disk) && !plan_.may_be_short) {
    journal_.note(plan_.text());
    for (const HopPlan& hop : plan_.hops) {
        hops_.push_back(std::make_unique<NextHop>(world_, plan_, hop, oracle_, journal_, program_,
                                                  prng_.next()));
        hops_.back()->on_accept = [this] { check_connections(); };
        hops_.back()->on_taken = [this] {
            if (std::exchange(taken_trap_, false)) {
                world_.crash_at_event(host_, world_.events() + 1 + prng_.below(20));
            }
            if (stop_trap_ && program_.up()) {
                stop_trap_ = false;
                program_.stop();
            }
        };
        hops_.back()->listen();
    }
    world_.set_probe(
        [this](Fault fault, std::string_view state) { return state_of(fault, state); });
    host_.on_start = [this](const io::Op& op) { look_at(op); };
    host_.on_bytes = [this](EndpointId endpoint, bool sent, base::Bytes bytes) {
        follow(endpoint, sent, bytes);
    };
    program_.on_start = [this] { starts(); };
    program_.on_up = [this] {
        oracle_.check_queue(program_.queued());
        if (program_.store_counters().relocations_replayed > 0) {
            moments_.add(Fault::crash, "the next start applies relocations");
        }
        if (program_.took_older_checkpoint()) {
            moments_.add(Fault::crash, "the next start takes the older checkpoint");
        }
    };
    program_.on_stopped = [this] {
        if (restarts_) {
            world_.after(world_.draw(world_.options().restart_delay), "start again", [this] {
                if (host_.drivers().empty()) {
                    host_.start();
                }
            });
        }
    };
}

Simulation::~Simulation() {
    if (!host_.drivers().empty()) {
        // A run that failed: the program is unwound as after a kill.
        host_.set_restart(false);
        host_.kill();
        host_.settle();
    }
    world_.set_probe({});
}

Result Simulation::run() {
    plan_clients();
    plan_ends();
    plan_hop_changes();
    plan_rules();
    host_.start();
    tick();
    static_cast<void>(run_until({}, plan_.storm));
    calm_down();
    if (drain() && try_once_more() && give_one_up() && stop_in_delivery() && stop()) {
        oracle_.settle();
        check_leftovers();
    }
    Result result;
    result.trace_hash = world_.trace_hash();
    result.events = world_.events();
    result.faults = journal_.faults();
    result.meetings = world_.meetings();
    result.meetings.add(moments_);
    result.acknowledged = oracle_.acknowledged_count();
    result.taken = oracle_.taken_count();
    result.copies = oracle_.copies();
    result.notified = oracle_.notified_count();
    result.starts = host_.starts();
    return result;
}

// --- the storm ---

ClientHome Simulation::home(const Plan& plan) {
    return {world_, oracle_, journal_, plan, next_letter_, program_.disturbances(), calm_};
}

void Simulation::plan_clients() {
    for (std::uint32_t i = 0; i < plan_.sessions; ++i) {
        clients_.push_back(std::make_unique<Client>(home(plan_), next_client_++, prng_.next()));
        const auto latest = static_cast<std::uint64_t>(plan_.storm.count()) * 3 / 4;
        world_.after(base::Duration(static_cast<std::int64_t>(prng_.below(latest))), "client",
                     [client = clients_.back().get()] { client->start(); });
    }
}

void Simulation::plan_ends() {
    for (const PlannedEnd& end : plan_.ends) {
        world_.after(end.at, "end of the program", [this, end] { end_program(end); });
    }
}

void Simulation::plan_hop_changes() {
    if (plan_.hop_changes > base::Duration::zero()) {
        world_.after(plan_.hop_changes, "hop changes", [this] {
            change_a_hop();
            plan_hop_changes();
        });
    }
}

void Simulation::change_a_hop() {
    if (calm_) {
        return;
    }
    NextHop& hop = *hops_[prng_.below(hops_.size())];
    if (hop.listens()) {
        hop.stop_listening();
    } else {
        hop.listen();
    }
}

void Simulation::plan_rules() {
    if (plan_.rules > base::Duration::zero()) {
        world_.after(plan_.rules, "operator", [this] {
            if (!calm_ && program_.up()) {
                give_a_rule();
            }
            plan_rules();
        });
    }
}

// Over one letter or recipient, or over all that goes to the domain; notifications are not meant.
void Simulation::give_a_rule() {
    using store::RuleAction;
    constexpr RuleAction kActions[] = {RuleAction::hold,  RuleAction::hold,   RuleAction::release,
                                       RuleAction::retry, RuleAction::bounce, RuleAction::erase};
    store::Rule rule;
    rule.action = kActions[prng_.below(std::size(kActions))];
    rule.domain = "dst.test";
    const std::uint64_t number = oracle_.any_letter(prng_);
    if (number > 0 && prng_.chance(3, 4)) {
        const Letter& letter = oracle_.letter(number);
        const std::uint64_t by = prng_.below(3);
        const auto id = mail::QueueId::parse(oracle_.id_of(number));
        if (by == 0 && id) {
            rule.only = *id;
        } else if (by == 1 && !letter.reverse_path.empty()) {
            rule.sender = letter.reverse_path;
        } else {
            rule.recipient = letter.recipients[prng_.below(letter.recipients.size())];
        }
    }
    give(rule);
}

void Simulation::give(const store::Rule& rule) {
    const std::size_t number = oracle_.rule_given(rule);
    program_.give(rule, [this, number] { oracle_.rule_durable(number); });
}

void Simulation::end_program(const PlannedEnd& end) {
    if (calm_) {
        return;
    }
    again_after_events_ = end.again_after_events;
    switch (end.kind) {
        case EndKind::power:
            host_.crash();
            return;
        case EndKind::power_at_write:
            write_trap_ = true;
            return;
        case EndKind::power_at_ack:
            ack_trap_ = true;
            return;
        case EndKind::power_at_taken:
            taken_trap_ = true;
            return;
        case EndKind::power_at_name:
            name_trap_ = true;
            return;
        case EndKind::power_at_checkpoint:
            checkpoint_trap_ = true;
            return;
        case EndKind::power_at_cleaning:
            cleaning_trap_ = true;
            return;
        case EndKind::kill:
            host_.kill();
            return;
        case EndKind::kill_at_write:
            kill_trap_ = true;
            return;
        case EndKind::stop:
            if (program_.up()) {
                program_.stop();
                if (prng_.chance(1, 2)) {
                    world_.crash_at_event(host_, world_.events() + 1 + prng_.below(60));
                }
            }
            return;
    }
}

// A crash inside of a recovery, or soon after.
void Simulation::starts() {
    rot_a_checkpoint();
    if (again_after_events_ > 0 && !calm_) {
        world_.crash_at_event(host_, world_.events() + std::exchange(again_after_events_, 0));
    }
}

// The newest one of some partition, where the one before it is as good.
void Simulation::rot_a_checkpoint() {
    if (!plan_.checkpoints_rot || calm_ || !prng_.chance(1, 2)) {
        return;
    }
    Disk& disk = host_.disk();
    for (std::uint32_t number = 0; number < program_.partitions(); ++number) {
        const std::string folder =
            plan_.settings.store.spool + "/" + store::format::partition_name(number);
        std::vector<std::uint64_t> found;
        for (const std::string& name : disk.names_in(folder)) {
            if (const auto generation = store::format::parse_checkpoint_name(name)) {
                found.push_back(*generation);
            }
        }
        std::ranges::sort(found, std::greater());
        std::uint64_t& last = rotten_[number];
        if (found.size() < 2 || found[0] == last || found[1] == last) {
            continue;
        }
        last = found[0];
        const std::string path = folder + "/" + store::format::checkpoint_name(last);
        const std::byte octet{0xff};
        disk.overwrite(path, 100, base::Bytes(&octet, 1));
        journal_.note(path + " rots");
        return;
    }
}

void Simulation::tick() {
    for (const std::unique_ptr<Client>& client : clients_) {
        client->look_at_clock();
    }
    if (program_.up()) {
        oracle_.check_queue(program_.queued());
        if (disk_is_prompt_) {
            oracle_.check_recorded(program_.durable_outcomes());
        }
    }
    world_.after(seconds(1), "tick", [this] { tick(); });
}

void Simulation::look_at(const io::Op& op) {
    if (op.code() == io::OpCode::write_vector && is_moved_mail(op) && program_.up() &&
        std::exchange(cleaning_trap_, false)) {
        if (op.parameters().offset > store::format::kBlock || prng_.chance(1, 4)) {
            world_.crash_at_event(host_, world_.events() + 1 + prng_.below(40));
            return;
        }
        // The first write to a segment takes long, while much else happens; and soon behind it all
        // ends, before or after the log has word of it.
        const base::Duration slow = world_.draw({milliseconds(1), seconds(5)});
        host_.inject({.code = op.code(), .delay = slow});
        const base::Duration soon = prng_.chance(1, 2) ? milliseconds(30) : seconds(2);
        const base::Duration then = slow + world_.draw({{}, soon});
        world_.after(then, "kill", [this] { host_.kill(); });
        return;
    }
    if (op.code() == io::OpCode::send || op.code() == io::OpCode::send_vector) {
        look_for_ack(op);
        look_for_refusal(op);
    } else if (op.code() == io::OpCode::write_vector && program_.up() &&
               std::exchange(write_trap_, false)) {
        host_.inject({.code = op.code(), .delay = world_.draw({milliseconds(1), seconds(1)})});
        world_.crash_at_event(host_, world_.events() + 1 + prng_.below(6));
    } else if (op.code() == io::OpCode::write_vector && program_.up() &&
               std::exchange(kill_trap_, false)) {
        host_.inject({.code = op.code(), .delay = world_.draw({milliseconds(10), seconds(2)})});
        world_.after(world_.draw({{}, milliseconds(1)}), "kill", [this] { host_.kill(); });
    } else if (op.code() == io::OpCode::write && program_.up() && checkpoint_trap_ &&
               is_checkpoint_page(op)) {
        checkpoint_trap_ = false;
        if (prng_.chance(1, 2)) {
            // The log takes long meanwhile, and soon behind the checkpoint's name all ends.
            host_.inject({.code = io::OpCode::write_vector,
                          .delay = world_.draw({milliseconds(10), seconds(2)})});
            name_trap_ = true;
            return;
        }
        world_.crash_at_event(host_, world_.events() + 1 + prng_.below(20));
    } else if ((op.code() == io::OpCode::rename || op.code() == io::OpCode::unlink) &&
               program_.up() && std::exchange(name_trap_, false)) {
        world_.crash_at_event(host_, world_.events() + 1 + prng_.below(12));
    }
}

void Simulation::follow(EndpointId endpoint, bool sent, base::Bytes bytes) {
    Network& network = world_.network();
    const bool session = network.local(endpoint).text() == kRelayAddress;
    Conversation& conversation = conversations_.try_emplace(endpoint, session).first->second;
    if (sent == session) {
        conversation.replies(base::as_text(bytes));
    } else {
        conversation.commands(base::as_text(bytes));
    }
    network.set_label(endpoint, conversation.label());
}

// What the relay is about to say is held against the disk as it is now.
void Simulation::look_for_ack(const io::Op& op) {
    constexpr std::string_view kQueued = "queued as ";
    const io::Op::Parameters& parameters = op.parameters();
    if (op.code() == io::OpCode::send_vector) {
        return;  // a client's; sessions send their replies in one piece
    }
    const std::string_view text(static_cast<const char*>(parameters.memory), parameters.size);
    std::string durable;
    for (std::size_t at = text.find(kQueued); at != std::string_view::npos;
         at = text.find(kQueued, at + 1)) {
        if (durable.empty()) {
            durable = host_.disk().durable_bytes();
        }
        const EndpointId endpoint = host_.endpoint_of(parameters.handle);
        oracle_.ack_leaves(world_.network().peer(endpoint).text(),
                           std::string(text.substr(at + kQueued.size(), mail::QueueId::kTextSize)),
                           durable);
        if (std::exchange(ack_trap_, false)) {
            world_.crash_at_event(host_, world_.events() + 1 + prng_.below(12));
        }
    }
}

// Nobody is sent away while there is a session for him.
void Simulation::look_for_refusal(const io::Op& op) {
    const io::Op::Parameters& parameters = op.parameters();
    const std::string_view text(static_cast<const char*>(parameters.memory), parameters.size);
    if (op.code() != io::OpCode::send || !text.starts_with("421 relay.test Too many connections")) {
        return;
    }
    refused_.insert(host_.endpoint_of(parameters.handle));
    const auto address = io::SocketAddress::parse(kRelayAddress);
    const auto servers = world_.network().servers_of(*address);
    const auto sessions =
        std::ranges::count_if(servers, [this](EndpointId id) { return !refused_.contains(id); });
    if (static_cast<std::uint64_t>(sessions) < program_.settings().sessions_max) {
        journal_.fault("a client is refused while " + std::to_string(sessions) +
                       " sessions are in use, of " +
                       std::to_string(program_.settings().sessions_max) + " for each shard");
    }
}

bool Simulation::stays(const NextHop& hop) const {
    return !plan_.first_hop_stays_down || &hop != hops_.front().get();
}

NextHop& Simulation::serving_hop() {
    return **std::ranges::find_if(hops_, [](const auto& hop) { return hop->listens(); });
}

void Simulation::check_connections() {
    const queue::Route& route = plan_.settings.queue.routes.front();
    const std::uint32_t allowed =
        std::max(route.connections_max, program_.settings().store.shards);  // each has one at least
    std::size_t open = 0;
    for (const smtp::Target& target : route.targets) {
        open += world_.network().clients_of(target.address);
    }
    if (open > allowed) {
        journal_.fault("the route has " + std::to_string(open) + " connections, of " +
                       std::to_string(allowed) + " that it may have");
    }
}

// --- what faults met ---

std::string Simulation::state_of(Fault fault, std::string_view state) {
    if (fault == Fault::crash || fault == Fault::kill) {
        count_moment(fault);
    }
    if (is_of_disk(fault)) {
        return std::string(name_of(program_.stage())) + ": " + std::string(state);
    }
    return std::string(state);
}

void Simulation::count_moment(Fault fault) {
    moments_.add(fault, std::string("the relay ") + name_of(program_.stage()));
    if (!program_.up()) {
        return;
    }
    if (std::ranges::any_of(clients_, [](const auto& client) { return client->awaits_ack(); })) {
        moments_.add(fault, "a client awaits 250");
    }
    if (std::ranges::any_of(hops_, [](const auto& hop) { return hop->answer_due(); })) {
        moments_.add(fault, "a next hop has answered");
    }
    const store::StoreCounters store = program_.store_counters();
    if (store.checkpoints_begun > store.checkpoints_ended) {
        moments_.add(fault, "a checkpoint is being written");
    }
    if (store.cleanings_begun > store.cleanings_ended) {
        moments_.add(fault, "mail is being moved");
    }
    if (oracle_.outcome_waits()) {
        moments_.add(fault, "an outcome is not recorded");
    }
    moments_.add(fault, program_.queue_size() == 0 ? "nothing queued" : "mail queued");
}

}  // namespace sim::relay
