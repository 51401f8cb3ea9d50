#include "base/slab.h"

#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace base {
namespace {

struct Thing {
    explicit Thing(int& count) : alive(&count) { ++count; }
    Thing(const Thing&) = delete;
    ~Thing() { --*alive; }
    int* alive;
    std::array<char, 40> rest{};
};

TEST(Slab, GivesEachObjectASlotOfItsOwnAndFindsItsOwner) {
    int alive = 0;
    int owner = 0;
    Slab<Thing> slab(&owner);
    std::set<Thing*> all;
    for (int i = 0; i < 5000; ++i) {
        all.insert(&slab.take(alive));
    }
    EXPECT_EQ(all.size(), 5000U);
    EXPECT_EQ(alive, 5000);
    EXPECT_EQ(slab.size(), 5000U);
    for (Thing* thing : all) {
        EXPECT_EQ(Slab<Thing>::owner_of(*thing), &owner);
    }
    std::set<Thing*> walked;
    for (std::size_t i = 0; i < slab.slots(); ++i) {
        if (Thing* thing = slab.slot(i)) {
            walked.insert(thing);
        }
    }
    EXPECT_EQ(walked, all);
}

TEST(Slab, TakesAFreedSlotBeforeANewChunk) {
    int alive = 0;
    Slab<Thing> slab;
    std::vector<Thing*> things;
    for (int i = 0; i < 3000; ++i) {
        things.push_back(&slab.take(alive));
    }
    const std::size_t slots = slab.slots();
    slab.give_back(*things[17]);
    EXPECT_EQ(alive, 2999);
    EXPECT_EQ(&slab.take(alive), things[17]);
    for (Thing* thing : things) {
        slab.give_back(*thing);
    }
    EXPECT_EQ(alive, 0);
    for (int i = 0; i < 3000; ++i) {
        static_cast<void>(slab.take(alive));
    }
    EXPECT_EQ(slab.slots(), slots);
}

TEST(Slab, DestroysWhatIsLeft) {
    int alive = 0;
    {
        Slab<Thing> slab;
        static_cast<void>(slab.take(alive));
        static_cast<void>(slab.take(alive));
    }
    EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace base
