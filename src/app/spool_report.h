// SpoolReport: what `ringpost spool verify` prints: a line per finding and per partition, and a
// summary.
//
// In JSON each line is an object: {"type": "finding" | "partition" | "summary", …};
// docs/OPERATING.md has the fields.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "store/spool_check.h"

namespace app {

class SpoolReport final : public store::SpoolVisitor {
  public:
    SpoolReport(std::FILE* out, bool json) : out_(out), json_(json) {}

    void finding(const store::Finding& finding) override;
    void totals(const store::PartitionTotals& totals) override;
    // Behind everything else. `path`: of the spool.
    void summary(const std::string& path);

    [[nodiscard]] std::uint64_t errors() const { return errors_; }

  private:
    std::FILE* out_;
    bool json_;
    std::uint64_t errors_ = 0;
    std::uint64_t notes_ = 0;
    std::uint64_t partitions_ = 0;
    std::uint64_t messages_ = 0;
    std::uint64_t recipients_ = 0;
    std::uint64_t bytes_ = 0;
};

// "error: p000: …": the finding as a line, in plain words or as JSON.
[[nodiscard]] std::string finding_line(const store::Finding& finding, bool json);

}  // namespace app
