#include "sim/relay/plan.h"

#include <algorithm>

#include "base/assert.h"

namespace sim::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kHopAddresses[] = {"10.0.1.1:25", "10.0.1.2:25", "10.0.1.3:25"};

// One draw per statement, or compilers do not agree on their order.
class Dice {
  public:
    explicit Dice(base::Prng& prng) : prng_(prng) {}
    // Off in most seeds; else one of a few rates.
    std::uint32_t odds(std::uint32_t most, std::uint32_t on_of_8 = 3) {
        if (!prng_.chance(on_of_8, 8)) {
            return 0;
        }
        const std::uint32_t shares[] = {most, most, most / 3, most / 10};
        return std::max(1U, shares[prng_.below(4)]);
    }
    template <typename T>
    T one_of(std::initializer_list<T> choices) {
        return *(choices.begin() + prng_.below(choices.size()));
    }
    bool chance(std::uint64_t numerator, std::uint64_t denominator) {
        return prng_.chance(numerator, denominator);
    }
    std::uint64_t between(std::uint64_t least, std::uint64_t most) {
        return least + prng_.below(most - least + 1);
    }
    base::Duration between(base::Duration least, base::Duration most) {
        return base::Duration(static_cast<std::int64_t>(between(
            static_cast<std::uint64_t>(least.count()), static_cast<std::uint64_t>(most.count()))));
    }

  private:
    base::Prng& prng_;
};

Faults draw_faults(Dice& dice) {
    Faults faults;
    // What only cuts and delays may be frequent.
    for (const Fault fault :
         {Fault::split, Fault::short_send, Fault::short_receive, Fault::cancel_loses,
          Fault::multishot_end, Fault::no_buffers, Fault::short_read}) {
        faults.set(fault, 100 * dice.odds(2000));
    }
    for (const Fault fault : {Fault::connect_refused, Fault::connect_silent, Fault::accept_error}) {
        faults.set(fault, 100 * dice.odds(1000, 2));
    }
    faults.set(Fault::reset, 10 * dice.odds(1000));
    faults.set(Fault::stall, 10 * dice.odds(2000));
    faults.set(Fault::slow_disk, 10 * dice.odds(1000));
    // What ends the process.
    for (const Fault fault :
         {Fault::read_error, Fault::write_error, Fault::sync_error, Fault::short_write}) {
        faults.set(fault, 10 * dice.odds(600, 2));
    }
    faults.set(Fault::no_space, 100 * dice.odds(3000, 1));
    faults.set(Fault::wall_step, dice.odds(500, 1));
    return faults;
}

void draw_world(Dice& dice, Plan& plan) {
    Options& world = plan.world;
    world.faults = draw_faults(dice);
    world.disk.sector_bytes = dice.one_of({512U, 4096U});
    world.disk.names = dice.one_of({NameOrder::prefix, NameOrder::independent});
    world.disk.tear_inside_sectors = dice.chance(1, 4);
    world.disk_latency = {std::chrono::microseconds(5),
                          dice.one_of<base::Duration>(
                              {std::chrono::microseconds(100), milliseconds(2), milliseconds(20)})};
    world.network_latency = {std::chrono::microseconds(10),
                             dice.one_of<base::Duration>({std::chrono::microseconds(200),
                                                          milliseconds(2), milliseconds(60)})};
    world.restart_delay = {milliseconds(1),
                           dice.one_of<base::Duration>({milliseconds(5), seconds(2)})};
    world.slow_disk_time = {milliseconds(5), seconds(2)};
    world.stall_time = {milliseconds(100), kStallMost};
    world.connect_timeout = seconds(40);
    world.socket_buffer_least = dice.one_of({512U, 4096U, 65536U});
    world.socket_buffer_most = world.socket_buffer_least * 4;
    // Now and then room for a handful of segments.
    if (dice.chance(1, 8)) {
        world.disk.capacity_bytes = dice.between(1200, 3000) << 10U;
    }
}

void draw_limits(Dice& dice, Plan& plan, smtp::Limits& limits) {
    limits.recipients_max = dice.one_of({4U, 8U});
    limits.message_bytes_max = 160'000;
    limits.command_timeout = seconds(60);
    limits.content_timeout = seconds(60);
    limits.reply_timeout = seconds(60);
    limits.connect_timeout = seconds(10);
    limits.banner_timeout = limits.helo_timeout = seconds(30);
    limits.mail_timeout = limits.rcpt_timeout = seconds(30);
    limits.data_timeout = limits.block_timeout = seconds(30);
    limits.final_dot_timeout = seconds(60);
    limits.quit_timeout = seconds(5);
    plan.content_bytes_max = dice.one_of({2'000U, 20'000U, 120'000U});
}

void draw_relay(Dice& dice, Plan& plan) {
    smtp::Limits limits;
    draw_limits(dice, plan, limits);
    app::RelaySettings& settings = plan.settings;

    smtp::SessionConfig session;
    session.hostname = kRelayName;
    session.relay_networks.add(*net::Network::parse("10.0.0.0/8"));
    session.limits = limits;
    settings.listeners.push_back({*io::SocketAddress::parse(kRelayAddress), std::move(session)});
    settings.sessions_max = dice.one_of({2U, 30U, 30U});

    queue::Options& queue = settings.queue;
    queue.hostname = kRelayName;
    plan.expiry = dice.one_of<base::Duration>({seconds(40), minutes(3), minutes(30)});
    plan.waits = dice.one_of<std::vector<base::Duration>>(
        {{seconds(1)}, {seconds(2), seconds(5), seconds(9)}, {seconds(4), seconds(20)}});
    plan.delay_notice = dice.one_of<base::Duration>({{}, seconds(3), seconds(15), minutes(1)});
    const bool grows = dice.chance(1, 2);
    if (grows) {
        plan.waits = {seconds(1), seconds(3), seconds(9), seconds(20)};
        plan.jitter = dice.one_of({0U, 10U, 50U});
    }
    queue::RetryPolicy retry = grows
                                   ? queue::RetryPolicy::growing({.first = seconds(1),
                                                                  .growth = 3,
                                                                  .cap = seconds(20),
                                                                  .jitter = plan.jitter / 100.0},
                                                                 plan.expiry, plan.delay_notice)
                                   : queue::RetryPolicy(plan.waits, plan.expiry, plan.delay_notice);
    // Now and then the route's own, with something else behind it.
    const bool of_route = dice.chance(1, 3);
    if (!of_route) {
        queue.retry = retry;
    }
    queue.notifications_max = queue.notifications_per_domain_max = 1'000'000;
    queue.smtp = limits;
    queue.recipients_per_transaction = dice.one_of({1U, 2U, 100U});
    queue.transactions_per_connection = dice.one_of({1U, 3U, 1000U});
    queue.connection_age_max = dice.one_of<base::Duration>({seconds(3), seconds(300)});
    queue.connection_idle_max = dice.one_of<base::Duration>({milliseconds(500), seconds(5)});
    queue.cool_down_least = seconds(1);
    queue.cool_down_most = dice.one_of<base::Duration>({seconds(2), seconds(10)});

    store::StoreOptions& store = settings.store;
    store.spool = "/spool";
    store.shards = dice.one_of({2U, 2U, 3U});
    plan.shards_change = dice.chance(1, 4);
    store.segment_bytes = dice.one_of({64ULL, 128ULL, 256ULL}) << 10U;
    store.chunk_bytes_max = dice.one_of({1ULL, 8ULL}) << 20U;
    store.cache_bytes_max = dice.one_of({0ULL, 64ULL << 10U, 1ULL << 20U});
    store.transactions_max = dice.one_of({3U, 100U});
    store.batch_bytes_max = dice.one_of({64ULL << 10U, 1ULL << 20U});
    store.commit_delay =
        dice.one_of<base::Duration>({milliseconds(1), milliseconds(1), milliseconds(20)});
    store.direct_io = dice.chance(3, 4);

    queue::Route route;
    route.name = "next hops";
    for (const HopPlan& hop : plan.hops) {
        route.targets.push_back({hop.address, *io::SocketAddress::parse(hop.address)});
    }
    route.connections_max = dice.one_of({2U, 4U, 12U});
    if (of_route) {
        route.retry = std::move(retry);
    }
    queue.routes.push_back(std::move(route));
    plan.may_be_short = plan.disk_may_be_full() || plan.store_may_be_busy();
}

// What makes checkpoints and cleaning seldom or frequent, and slow.
void draw_store(Dice& dice, Plan& plan) {
    store::StoreOptions& store = plan.settings.store;
    store.checkpoint_bytes =
        dice.one_of<std::uint64_t>({32ULL << 10U, store.segment_bytes, store.segment_bytes,
                                    2 * store.segment_bytes, 8 * store.segment_bytes});
    store.cleaner_bytes_per_s =
        dice.one_of({64ULL << 10U, 1ULL << 20U, 32ULL << 20U, 32ULL << 20U});
    store.segments_ahead = dice.one_of({3U, 3U, 5U});
    plan.checkpoints_rot = dice.chance(1, 4);
}

// Notifications in a minute.
void draw_notifications(Dice& dice, Plan& plan) {
    plan.notifications_are_few = dice.chance(1, 4);
    if (plan.notifications_are_few) {
        plan.settings.queue.notifications_max = dice.one_of({8U, 20U, 1'000'000U});
        plan.settings.queue.notifications_per_domain_max = dice.one_of({8U, 20U});
    }
}

void draw_clients(Dice& dice, Plan& plan) {
    plan.sessions = static_cast<std::uint32_t>(dice.between(2, 10));
    ClientOdds& odds = plan.client;
    odds.pipelining = dice.odds(800, 6);
    odds.chunks = dice.odds(800, 4);
    odds.stranger = dice.odds(400);
    odds.noise = dice.odds(500, 4);
    odds.reset = dice.odds(200);
    odds.abort = dice.odds(300);
    odds.vanish = dice.odds(300);
    odds.leave = dice.odds(150, 3);
    odds.null_path = dice.odds(300);
    odds.eight_bit = dice.odds(300);
    odds.dsn = dice.odds(700, 5);
    odds.large = dice.odds(300, 5);
    odds.too_large = dice.odds(60, 1);
    odds.many_recipients = dice.odds(200, 2);
    odds.bad_recipient = dice.odds(200, 2);
    odds.slow = dice.odds(500);
    if (plan.world.disk.capacity_bytes < kMuchDiskBytes) {
        // Much large mail, so that the disk is full before the queue is empty.
        plan.sessions += 12;
        odds.large = 800;
        plan.content_bytes_max = 150'000;
    }
}

void draw_hops(Dice& dice, Plan& plan) {
    const std::uint64_t count = dice.between(1, 3);
    for (std::uint64_t i = 0; i < count; ++i) {
        HopPlan hop;
        hop.address = kHopAddresses[i];
        hop.pipelining = dice.chance(2, 3);
        hop.chunking = dice.chance(2, 3);
        hop.eight_bit = dice.chance(3, 4);
        hop.dsn = dice.chance(1, 2);
        hop.away = dice.one_of({Silence::refuse, Silence::no_answer, Silence::unreachable});
        hop.extended = dice.chance(7, 8);
        hop.size_bytes_max = dice.one_of({0U, 0U, 0U, 60'000U});
        HopOdds& odds = hop.odds;
        odds.greeting = dice.odds(200, 3);
        odds.hello = dice.odds(200, 1);
        odds.later = dice.odds(300, 4);
        odds.never = dice.odds(200, 4);
        odds.closing = dice.odds(60, 2);
        odds.close = dice.odds(60, 2);
        odds.close_inside = dice.odds(200, 2);
        odds.lost_answer = dice.odds(300, 2);
        odds.slow = dice.odds(300, 3);
        odds.slow_end = dice.odds(500, 4);
        odds.too_slow = dice.odds(800, 7);
        odds.chunk = dice.odds(800, 5);
        odds.broken = dice.odds(60, 2);
        odds.too_many = dice.odds(200, 1);
        plan.hops.push_back(std::move(hop));
    }
    plan.hop_changes =
        dice.chance(1, 3) ? dice.between(seconds(1), seconds(20)) : base::Duration::zero();
}

void draw_ends(Dice& dice, Plan& plan) {
    plan.storm = dice.between(seconds(4), seconds(40));
    const std::uint64_t count = dice.chance(1, 4) ? 0 : dice.between(1, 4);
    for (std::uint64_t i = 0; i < count; ++i) {
        PlannedEnd end;
        end.at = dice.between(base::Duration::zero(), plan.storm);
        end.kind =
            dice.one_of({EndKind::power, EndKind::power_at_write, EndKind::power_at_write,
                         EndKind::power_at_ack, EndKind::power_at_taken, EndKind::power_at_name,
                         EndKind::kill, EndKind::kill_at_write, EndKind::stop});
        end.again_after_events = dice.chance(1, 3) ? dice.between(1, 250) : 0;
        plan.ends.push_back(end);
    }
}

// Some ends wait for what the store does by itself.
void draw_store_ends(Dice& dice, Plan& plan) {
    for (PlannedEnd& end : plan.ends) {
        if (dice.chance(1, 4)) {
            end.kind = dice.one_of({EndKind::power_at_checkpoint, EndKind::power_at_cleaning,
                                    EndKind::power_at_cleaning});
        }
    }
}

void draw_calm(Dice& dice, Plan& plan) {
    plan.first_hop_stays_down = plan.hops.size() > 1 && dice.chance(1, 2);
    if (plan.first_hop_stays_down && plan.hops.front().away == Silence::no_answer) {
        // Each new connection is tried there first, and some mail expires before it is through.
        plan.hops.front().away = Silence::unreachable;
    }
}

void draw_rules(Dice& dice, Plan& plan) {
    plan.rules =
        dice.chance(1, 2) ? dice.between(milliseconds(300), seconds(8)) : base::Duration::zero();
}

std::string name_of(EndKind kind) {
    switch (kind) {
        case EndKind::power:
            return "power";
        case EndKind::power_at_write:
            return "power at a write";
        case EndKind::power_at_ack:
            return "power at a 250";
        case EndKind::power_at_taken:
            return "power at a next hop's 250";
        case EndKind::power_at_name:
            return "power at a rename";
        case EndKind::power_at_checkpoint:
            return "power at a checkpoint";
        case EndKind::power_at_cleaning:
            return "power at the cleaning";
        case EndKind::kill:
            return "kill";
        case EndKind::kill_at_write:
            return "kill at a write";
        case EndKind::stop:
            return "stop";
    }
    RP_PANIC("no such EndKind");
}

std::string seconds_text(base::Duration duration) {
    return std::to_string(duration / milliseconds(1)) + " ms";
}

}  // namespace

Plan Plan::of(std::uint64_t seed) {
    base::Prng prng(seed ^ 0x706c616eU);
    Dice dice(prng);
    policy::DomainSet domains;
    domains.add("dst.test");
    domains.add("src.test");
    Plan plan{.seed = seed,
              .world = {},
              .settings = {.access = policy::Access(kRelayName, std::move(domains)),
                           .listeners = {},
                           .queue = {},
                           .store = {},
                           .sessions_max = 0},
              .waits = {},
              .jitter = 0,
              .expiry = {},
              .delay_notice = {},
              .shards_change = false,
              .checkpoints_rot = false,
              .sessions = 0,
              .client = {},
              .content_bytes_max = 0,
              .hops = {},
              .hop_changes = {},
              .ends = {},
              .rules = {},
              .storm = {},
              .first_hop_stays_down = false,
              .notifications_are_few = false,
              .may_be_short = false};
    draw_world(dice, plan);
    draw_hops(dice, plan);
    draw_relay(dice, plan);
    draw_clients(dice, plan);
    draw_ends(dice, plan);
    draw_calm(dice, plan);
    draw_rules(dice, plan);
    base::Prng store_prng(seed ^ 0x73746f7265U);
    Dice store_dice(store_prng);
    draw_store(store_dice, plan);
    draw_store_ends(store_dice, plan);
    base::Prng notification_prng(seed ^ 0x64736eU);
    Dice notification_dice(notification_prng);
    draw_notifications(notification_dice, plan);
    return plan;
}

bool Plan::disk_may_be_full() const {
    return on(Fault::no_space) || on(Fault::short_write) ||
           world.disk.capacity_bytes < kMuchDiskBytes;
}

bool Plan::store_may_be_busy() const {
    return settings.store.transactions_max < 100 || settings.store.chunk_bytes_max < (8ULL << 20U);
}

std::string Plan::text() const {
    std::string text =
        std::to_string(settings.store.shards) +
        (shards_change ? " shards at first, " : " shards, ") + std::to_string(sessions) +
        " sessions, " + std::to_string(hops.size()) + " next hops, storm of " +
        seconds_text(storm) + ", segments of " + std::to_string(settings.store.segment_bytes) +
        ", a checkpoint every " + std::to_string(settings.store.checkpoint_bytes) +
        (checkpoints_rot ? " (which rot)" : "") + ", cleaning " +
        std::to_string(settings.store.cleaner_bytes_per_s) + " a second, " +
        (settings.store.direct_io ? "direct" : "buffered") + ", expiry " + seconds_text(expiry) +
        ", disk of " + std::to_string(world.disk.capacity_bytes) +
        (rules > base::Duration::zero() ? ", a rule each " + seconds_text(rules) : "") +
        (notifications_are_few
             ? ", few notifications (" + std::to_string(settings.queue.notifications_max) + ", " +
                   std::to_string(settings.queue.notifications_per_domain_max) + ")"
             : "") +
        "; faults:";
    for (std::size_t i = 0; i < kFaults; ++i) {
        const Fault fault = static_cast<Fault>(i);
        if (on(fault)) {
            text += std::string(" ") + sim::name_of(fault) + "=" +
                    std::to_string(world.faults.rate(fault));
        }
    }
    text += "; ends:";
    for (const PlannedEnd& end : ends) {
        text += " " + name_of(end.kind) + " at " + seconds_text(end.at) +
                (end.again_after_events > 0
                     ? ", again after " + std::to_string(end.again_after_events) + " events;"
                     : ";");
    }
    return text;
}

}  // namespace sim::relay
