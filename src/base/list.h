// Intrusive doubly linked list: membership costs two pointers inside the object and no allocation.
#pragma once

#include <cstddef>

#include "base/assert.h"

namespace base {

// Inherit (with a tag per list when an object is in several): class Session : public
// ListNode<Session> { … }. A node leaves its list before it is destroyed; the destructor asserts
// it.
template <typename T, typename Tag = void>
class ListNode {
  public:
    ListNode() = default;
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;
    ~ListNode() { RP_ASSERT(next_ == nullptr); }

    [[nodiscard]] bool linked() const { return next_ != nullptr; }
    // Leaves whatever list it is in, in constant time; nothing when it is in none.
    void unlink() {
        if (next_ != nullptr) {
            prev_->next_ = next_;
            next_->prev_ = prev_;
            next_ = prev_ = nullptr;
        }
    }

  private:
    template <typename, typename>
    friend class List;
    ListNode* next_ = nullptr;
    ListNode* prev_ = nullptr;
};

// Does not own its members. Empty when destroyed.
template <typename T, typename Tag = void>
class List {
  public:
    using Node = ListNode<T, Tag>;

    List() { head_.next_ = head_.prev_ = &head_; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() {
        RP_ASSERT(empty());
        head_.next_ = head_.prev_ = nullptr;
    }

    [[nodiscard]] bool empty() const { return head_.next_ == &head_; }
    [[nodiscard]] T& front() {
        RP_ASSERT(!empty());
        return *static_cast<T*>(head_.next_);
    }
    [[nodiscard]] T& back() {
        RP_ASSERT(!empty());
        return *static_cast<T*>(head_.prev_);
    }
    // The member after `item`, or nullptr at the end.
    [[nodiscard]] T* after(T& item) {
        Node* next = static_cast<Node&>(item).next_;
        return next == &head_ ? nullptr : static_cast<T*>(next);
    }
    void push_back(T& item) { insert_before(head_, item); }
    void push_front(T& item) { insert_before(*head_.next_, item); }
    // `place` is a member of this list.
    void insert(T& place, T& item) { insert_before(place, item); }
    T& pop_front() {
        T& item = front();
        static_cast<Node&>(item).unlink();
        return item;
    }
    // Moves all of `other` behind our own members, in order.
    void append(List& other) {
        if (other.empty()) {
            return;
        }
        Node* first = other.head_.next_;
        Node* last = other.head_.prev_;
        other.head_.next_ = other.head_.prev_ = &other.head_;
        first->prev_ = head_.prev_;
        head_.prev_->next_ = first;
        last->next_ = &head_;
        head_.prev_ = last;
    }

  private:
    void insert_before(Node& place, T& item) {
        Node& node = item;
        RP_ASSERT(node.next_ == nullptr);
        node.next_ = &place;
        node.prev_ = place.prev_;
        place.prev_->next_ = &node;
        place.prev_ = &node;
    }

    Node head_;
};

}  // namespace base
