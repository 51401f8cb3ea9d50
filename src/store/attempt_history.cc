#include "store/attempt_history.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/assert.h"
#include "store/format.h"
#include "store/record_reader.h"
#include "store/stored_message.h"

namespace store {
namespace {

std::size_t bytes_of(const AttemptRun& run) {
    return sizeof(format::HistoryRun) + run.relay.size() + run.reply.size();
}

std::uint32_t sum(std::uint64_t a, std::uint64_t b) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(a + b, std::numeric_limits<std::uint32_t>::max()));
}

bool alike(const AttemptRun& a, const AttemptRun& b) {
    return a.gap == b.gap && a.code == b.code && a.status == b.status && a.relay == b.relay &&
           a.reply == b.reply;
}

}  // namespace

bool AttemptHistory::decode(base::Bytes field) {
    clear();
    while (!field.empty()) {
        format::HistoryRun fixed;
        if (field.size() < sizeof fixed || count_ == kRunsMax) {
            clear();
            return false;
        }
        std::memcpy(&fixed, field.data(), sizeof fixed);
        field = field.subspan(sizeof fixed);
        const std::size_t texts = std::size_t{fixed.relay_bytes} + fixed.reply_bytes;
        const bool gap = (fixed.flags & format::HistoryRun::kGap) != 0;
        if (fixed.count == 0 || texts > field.size() || fixed.relay_bytes > kRelayBytesMax ||
            fixed.reply_bytes > kReplyBytesMax) {
            clear();
            return false;
        }
        AttemptRun& run = runs_[count_++];
        run = {.first = clamped_wall_time(fixed.first_ms),
               .last = clamped_wall_time(fixed.last_ms),
               .count = fixed.count,
               .gap = gap,
               .code = fixed.code,
               .status = {fixed.dsn_class, fixed.dsn_subject, fixed.dsn_detail},
               .relay = base::as_text(field.first(fixed.relay_bytes)),
               .reply = base::as_text(field.subspan(fixed.relay_bytes, fixed.reply_bytes))};
        field = field.subspan(texts);
    }
    if (bytes() > kBytesMax) {
        clear();
        return false;
    }
    return true;
}

void AttemptHistory::take(const StoredOutcome& outcome) {
    static_cast<void>(decode(base::as_bytes(outcome.history)));
    const std::uint64_t known = attempts();
    if (outcome.attempts <= known) {
        return;
    }
    if (outcome.attempts - known > 1) {
        add_gap(outcome.attempts - known - 1, outcome.at);
    }
    add({.first = outcome.at,
         .last = outcome.at,
         .count = 1,
         .gap = false,
         .code = outcome.reply.code,
         .status = outcome.reply.status,
         .relay = outcome.relay,
         .reply = outcome.reply.text});
}

void AttemptHistory::add(const AttemptRun& attempt) {
    AttemptRun run = attempt;
    run.relay = run.relay.substr(0, kRelayBytesMax);
    run.reply = run.reply.substr(0, kReplyBytesMax);
    push(run);
}

void AttemptHistory::add_gap(std::uint64_t count, base::WallTime at) {
    if (count > 0) {
        AttemptRun run;
        run.first = run.last = at;
        run.count = sum(count, 0);
        run.gap = true;
        push(run);
    }
}

void AttemptHistory::push(const AttemptRun& run) {
    if (count_ > 0 && alike(runs_[count_ - 1], run)) {
        AttemptRun& last = runs_[count_ - 1];
        last.count = sum(last.count, run.count);
        last.last = run.last;
        return;
    }
    runs_[count_++] = run;
    while (count_ > kRunsMax || bytes() > kBytesMax) {
        shorten();
    }
}

// The two oldest runs behind the first one, or behind the gap that takes its place, become one gap.
void AttemptHistory::shorten() {
    RP_ASSERT(count_ > 3);  // three runs are within the bounds
    const std::size_t at = runs_[0].gap ? 0 : 1;
    do {
        AttemptRun gap;
        gap.first = runs_[at].first;
        gap.last = runs_[at + 1].last;
        gap.count = sum(runs_[at].count, runs_[at + 1].count);
        gap.gap = true;
        runs_[at] = gap;
        const auto from = runs_.begin() + static_cast<std::ptrdiff_t>(at) + 2;
        std::move(from, runs_.begin() + static_cast<std::ptrdiff_t>(count_), from - 1);
        --count_;
    } while (at + 1 < count_ && runs_[at + 1].gap);
}

std::uint64_t AttemptHistory::attempts() const {
    std::uint64_t all = 0;
    for (const AttemptRun& run : runs()) {
        all += run.count;
    }
    return all;
}

std::size_t AttemptHistory::bytes() const {
    std::size_t all = 0;
    for (const AttemptRun& run : runs()) {
        all += bytes_of(run);
    }
    return all;
}

void AttemptHistory::append_to(std::vector<std::byte>& out) const {
    std::size_t at = out.size();
    out.resize(at + bytes());
    const auto put = [&out, &at](base::Bytes bytes) {
        if (!bytes.empty()) {
            std::memcpy(out.data() + at, bytes.data(), bytes.size());
            at += bytes.size();
        }
    };
    for (const AttemptRun& run : runs()) {
        format::HistoryRun fixed;
        fixed.first_ms = base::unix_ms(run.first);
        fixed.last_ms = base::unix_ms(run.last);
        fixed.count = run.count;
        fixed.code = run.code;
        fixed.flags = run.gap ? format::HistoryRun::kGap : std::uint8_t{0};
        fixed.dsn_class = run.status.klass;
        fixed.dsn_subject = run.status.subject;
        fixed.dsn_detail = run.status.detail;
        fixed.relay_bytes = static_cast<std::uint8_t>(run.relay.size());
        fixed.reply_bytes = static_cast<std::uint8_t>(run.reply.size());
        put(std::as_bytes(std::span<const format::HistoryRun, 1>(&fixed, 1)));
        put(base::as_bytes(run.relay));
        put(base::as_bytes(run.reply));
    }
}

}  // namespace store
