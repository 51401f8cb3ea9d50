#include "rt/task.h"

#include "rt/scope.h"
#include "rt/shard.h"

namespace rt {

void Promise::start(Promise& child, std::coroutine_handle<> self, Promise& parent) {
    child.self_ = self;
    child.parent_ = &parent;
    child.shard_ = parent.shard_;
    child.meter_ = parent.meter_;
    parent.set_waits_for("task");
    child.shard_->make_ready(child);
}

void Promise::finished(Promise& promise) noexcept {
    if (promise.scope_ != nullptr) {
        promise.scope_->ended(promise);  // destroys the frame
    } else {
        RP_ASSERT(promise.parent_ != nullptr);
        promise.shard_->make_ready(*promise.parent_);
    }
}

Scope::Scope(Shard& shard, const char* name, Meter* meter)
    : shard_(shard), name_(name), meter_(meter) {
    shard.scopes().push_back(*this);
}

Scope::~Scope() {
    RP_ASSERT(size_ == 0);
    unlink();
}

void Scope::spawn(Task<void> task) {
    const std::coroutine_handle<Task<void>::promise_type> handle = std::exchange(task.handle_, {});
    Promise& promise = handle.promise();
    promise.self_ = handle;
    promise.shard_ = &shard_;
    promise.scope_ = this;
    promise.meter_ = meter_;
    promise.scope_next_ = first_;
    if (first_ != nullptr) {
        first_->scope_prev_ = &promise;
    }
    first_ = &promise;
    ++size_;
    shard_.make_ready(promise);
}

void Scope::ended(Promise& promise) {
    if (promise.scope_prev_ != nullptr) {
        promise.scope_prev_->scope_next_ = promise.scope_next_;
    } else {
        first_ = promise.scope_next_;
    }
    if (promise.scope_next_ != nullptr) {
        promise.scope_next_->scope_prev_ = promise.scope_prev_;
    }
    promise.self_.destroy();
    --size_;
    if (size_ == 0 && joiner_ != nullptr) {
        shard_.make_ready(*std::exchange(joiner_, nullptr));
    }
}

}  // namespace rt
