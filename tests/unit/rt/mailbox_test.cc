#include "rt/mailbox.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace rt {
namespace {

class Note : public Letter {
  public:
    void open() override { ++opened; }
    int opened = 0;
    int writer = 0;
    int number = 0;
};

TEST(Mailbox, GivesLettersInOrderAndRefusesWhenFull) {
    Mailbox mailbox(4);
    std::array<Note, 5> notes;
    EXPECT_TRUE(mailbox.empty());
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_TRUE(mailbox.put(notes[i]));
    }
    EXPECT_FALSE(mailbox.put(notes[4]));
    EXPECT_EQ(mailbox.take(), &notes[0]);
    EXPECT_TRUE(mailbox.put(notes[4]));
    for (std::size_t i = 1; i < 5; ++i) {
        EXPECT_FALSE(mailbox.empty());
        EXPECT_EQ(mailbox.take(), &notes[i]);
    }
    EXPECT_EQ(mailbox.take(), nullptr);
    EXPECT_TRUE(mailbox.empty());
}

TEST(Mailbox, LosesNothingFromManyWriters) {
    constexpr int kWriters = 3;
    constexpr int kEach = 20000;
    Mailbox mailbox(64);
    std::vector<std::vector<Note>> notes;
    for (int i = 0; i < kWriters; ++i) {
        notes.emplace_back(kEach);
    }
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([&mailbox, &mine = notes[static_cast<std::size_t>(writer)], writer] {
            for (int number = 0; number < kEach; ++number) {
                Note& note = mine[static_cast<std::size_t>(number)];
                note.writer = writer;
                note.number = number;
                while (!mailbox.put(note)) {
                    std::this_thread::yield();
                }
            }
        });
    }
    std::array<int, kWriters> next{};
    for (int count = 0; count < kWriters * kEach;) {
        auto* note = static_cast<Note*>(mailbox.take());
        if (note == nullptr) {
            std::this_thread::yield();
            continue;
        }
        ASSERT_EQ(note->number, next[static_cast<std::size_t>(note->writer)]++);
        ++count;
    }
    for (std::thread& writer : writers) {
        writer.join();
    }
    EXPECT_TRUE(mailbox.empty());
}

}  // namespace
}  // namespace rt
