#include "base/list.h"

#include <vector>

#include <gtest/gtest.h>

namespace base {
namespace {

struct Second;
struct Item : ListNode<Item>, ListNode<Item, Second> {
    explicit Item(int n) : number(n) {}
    int number;
};

std::vector<int> numbers(List<Item>& list) {
    std::vector<int> out;
    for (Item* item = list.empty() ? nullptr : &list.front(); item != nullptr;
         item = list.after(*item)) {
        out.push_back(item->number);
    }
    return out;
}

TEST(List, OrderOfPushesAndPops) {
    Item a(1), b(2), c(3);
    List<Item> list;
    EXPECT_TRUE(list.empty());
    list.push_back(b);
    list.push_back(c);
    list.push_front(a);
    EXPECT_EQ(numbers(list), (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(&list.front(), &a);
    EXPECT_EQ(&list.back(), &c);
    EXPECT_EQ(&list.pop_front(), &a);
    EXPECT_FALSE(static_cast<ListNode<Item>&>(a).linked());
    EXPECT_EQ(&list.pop_front(), &b);
    EXPECT_EQ(&list.pop_front(), &c);
    EXPECT_TRUE(list.empty());
}

TEST(List, UnlinkFromTheMiddleAndTwice) {
    Item a(1), b(2), c(3);
    List<Item> list;
    list.push_back(a);
    list.push_back(b);
    list.push_back(c);
    static_cast<ListNode<Item>&>(b).unlink();
    static_cast<ListNode<Item>&>(b).unlink();
    EXPECT_EQ(numbers(list), (std::vector<int>{1, 3}));
    list.push_front(b);
    EXPECT_EQ(numbers(list), (std::vector<int>{2, 1, 3}));
    while (!list.empty()) {
        list.pop_front();
    }
}

TEST(List, AppendMovesAll) {
    Item a(1), b(2), c(3);
    List<Item> first, second, none;
    first.push_back(a);
    second.push_back(b);
    second.push_back(c);
    first.append(second);
    first.append(none);
    EXPECT_TRUE(second.empty());
    EXPECT_EQ(numbers(first), (std::vector<int>{1, 2, 3}));
    second.append(first);
    EXPECT_TRUE(first.empty());
    EXPECT_EQ(numbers(second), (std::vector<int>{1, 2, 3}));
    while (!second.empty()) {
        second.pop_front();
    }
}

TEST(List, OneItemInTwoLists) {
    Item a(1);
    List<Item> one;
    List<Item, Second> two;
    one.push_back(a);
    two.push_back(a);
    one.pop_front();
    EXPECT_FALSE(two.empty());
    EXPECT_EQ(&two.pop_front(), &a);
}

using ListDeathTest = testing::Test;

TEST(ListDeathTest, MisuseIsAPanic) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    List<Item> list;
    EXPECT_DEATH(static_cast<void>(list.front()), "panic");
    EXPECT_DEATH(
        {
            List<Item> other;
            Item item(1);
            other.push_back(item);
            list.push_back(item);
        },
        "panic");
}

}  // namespace
}  // namespace base
