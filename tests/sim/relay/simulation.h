// Simulation: one seed's run: the relay, its clients and its next hops in a world of faults; then
// the faults stop, and the queue must empty; then the relay stops, and nothing may be left over.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/faults.h"
#include "sim/host.h"
#include "sim/peer.h"
#include "sim/relay/client.h"
#include "sim/relay/conversation.h"
#include "sim/relay/journal.h"
#include "sim/relay/next_hop.h"
#include "sim/relay/oracle.h"
#include "sim/relay/plan.h"
#include "sim/relay/program.h"
#include "sim/world.h"

namespace sim::relay {

struct Result {
    std::uint64_t trace_hash = 0;
    std::uint64_t events = 0;
    std::vector<std::string> faults;  // what must not be
    Meetings meetings;                // faults of the world, and states that they met
    std::size_t acknowledged = 0;
    std::size_t taken = 0;
    std::size_t copies = 0;
    std::size_t notified = 0;
    std::uint64_t starts = 0;
};

class Simulation {
  public:
    // Notes and the world's events go there as lines; nullptr: nowhere.
    Simulation(std::uint64_t seed, std::FILE* notes, std::FILE* events);
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;
    ~Simulation();

    [[nodiscard]] Result run();

  private:
    // The longest that each part may take, of simulated time.
    static constexpr base::Duration kDrainMost = std::chrono::minutes(12);
    static constexpr base::Duration kStopMost = std::chrono::minutes(1);
    static constexpr std::uint64_t kEventsMost = 4'000'000;

    [[nodiscard]] ClientHome home(const Plan& plan);
    void plan_clients();
    void plan_ends();
    void plan_hop_changes();
    void tick();
    void change_a_hop();
    void plan_rules();
    void give_a_rule();
    void give(const store::Rule& rule);
    void end_program(const PlannedEnd& end);
    void starts();
    void rot_a_checkpoint();
    void look_at(const io::Op& op);
    void look_for_ack(const io::Op& op);
    void follow(EndpointId endpoint, bool sent, base::Bytes bytes);
    void check_connections();
    void look_for_refusal(const io::Op& op);
    [[nodiscard]] bool stays(const NextHop& hop) const;  // there, when the storm is over
    [[nodiscard]] NextHop& serving_hop();
    [[nodiscard]] std::string state_of(Fault fault, std::string_view state);
    void count_moment(Fault fault);

    [[nodiscard]] bool run_until(const std::function<bool()>& done, base::Duration longest);
    [[nodiscard]] bool clients_over() const;
    void calm_down();
    void release_all();
    [[nodiscard]] bool at_rest();
    [[nodiscard]] bool drain();
    [[nodiscard]] bool try_once_more();
    [[nodiscard]] bool give_one_up();
    [[nodiscard]] bool clients_come(std::uint64_t count);
    void come_and_idle(sim::Peer& idlers);
    [[nodiscard]] bool stop_in_delivery();
    [[nodiscard]] bool stop();
    void check_leftovers();

    const Plan plan_;
    const Plan calm_plan_;  // for clients when the faults have stopped
    World world_;
    Journal journal_;
    Oracle oracle_;
    Host& host_;
    Program program_;
    base::Prng prng_;
    std::vector<std::unique_ptr<NextHop>> hops_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::uint64_t next_letter_ = 1;
    std::uint64_t next_client_ = 1;
    std::set<EndpointId> refused_;  // connections for which the relay had no session
    std::map<EndpointId, Conversation> conversations_;  // of the relay
    Meetings moments_;
    bool calm_ = false;
    bool released_ = false;        // all that was held, behind the storm
    bool disk_is_prompt_ = false;  // no operation takes longer than usual, or fails
    bool restarts_ = true;
    bool write_trap_ = false;
    bool ack_trap_ = false;
    bool taken_trap_ = false;
    bool stop_trap_ = false;
    bool name_trap_ = false;
    bool kill_trap_ = false;
    bool checkpoint_trap_ = false;
    bool cleaning_trap_ = false;
    std::map<std::uint32_t, std::uint64_t> rotten_;  // by partition the last generation that is
    std::uint64_t again_after_events_ = 0;
};

}  // namespace sim::relay
