// Records, fields and checksums: what is written is read back, and what is damaged is not.
#include <vector>

#include <gtest/gtest.h>

#include "store/format.h"
#include "store/outcome_buffer.h"
#include "store/record_reader.h"
#include "store/record_writer.h"
#include "store/replay.h"

namespace store {
namespace {

using format::RecordType;

std::vector<std::byte> commit_record(const CommitParts& parts) {
    std::vector<std::byte> bytes(
        format::record_bytes(commit_payload_bytes(parts, parts.pieces.size())));
    RecordWriter writer(bytes);
    put_commit(writer, parts);
    EXPECT_EQ(writer.size(), bytes.size());
    return bytes;
}

struct Sample {
    Sample() {
        envelope.set_reverse_path("a@src.test");
        envelope.add_recipient("b@dst.test");
        envelope.add_recipient("");
        envelope.add_recipient("\"c d\"@dst.test");
        envelope.parameters.smtputf8 = true;
        envelope.parameters.size_bytes = 77;
        facts.stored_bytes = 5000;
        facts.dot_stuffed = true;
        facts.stuffed_dots = 3;
        facts.ends_in_crlf = false;
        pieces = {{5, 9, 4096, 1}, {6, 1, 904, 2}};
    }
    [[nodiscard]] CommitParts parts() const {
        return {mail::QueueId(1, 2, 3),
                base::wall_from_unix_ms(1234567),
                facts,
                envelope,
                "192.0.2.1",
                "helo.test",
                "ESMTP",
                "Received: x\r\n",
                pieces,
                5};
    }
    mail::Envelope envelope;
    mail::ContentFacts facts;
    std::vector<Piece> pieces;
};

TEST(Records, CommitComesBackAsItWas) {
    const Sample sample;
    const std::vector<std::byte> bytes = commit_record(sample.parts());
    RecordReader reader(bytes, 1);
    const auto record = reader.next();
    ASSERT_TRUE(record);
    StoredMessage message;
    ASSERT_TRUE(decode_commit(*record, message));
    EXPECT_EQ(message.id, mail::QueueId(1, 2, 3));
    EXPECT_EQ(base::unix_ms(message.arrival), 1234567);
    EXPECT_EQ(message.envelope.reverse_path(), "a@src.test");
    ASSERT_EQ(message.envelope.recipient_count(), 3U);
    EXPECT_EQ(message.envelope.recipient(1), "");
    EXPECT_EQ(message.envelope.recipient(2), "\"c d\"@dst.test");
    EXPECT_TRUE(message.envelope.parameters.smtputf8);
    EXPECT_FALSE(message.envelope.parameters.body_8bitmime);
    EXPECT_EQ(message.envelope.parameters.size_bytes, 77U);
    EXPECT_EQ(message.facts.stored_bytes, 5000U);
    EXPECT_EQ(message.facts.stuffed_dots, 3U);
    EXPECT_TRUE(message.facts.dot_stuffed);
    EXPECT_FALSE(message.facts.ends_in_crlf);
    EXPECT_EQ(message.client_address, "192.0.2.1");
    EXPECT_EQ(message.helo, "helo.test");
    EXPECT_EQ(message.protocol, "ESMTP");
    EXPECT_EQ(message.added_headers, "Received: x\r\n");
    ASSERT_EQ(message.pieces.size(), 2U);
    EXPECT_EQ(message.pieces[1].block, 1U);
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.malformed());
}

TEST(Records, DsnParametersComeBackAndCostNothingWhereThereAreNone) {
    Sample sample;
    const std::size_t without = commit_payload_bytes(sample.parts(), 2);
    sample.envelope.parameters.ret = mail::ReturnContent::headers;
    sample.envelope.set_envelope_id("QQ314159");
    sample.envelope.set_notify(2, {mail::Notify::kSuccess | mail::Notify::kFailure});
    sample.envelope.set_original_recipient(2, "rfc822;x@y");
    EXPECT_EQ(commit_payload_bytes(sample.parts(), 2), without + 8 + 4 + 8 + 8 + 10);
    const std::vector<std::byte> bytes = commit_record(sample.parts());
    RecordReader reader(bytes, 1);
    StoredMessage message;
    ASSERT_TRUE(decode_commit(*reader.next(), message));
    EXPECT_EQ(message.envelope.parameters.ret, mail::ReturnContent::headers);
    EXPECT_EQ(message.envelope.envelope_id(), "QQ314159");
    EXPECT_FALSE(message.envelope.notify(0).given());
    EXPECT_EQ(message.envelope.original_recipient(0), "");
    EXPECT_EQ(message.envelope.notify(2), sample.envelope.notify(2));
    EXPECT_EQ(message.envelope.original_recipient(2), "rfc822;x@y");
}

TEST(Records, DsnParametersThatAreNoneCountAsNotGiven) {
    Sample sample;
    sample.envelope.parameters.ret = static_cast<mail::ReturnContent>(9);
    sample.envelope.set_envelope_id("a\r\nRSET");
    sample.envelope.set_original_recipient(0, "rfc822;x>\r\n");
    const std::vector<std::byte> bytes = commit_record(sample.parts());
    RecordReader reader(bytes, 1);
    StoredMessage message;
    ASSERT_TRUE(decode_commit(*reader.next(), message));
    EXPECT_FALSE(message.envelope.has_dsn());
}

TEST(Records, ThatASenderKnowsOfADelayIsReplayed) {
    const Sample sample;
    MessageTable table;
    RuleTable rules;
    Replay replay(table, rules);
    const std::vector<std::byte> bytes = commit_record(sample.parts());
    RecordReader reader(bytes, 1);
    ASSERT_TRUE(replay.apply(*reader.next(), Location(1, 1, 0, false)));
    Outcome outcome;
    Message& alive = *table.find(mail::QueueId(1, 2, 3));
    outcome.status = RecipientStatus::deferred;
    outcome.reply = "later";
    OutcomeBuffer buffer;
    buffer.add(alive, outcome);
    outcome.recipient = 2;
    outcome.delay_told = true;
    buffer.add(alive, outcome);
    buffer.plan();
    buffer.plan();
    RecordReader outcomes(buffer.planned_bytes(), 2);
    ASSERT_TRUE(replay.apply(*outcomes.next(), Location(1, 2, 0, false)));
    const auto second = outcomes.next();
    StoredOutcome stored;
    ASSERT_TRUE(decode_outcome(*second, stored));
    EXPECT_TRUE(stored.delay_told);
    ASSERT_TRUE(replay.apply(*second, Location(1, 2, 1, false)));
    const auto recipients = alive.recipients();
    EXPECT_FALSE(recipients[0].delay_told);
    EXPECT_TRUE(recipients[2].delay_told);
}

TEST(Records, EveryTruncationOfACommitIsRefused) {
    const Sample sample;
    const std::vector<std::byte> bytes = commit_record(sample.parts());
    StoredMessage message;
    for (std::size_t size = 0; size + sizeof(format::RecordHeader) < bytes.size() - 7; ++size) {
        Record record;
        record.type = RecordType::commit;
        record.payload = base::Bytes(bytes).subspan(sizeof(format::RecordHeader), size);
        EXPECT_FALSE(decode_commit(record, message)) << size;
    }
}

TEST(Records, AnUnknownFieldIsSkippedUnlessItIsCritical) {
    const Sample sample;
    std::vector<std::byte> bytes = commit_record(sample.parts());
    const std::size_t payload = commit_payload_bytes(sample.parts(), 2);
    bytes.resize(sizeof(format::RecordHeader) + payload);
    format::FieldHeader field{999, 0, 2};
    const auto put = [&] {
        std::vector<std::byte> longer = bytes;
        const auto* raw = reinterpret_cast<const std::byte*>(&field);
        longer.insert(longer.end(), raw, raw + sizeof field);
        longer.resize(longer.size() + 2);
        return longer;
    };
    StoredMessage message;
    std::vector<std::byte> longer = put();
    Record record{RecordType::commit, 0, 1,
                  base::Bytes(longer).subspan(sizeof(format::RecordHeader))};
    EXPECT_TRUE(decode_commit(record, message));
    field.flags = format::FieldHeader::kCritical;
    longer = put();
    record.payload = base::Bytes(longer).subspan(sizeof(format::RecordHeader));
    EXPECT_FALSE(decode_commit(record, message));
}

TEST(Records, OutcomeComesBackAndLongRepliesAreCut) {
    const std::string reply(5000, 'x');
    MessageTable table;
    Message& message = table.add({mail::QueueId(0, 1, 9), Location(3, 4, 5, false), 0, 8}, {});
    Outcome outcome;
    outcome.recipient = 7;
    outcome.status = RecipientStatus::deferred;
    outcome.attempts = 3;
    outcome.next_attempt = base::wall_from_unix_ms(99);
    outcome.code = 450;
    outcome.dsn = {4, 2, 1};
    outcome.reply = reply;
    outcome.relay = "mx.test:25";
    OutcomeBuffer buffer;
    buffer.add(message, outcome);
    buffer.add_finish(message);
    buffer.plan();
    buffer.plan();
    RecordReader reader(buffer.planned_bytes(), 2);
    const auto first = reader.next();
    ASSERT_TRUE(first);
    StoredOutcome stored;
    ASSERT_TRUE(decode_outcome(*first, stored));
    EXPECT_EQ(stored.recipient, 7U);
    EXPECT_EQ(stored.status, RecipientStatus::deferred);
    EXPECT_EQ(stored.attempts, 3U);
    EXPECT_EQ(base::unix_ms(stored.next_attempt), 99);
    EXPECT_EQ(stored.reply.code, 450);
    EXPECT_EQ(stored.reply.status, (mail::EnhancedStatus{4, 2, 1}));
    EXPECT_EQ(stored.reply.text.size(), Outcome::kReplyBytesMax);
    EXPECT_EQ(stored.relay, "mx.test:25");
    const auto second = reader.next();
    ASSERT_TRUE(second);
    const auto finish = decode_finish(*second);
    ASSERT_TRUE(finish);
    EXPECT_EQ(finish->id, message.id().value());
    EXPECT_EQ(Location(finish->commit), message.location());
}

TEST(Records, ABatchHoldsAtItsOwnPlaceAlone) {
    const StoreId store{std::byte{1}};
    const StoreId other{std::byte{2}};
    std::vector<std::byte> area(format::kBlock);
    format::BatchHeader header;
    header.segment = 9;
    header.sequence = 4;
    header.record_bytes = 100;
    const std::uint64_t offset = 8 * format::kBlock;
    const std::uint64_t size = 64 * format::kBlock;
    format::sign_batch(area, header, format::PlaceSeed(store, 2, 9), offset);
    const auto found = [&](const StoreId& id, std::uint32_t partition, std::uint64_t segment,
                           std::uint64_t at) {
        return format::batch_header_at(area, format::PlaceSeed(id, partition, segment), segment, at,
                                       size)
            .has_value();
    };
    EXPECT_TRUE(found(store, 2, 9, offset));
    EXPECT_FALSE(found(other, 2, 9, offset));
    EXPECT_FALSE(found(store, 1, 9, offset));
    EXPECT_FALSE(found(store, 2, 8, offset));
    EXPECT_FALSE(found(store, 2, 9, offset + format::kBlock));
    const format::PlaceSeed seed(store, 2, 9);
    const base::Bytes records = base::Bytes(area).subspan(sizeof header, 100);
    EXPECT_TRUE(format::records_valid(header, records, seed, offset));
    EXPECT_FALSE(format::records_valid(header, records, seed, offset + format::kBlock));
    for (std::size_t i = 0; i < sizeof header + 100; ++i) {
        area[i] ^= std::byte{0x10};
        const auto damaged = format::batch_header_at(area, seed, 9, offset, size);
        EXPECT_TRUE(!damaged || !format::records_valid(*damaged, records, seed, offset)) << i;
        area[i] ^= std::byte{0x10};
    }
    // A batch that would reach beyond its segment is none.
    EXPECT_FALSE(format::batch_header_at(area, seed, 9, offset, offset));
}

TEST(Records, ReplayKeepsTheLastOutcomeAndForgetsTheFinished) {
    const Sample sample;
    MessageTable table;
    RuleTable rules;
    Replay replay(table, rules);
    const std::vector<std::byte> bytes = commit_record(sample.parts());
    RecordReader reader(bytes, 1);
    const auto commit = reader.next();
    ASSERT_TRUE(commit);
    const Location place(6, 3, 1, false);
    ASSERT_TRUE(replay.apply(*commit, place));
    ASSERT_TRUE(replay.apply(*commit, place));  // twice is as once
    Outcome outcome;
    outcome.recipient = 2;
    for (const auto status : {RecipientStatus::deferred, RecipientStatus::delivered}) {
        OutcomeBuffer buffer;
        outcome.status = status;
        ++outcome.attempts;
        buffer.add(*table.find(mail::QueueId(1, 2, 3)), outcome);
        buffer.plan();
        RecordReader one(buffer.planned_bytes(), 1);
        ASSERT_TRUE(replay.apply(*one.next(), Location(6, 4, outcome.attempts, false)));
    }
    ASSERT_EQ(table.size(), 1U);
    Message& alive = *table.find(mail::QueueId(1, 2, 3));
    EXPECT_TRUE(alive.location().spans());
    ASSERT_EQ(table.other_segments(alive).size(), 1U);
    EXPECT_EQ(table.other_segments(alive)[0].segment, 5U);
    const auto recipients = alive.recipients();
    ASSERT_EQ(recipients.size(), 3U);
    EXPECT_EQ(recipients[0].status, RecipientStatus::pending);
    EXPECT_EQ(recipients[2].status, RecipientStatus::delivered);
    EXPECT_EQ(recipients[2].attempts, 2U);
    EXPECT_EQ(recipients[2].outcome, Location(6, 4, 2, false));

    OutcomeBuffer end;
    end.add_finish(alive);
    end.plan();
    RecordReader one(end.planned_bytes(), 1);
    ASSERT_TRUE(replay.apply(*one.next(), Location(6, 5, 0, false)));
    EXPECT_EQ(table.size(), 0U);
}

TEST(Records, ARecordOfAnUnknownTypeIsSkippedUnlessItIsCritical) {
    Record record;
    record.type = static_cast<RecordType>(200);
    record.flags = format::RecordHeader::kCritical;
    MessageTable table;
    RuleTable rules;
    Replay replay(table, rules);
    EXPECT_FALSE(replay.apply(record, Location(1, 1, 0, false)));
    record.flags = 0;
    EXPECT_TRUE(replay.apply(record, Location(1, 1, 0, false)));
}

}  // namespace
}  // namespace store
