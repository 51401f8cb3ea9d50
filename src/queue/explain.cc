#include "queue/explain.h"

namespace queue {

rt::Task<bool> explain_message(Scheduler& scheduler, mail::QueueId id,
                               const std::atomic<bool>& stop, Explanation& explanation) {
    explanation = Explanation();
    const bool there = co_await show_message(scheduler, id, stop, explanation.listed);
    const Entry* entry = scheduler.find(id);
    if (!there || entry == nullptr) {
        co_return false;
    }
    for (const store::RecipientState& recipient : entry->recipients()) {
        explanation.delay_told.push_back(recipient.delay_told);
    }
    const Site& site = scheduler.site_of(*entry);
    explanation.site = site.state();
    explanation.store_takes_attempts = scheduler.store().takes_attempts();
    explanation.stopping = scheduler.stopping();
    explanation.put_off = entry->put_off();
    explanation.expires_at = site.retry().expires_at(entry->arrival());
    if (site.retry().tells_of_delay()) {
        explanation.delay_notice_at = site.retry().delay_notice_at(entry->arrival());
    }
    co_return true;
}

}  // namespace queue
