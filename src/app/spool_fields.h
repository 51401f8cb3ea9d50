// SpoolFields: what a record of a spool says, as JSON; docs/FORMAT.md has the records.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "store/record_reader.h"
#include "store/stored_message.h"

namespace app {

// The queue id with that value.
[[nodiscard]] std::string id_text(std::uint64_t id);
// A moment of the wall clock; "never" for 0.
[[nodiscard]] std::string time_text(std::int64_t ms);

// Each has "type" first, and "id" where it is about one message.
class SpoolFields {
  public:
    using Json = nlohmann::ordered_json;

    [[nodiscard]] Json of_log(const store::Record& record);
    [[nodiscard]] static Json of_checkpoint(const store::Record& record);

  private:
    store::StoredMessage message_;  // their memory is used again
    store::StoredOutcome outcome_;
};

}  // namespace app
