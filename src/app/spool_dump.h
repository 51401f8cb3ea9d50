// SpoolDump: what `ringpost spool dump` prints: one line per segment, batch, record and page, in
// the order in which they lie there.
//
// Each line is made as JSON first; the readable form is the same fields as name=value.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "app/spool_fields.h"
#include "store/spool_check.h"

namespace app {

class SpoolDump final : public store::SpoolVisitor {
  public:
    struct Choice {
        std::optional<std::uint64_t> segment = {};
        std::optional<mail::QueueId> message = {};
        bool content = false;  // of that message; as text, nothing but that
    };
    // Findings go to `err`.
    SpoolDump(std::FILE* out, std::FILE* err, bool json, const Choice& choice)
        : out_(out), err_(err), json_(json), choice_(choice) {}

    void identity(const store::format::Identity& identity) override;
    void partition(std::uint32_t number) override { partition_ = number; }
    void checkpoint(const store::CheckpointFacts& facts) override;
    void checkpoint_record(std::uint64_t generation, std::uint32_t page, std::uint32_t index,
                           const store::Record& record) override;
    void segment(const store::SegmentFacts& facts) override;
    void batch(const store::format::BatchHeader& header, std::uint64_t offset,
               bool counts) override;
    void record(const store::RecordPlace& place, const store::Record& record) override;
    bool wants_content(mail::QueueId id) override;
    void content(mail::QueueId id, std::size_t piece, std::optional<base::Bytes> bytes) override;
    void finding(const store::Finding& finding) override;

    [[nodiscard]] std::uint64_t errors() const { return errors_; }
    // The chosen segment was there, or none was chosen.
    [[nodiscard]] bool found_segment() const { return found_segment_ || !choice_.segment; }
    // So was what is asked about the message: a record, or a commit record that names its content.
    [[nodiscard]] bool found_message() const { return found_message_ || !choice_.message; }

  private:
    using Json = SpoolFields::Json;

    [[nodiscard]] bool chosen(std::uint64_t segment) const {
        return !choice_.segment || *choice_.segment == segment;
    }
    void put(const std::string& place, const Json& fields);

    std::FILE* out_;
    std::FILE* err_;
    bool json_;
    Choice choice_;
    std::uint32_t partition_ = 0;
    std::uint64_t segment_ = 0;  // under way
    std::uint64_t errors_ = 0;
    bool found_segment_ = false;
    bool found_message_ = false;
    SpoolFields fields_;
};

}  // namespace app
