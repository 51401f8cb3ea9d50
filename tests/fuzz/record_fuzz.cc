// The bytes of a segment, as recovery and deliveries take them apart: nothing in them may make the
// reader crash, run on or read outside them. Checksums are made right first, since a fuzzer cannot
// guess them, wherever a block begins with a batch's magic number.
//
// And back: what the writer makes of records built from the same input is read back alike; with one
// bit changed, in another place, or cut short, it is refused.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "choices.h"
#include "store/attempt_history.h"
#include "store/checkpoint_page.h"
#include "store/format.h"
#include "store/record_reader.h"
#include "store/record_writer.h"
#include "store/replay.h"
#include "store/store.h"

namespace {

namespace format = store::format;

constexpr std::uint64_t kSegment = 7;

// Signs what lies there as if it were a batch, with its sizes brought into the segment.
void make_valid(std::vector<std::byte>& segment, std::size_t offset,
                const format::PlaceSeed& seed) {
    format::BatchHeader header;
    std::memcpy(&header, segment.data() + offset, sizeof header);
    const std::size_t room = segment.size() - offset;
    header.segment = kSegment;
    header.record_bytes %= static_cast<std::uint32_t>(room - sizeof header + 1);
    header.data_blocks %=
        static_cast<std::uint32_t>((room - header.record_area_bytes()) / format::kBlock + 1);
    format::sign_batch(base::MutableBytes(segment).subspan(offset), header, seed, offset);
}

// Whatever an outcome says, its attempts can be written again, within the bounds.
void check_history(const store::StoredOutcome& outcome) {
    store::AttemptHistory history;
    history.take(outcome);
    RP_ASSERT(history.attempts() >= outcome.attempts);
    std::vector<std::byte> bytes;
    history.append_to(bytes);
    RP_ASSERT(bytes.size() <= store::AttemptHistory::kBytesMax);
    store::AttemptHistory again;
    RP_ASSERT(again.decode(bytes) && again.attempts() == history.attempts());
}

// How many of the decoders take a record: it is of one type.
int decodes(const store::Record& record) {
    store::StoredMessage message;
    store::StoredOutcome outcome;
    std::vector<format::SegmentEnd> ends;
    int taken = 0;
    if (store::decode_commit(record, message)) {
        ++taken;
        RP_ASSERT(store::decode_commit_fixed(record).has_value());
        std::size_t bytes = message.envelope.reverse_path().size();
        for (std::size_t i = 0; i < message.envelope.recipient_count(); ++i) {
            bytes += message.envelope.recipient(i).size();
            bytes += message.envelope.original_recipient(i).size();
        }
        RP_ASSERT(bytes <= record.payload.size());
    }
    if (store::decode_outcome(record, outcome)) {
        ++taken;
        RP_ASSERT(store::decode_outcome_fixed(record).has_value());
        RP_ASSERT(outcome.reply.text.size() + outcome.relay.size() + outcome.history.size() <=
                  record.payload.size());
        check_history(outcome);
    }
    if (store::decode_segment_open(record, ends)) {
        ++taken;
        RP_ASSERT(ends.size() * sizeof(format::SegmentEnd) <= record.payload.size());
    }
    for (const bool fixed :
         {store::decode_extent(record).has_value(), store::decode_summary(record).has_value(),
          store::decode_finish(record).has_value(), store::decode_epoch(record).has_value(),
          store::decode_relocation(record).has_value(), store::decode_change(record).has_value(),
          store::decode_rule(record).has_value(), store::decode_rule_end(record).has_value(),
          store::decode_checkpoint_start(record).has_value(),
          store::decode_checkpoint_segment(record).has_value(),
          store::decode_checkpoint_message(record).has_value()}) {
        taken += fixed ? 1 : 0;
    }
    return taken;
}

void check_segment(base::Bytes input) {
    std::vector<std::byte> segment(base::round_up(input.size(), format::kBlock));
    std::memcpy(segment.data(), input.data(), input.size());
    format::SegmentHeader header;
    static_cast<void>(format::read_block(base::Bytes(segment).first(format::kBlock), header));

    const format::PlaceSeed seed(store::StoreId{}, 0, kSegment);
    store::MessageTable table;
    store::RuleTable rules;
    store::Replay replay(table, rules);
    for (std::size_t offset = 0; offset < segment.size();) {
        if (base::load_le<std::uint32_t>(segment.data() + offset) == format::BatchHeader::kMagic) {
            make_valid(segment, offset, seed);
        }
        const auto batch =
            format::batch_header_at(base::Bytes(segment).subspan(offset, format::kBlock), seed,
                                    kSegment, offset, segment.size());
        if (!batch) {
            offset += format::kBlock;
            continue;
        }
        const base::Bytes records =
            base::Bytes(segment).subspan(offset + sizeof(format::BatchHeader), batch->record_bytes);
        RP_ASSERT(format::records_valid(*batch, records, seed, offset));
        store::RecordReader reader(records, batch->record_count);
        while (const auto record = reader.next()) {
            const std::uint32_t index = reader.index() % store::Location::kIndexMax;
            RP_ASSERT(decodes(*record) <= 1);
            static_cast<void>(replay.apply(
                *record,
                store::Location(kSegment, static_cast<std::uint32_t>(offset / format::kBlock),
                                index, false)));
        }
        offset += batch->bytes();
    }
    std::size_t messages = 0;
    for (std::size_t i = 0; i < table.slots(); ++i) {
        if (const store::Message* message = table.slot(i)) {
            RP_ASSERT(table.find(message->id()) == message && !message->recipients().empty());
            RP_ASSERT(table.other_segments(*message).empty() != message->location().spans());
            ++messages;
        }
    }
    RP_ASSERT(messages == table.size());
}

template <typename T>
T any(Choices& choices) {
    T value{};
    const std::string octets = choices.take(sizeof value);
    std::memcpy(&value, octets.data(), octets.size());
    return value;
}

template <typename T>
bool same(const std::optional<T>& read, const T& written) {
    return read && std::memcmp(&*read, &written, sizeof written) == 0;
}

base::WallTime any_time(Choices& choices) {
    return base::wall_from_unix_ms(any<std::uint32_t>(choices) * std::int64_t{1000});
}

struct Commit {
    explicit Commit(Choices& choices)
        : id(any<std::uint64_t>(choices)), arrival(any_time(choices)) {
        envelope.set_reverse_path(choices.take(choices.below(40)));
        for (std::size_t i = choices.below(20); i > 0; --i) {
            envelope.add_recipient(choices.take(choices.below(256)));
        }
        envelope.parameters = {choices.coin(), choices.coin(), any<std::uint64_t>(choices),
                               static_cast<mail::ReturnContent>(choices.below(3))};
        if (choices.coin()) {
            envelope.set_envelope_id(choices.word("ab+2B1", 0, 3) + "x");
        }
        for (std::size_t i = 0; i < envelope.recipient_count(); ++i) {
            const auto bits = static_cast<std::uint8_t>(choices.below(16));
            envelope.set_notify(i, {bits});
            if (choices.coin()) {
                envelope.set_original_recipient(i, "rfc822;" + choices.word("abc@.", 1, 30));
            }
        }
        facts = {0,
                 any<std::uint64_t>(choices),
                 choices.coin(),
                 choices.coin(),
                 choices.coin(),
                 choices.coin()};
        for (std::size_t i = choices.below(5); i > 0; --i) {
            pieces.push_back(any<store::Piece>(choices));
            facts.stored_bytes += pieces.back().bytes;
        }
        for (std::string& text : texts) {
            text = choices.take(choices.below(100));
        }
    }

    store::CommitParts parts() const {
        return {mail::QueueId(id), arrival,  facts,    envelope, texts[0],
                texts[1],          texts[2], texts[3], pieces,   1};
    }

    void check(const store::Record& record) const {
        store::StoredMessage read;
        RP_ASSERT(store::decode_commit(record, read));
        RP_ASSERT(read.id.value() == id && read.arrival == arrival);
        RP_ASSERT(read.facts.stored_bytes == facts.stored_bytes);
        RP_ASSERT(read.facts.stuffed_dots == facts.stuffed_dots);
        RP_ASSERT(read.facts.dot_stuffed == facts.dot_stuffed);
        RP_ASSERT(read.facts.has_8bit == facts.has_8bit);
        RP_ASSERT(read.facts.has_8bit_header == facts.has_8bit_header);
        RP_ASSERT(read.facts.ends_in_crlf == facts.ends_in_crlf);
        RP_ASSERT(read.envelope.reverse_path() == envelope.reverse_path());
        RP_ASSERT(read.envelope.recipient_count() == envelope.recipient_count());
        for (std::size_t i = 0; i < envelope.recipient_count(); ++i) {
            RP_ASSERT(read.envelope.recipient(i) == envelope.recipient(i));
            RP_ASSERT(read.envelope.notify(i) == envelope.notify(i));
            RP_ASSERT(read.envelope.original_recipient(i) == envelope.original_recipient(i));
        }
        RP_ASSERT(read.envelope.parameters.smtputf8 == envelope.parameters.smtputf8);
        RP_ASSERT(read.envelope.parameters.body_8bitmime == envelope.parameters.body_8bitmime);
        RP_ASSERT(read.envelope.parameters.size_bytes == envelope.parameters.size_bytes);
        RP_ASSERT(read.envelope.parameters.ret == envelope.parameters.ret);
        const bool id_stands = mail::is_envelope_id(envelope.envelope_id());
        RP_ASSERT(read.envelope.envelope_id() == (id_stands ? envelope.envelope_id() : ""));
        RP_ASSERT(read.client_address == texts[0] && read.helo == texts[1]);
        RP_ASSERT(read.protocol == texts[2] && read.added_headers == texts[3]);
        RP_ASSERT(read.pieces.size() == pieces.size());
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            RP_ASSERT(std::memcmp(&read.pieces[i], &pieces[i], sizeof pieces[i]) == 0);
        }
    }

    std::uint64_t id;
    base::WallTime arrival;
    mail::Envelope envelope;
    mail::ContentFacts facts;
    std::vector<store::Piece> pieces;
    std::array<std::string, 4> texts;
};

struct Outcome {
    explicit Outcome(Choices& choices)
        : reply(choices.take(choices.below(200))), relay(choices.take(choices.below(200))) {
        id = mail::QueueId(any<std::uint64_t>(choices));
        written.recipient = any<std::uint32_t>(choices);
        written.status = static_cast<store::RecipientStatus>(
            choices.below(store::kRecipientStatusMax + std::size_t{1}));
        written.attempts = any<std::uint32_t>(choices);
        written.at = any_time(choices);
        written.next_attempt = any_time(choices);
        written.code = any<std::uint16_t>(choices);
        written.dsn = {any<std::uint8_t>(choices), any<std::uint16_t>(choices),
                       any<std::uint16_t>(choices)};
        written.reply = reply;
        written.relay = relay;
        store::AttemptHistory runs;
        for (std::size_t i = choices.below(20); i > 0; --i) {
            runs.add({.first = any_time(choices),
                      .last = any_time(choices),
                      .count = 1,
                      .gap = false,
                      .code = any<std::uint16_t>(choices),
                      .status = {any<std::uint8_t>(choices), any<std::uint16_t>(choices),
                                 any<std::uint16_t>(choices)},
                      .relay = relay,
                      .reply = reply});
        }
        runs.append_to(history);
        written.history = history;
    }
    Outcome(const Outcome&) = delete;

    void check(const store::Record& record) const {
        store::StoredOutcome read;
        RP_ASSERT(store::decode_outcome(record, read));
        RP_ASSERT(read.id == id && read.recipient == written.recipient);
        RP_ASSERT(read.status == written.status && read.attempts == written.attempts);
        RP_ASSERT(read.at == written.at && read.next_attempt == written.next_attempt);
        RP_ASSERT(read.reply.code == written.code && read.reply.status == written.dsn);
        RP_ASSERT(read.reply.text == reply && read.relay == relay);
        RP_ASSERT(read.history == base::as_text(history));
    }

    mail::QueueId id;
    std::string reply;
    std::string relay;
    std::vector<std::byte> history;
    store::Outcome written;
};

// One batch: an area that begins with its header, and what stands in it.
struct Batch {
    std::vector<std::byte> area = std::vector<std::byte>(64U << 10U);
    format::BatchHeader header;
    std::uint64_t offset = 0;
};

void sign(Batch& batch, const store::RecordWriter& writer, Choices& choices,
          const format::PlaceSeed& seed) {
    batch.header.sequence = any<std::uint64_t>(choices);
    batch.header.segment = kSegment;
    batch.header.record_bytes = static_cast<std::uint32_t>(writer.size());
    batch.header.record_count = writer.count();
    batch.offset = format::kBlock * choices.below(8);
    format::sign_batch(batch.area, batch.header, seed, batch.offset);
}

// As recovery looks at it: nothing where header or records do not validate.
std::optional<store::RecordReader> open(const Batch& batch, const format::PlaceSeed& seed,
                                        std::uint64_t offset) {
    const auto header = format::batch_header_at(batch.area, seed, kSegment, offset, 1U << 20U);
    const base::Bytes behind = base::Bytes(batch.area).subspan(sizeof(format::BatchHeader));
    if (!header || header->record_bytes > behind.size() ||
        !format::records_valid(*header, behind.first(header->record_bytes), seed, offset)) {
        return std::nullopt;
    }
    RP_ASSERT(std::memcmp(&*header, &batch.header, sizeof *header) == 0);
    return store::RecordReader(behind.first(header->record_bytes), header->record_count);
}

void check_refusals(Batch& batch, Choices& choices, const format::PlaceSeed& seed) {
    RP_ASSERT(!open(batch, seed, batch.offset + format::kBlock));
    RP_ASSERT(!open(batch, format::PlaceSeed({}, 1, kSegment), batch.offset));
    RP_ASSERT(!open(batch, format::PlaceSeed({}, 0, kSegment + 1), batch.offset));
    RP_ASSERT(!open(batch, format::PlaceSeed({std::byte{1}}, 0, kSegment), batch.offset));
    const std::size_t used = sizeof batch.header + batch.header.record_bytes;
    const std::size_t at = any<std::uint32_t>(choices) % used;
    const auto bit = std::byte{1} << static_cast<unsigned>(choices.below(8));
    batch.area[at] ^= bit;
    RP_ASSERT(!open(batch, seed, batch.offset));
    batch.area[at] ^= bit;
    // Records that do not fill the area, or for which it is too small.
    const base::Bytes records =
        base::Bytes(batch.area).subspan(sizeof batch.header, batch.header.record_bytes);
    for (const std::uint32_t count :
         {batch.header.record_count - 1, batch.header.record_count + 1}) {
        store::RecordReader reader(records, count);
        while (reader.next()) {
        }
        RP_ASSERT(reader.malformed());
    }
}

void check_built(Choices choices) {
    const Commit commit(choices);
    const Outcome outcome(choices);
    const auto extent = any<format::Extent>(choices);
    const auto finish = any<format::Finish>(choices);
    const auto epoch = any<format::Epoch>(choices);
    const auto summary = any<format::Summary>(choices);
    std::vector<format::SegmentEnd> ends(choices.below(4));
    for (format::SegmentEnd& end : ends) {
        end = any<format::SegmentEnd>(choices);
    }

    Batch batch;
    store::RecordWriter writer(base::MutableBytes(batch.area).subspan(sizeof batch.header));
    writer.begin(format::RecordType::segment_open,
                 sizeof(format::SegmentOpen) + ends.size() * sizeof(format::SegmentEnd));
    writer.put(format::SegmentOpen{static_cast<std::uint32_t>(ends.size()), 0});
    for (const format::SegmentEnd& end : ends) {
        writer.put(end);
    }
    writer.end();
    store::put_outcome(writer, outcome.id, outcome.written);
    writer.put_record(format::RecordType::extent, extent);
    writer.put_record(format::RecordType::finish, finish);
    writer.put_record(format::RecordType::epoch, epoch);
    writer.put_record(format::RecordType::summary, summary);
    store::put_commit(writer, commit.parts());
    const format::PlaceSeed seed({}, 0, kSegment);
    sign(batch, writer, choices, seed);

    auto reader = open(batch, seed, batch.offset);
    RP_ASSERT(reader);
    std::vector<store::Record> records;
    while (const auto record = reader->next()) {
        records.push_back(*record);
    }
    RP_ASSERT(!reader->malformed() && records.size() == 7);
    std::vector<format::SegmentEnd> read_ends;
    RP_ASSERT(store::decode_segment_open(records[0], read_ends) && read_ends.size() == ends.size());
    for (std::size_t i = 0; i < ends.size(); ++i) {
        RP_ASSERT(std::memcmp(&ends[i], &read_ends[i], sizeof ends[i]) == 0);
    }
    outcome.check(records[1]);
    RP_ASSERT(same(store::decode_extent(records[2]), extent));
    RP_ASSERT(same(store::decode_finish(records[3]), finish));
    RP_ASSERT(same(store::decode_epoch(records[4]), epoch));
    RP_ASSERT(same(store::decode_summary(records[5]), summary));
    commit.check(records[6]);
    for (store::Record& record : records) {
        RP_ASSERT(decodes(record) == 1);
        record.payload = record.payload.first(record.payload.size() - 1);
        RP_ASSERT(decodes(record) == 0);
    }
    check_refusals(batch, choices, seed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view octets(reinterpret_cast<const char*>(data), size);
    check_built(Choices(octets));
    if (size >= sizeof(format::BatchHeader) && size <= 64 * std::size_t{format::kBlock}) {
        check_segment(base::as_bytes(octets));
    }
    return 0;
}
