#include "queue/content_reading.h"

#include <cerrno>
#include <utility>

#include "base/assert.h"

namespace queue {

using mail::WireScanner;

rt::Task<base::Status> ContentReading::open(Scheduler& scheduler, mail::QueueId id) {
    RP_ASSERT(!is_open());
    if (scheduler.find(id) == nullptr) {
        co_return base::fail(ENOENT);  // the store's cache may hold it still
    }
    base::Result<store::ReaderHandle> opened = co_await scheduler.store().open_source(id);
    if (!opened) {
        co_return std::unexpected(opened.error());
    }
    reader_ = std::move(*opened);
    scanner_ = WireScanner(message().facts.dot_stuffed ? WireScanner::Dots::remove
                                                       : WireScanner::Dots::ignore);
    headers_given_ = false;
    ended_ = false;
    co_return base::Status();
}

rt::Task<base::Status> ContentReading::read(std::string& into, std::size_t bytes_max) {
    RP_ASSERT(is_open());
    const std::size_t begin = into.size();
    if (!std::exchange(headers_given_, true)) {
        into.append(reader_->added_headers());
    }
    std::string_view run;
    while (into.size() - begin < bytes_max && !ended_) {
        std::string_view span;
        const mail::SourceState state = reader_->next(span, wakeup_);
        if (state == mail::SourceState::wait) {
            co_await wakeup_.woken("read content");
            continue;
        }
        if (state == mail::SourceState::failed) {
            co_return base::fail(EIO);
        }
        if (state == mail::SourceState::end) {
            ended_ = true;
            while (scanner_.finish(run)) {
                into.append(run);
            }
            break;
        }
        while (scanner_.next(span, run) == WireScanner::Event::run) {
            into.append(run);
        }
    }
    co_return base::Status();
}

}  // namespace queue
