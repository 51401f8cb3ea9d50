#include "app/relay_queue_inspector.h"

#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "queue/content_reading.h"

namespace app {
namespace {

constexpr std::size_t kPartBytes = std::size_t{32} << 10U;

base::Error stopping() {
    return base::Error(ESHUTDOWN, "the server is stopping");
}

}  // namespace

// The reading is made, used and closed on its shard.
class RelayQueueInspector::Content final : public QueueContent {
  public:
    Content(RelayQueueInspector& inspector, std::uint32_t shard)
        : inspector_(inspector), shard_(shard) {
        const std::lock_guard lock(inspector_.contents_mutex_);
        inspector_.contents_.push_back(this);
    }
    ~Content() override {
        const std::shared_lock lock(inspector_.mutex_);
        close();
        const std::lock_guard contents(inspector_.contents_mutex_);
        inspector_.contents_.remove(this);
    }

    // These three with the inspector's lock held.
    [[nodiscard]] base::Status open(mail::QueueId id) {
        queue::Scheduler& scheduler = inspector_.relay_.shard(shard_).scheduler();
        return inspector_.relay_.threads()
            .run<base::Status>(shard_,
                               [this, &scheduler, id] { return reading_.open(scheduler, id); })
            .get();
    }
    [[nodiscard]] base::Status read(std::string& into) {
        return inspector_.relay_.threads()
            .run<base::Status>(shard_, [this, &into] { return reading_.read(into, kPartBytes); })
            .get();
    }
    void close() {
        if (reading_.is_open()) {
            inspector_.relay_.threads().run_now(shard_, [this] { reading_.close(); });
        }
    }

    [[nodiscard]] base::Result<std::string> next() override {
        if (inspector_.stopped_) {
            return std::unexpected(stopping());
        }
        const std::shared_lock lock(inspector_.mutex_);
        if (inspector_.stopped_) {
            return std::unexpected(stopping());
        }
        std::string part;
        if (const base::Status status = read(part); !status) {
            return base::fail(status.error().number(),
                              "the rest of the content cannot be read from the spool; the log says "
                              "where and why");
        }
        return part;
    }

  private:
    RelayQueueInspector& inspector_;
    const std::uint32_t shard_;
    queue::ContentReading reading_;
};

RelayQueueInspector::~RelayQueueInspector() {
    RP_ASSERT(contents_.empty());
}

void RelayQueueInspector::stop() {
    stopped_ = true;
    const std::unique_lock lock(mutex_);
    const std::lock_guard contents(contents_mutex_);
    for (Content* content : contents_) {
        content->close();
    }
}

// Partitions are owned by number.
std::uint32_t RelayQueueInspector::shard_of(mail::QueueId id) const {
    return id.partition() % relay_.threads().size();
}

base::Result<bool> RelayQueueInspector::ask(
    mail::QueueId id, const std::function<rt::Task<bool>(queue::Scheduler&)>& work) {
    if (stopped_) {
        return std::unexpected(stopping());
    }
    const std::shared_lock lock(mutex_);
    if (stopped_) {  // while the lock was waited for
        return std::unexpected(stopping());
    }
    queue::Scheduler& scheduler = relay_.shard(shard_of(id)).scheduler();
    const bool found = relay_.threads()
                           .run<bool>(shard_of(id), [&work, &scheduler] { return work(scheduler); })
                           .get();
    if (stopped_) {
        return std::unexpected(stopping());
    }
    return found;
}

base::Result<bool> RelayQueueInspector::detail(mail::QueueId id, queue::MessageDetail& detail) {
    return ask(id, [this, id, &detail](queue::Scheduler& scheduler) {
        return queue::detail_message(scheduler, id, stopped_, detail);
    });
}

base::Result<bool> RelayQueueInspector::explain(mail::QueueId id, queue::Explanation& explanation) {
    return ask(id, [this, id, &explanation](queue::Scheduler& scheduler) {
        return queue::explain_message(scheduler, id, stopped_, explanation);
    });
}

base::Result<std::unique_ptr<QueueContent>> RelayQueueInspector::content(mail::QueueId id) {
    auto content = std::make_unique<Content>(*this, shard_of(id));
    if (stopped_) {
        return std::unexpected(stopping());
    }
    base::Status opened;
    {
        const std::shared_lock lock(mutex_);
        if (stopped_) {
            return std::unexpected(stopping());
        }
        opened = content->open(id);
    }
    if (opened) {
        return content;
    }
    if (opened.error().number() == ENOENT) {
        return std::unique_ptr<QueueContent>();
    }
    return base::fail(opened.error().number(),
                      "the message cannot be read from the spool: " + opened.error().describe());
}

}  // namespace app
