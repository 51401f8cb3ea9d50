// `ringpost spool dump` over one record of any type with any payload: a line of it is one line,
// safe for a terminal, and as JSON it is an object.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "app/spool_dump.h"
#include "base/assert.h"

namespace {

std::string printed(const store::Record& record, bool json) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* const out = open_memstream(&text, &size);
    RP_ASSERT(out != nullptr);
    {
        app::SpoolDump dump(out, out, json, {});
        dump.partition(3);
        dump.record({7, 9, 1}, record);
        dump.checkpoint_record(2, 1, 4, record);
        RP_ASSERT(dump.errors() == 0);
    }
    std::fclose(out);
    std::string result(text, size);
    std::free(text);
    return result;
}

}  // namespace

// A type, flags, and the payload.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) {
        return 0;
    }
    store::Record record;
    record.type = static_cast<store::format::RecordType>(data[0]);
    record.flags = data[1];
    record.version = 1;
    record.payload = base::Bytes(reinterpret_cast<const std::byte*>(data), size).subspan(2);

    const std::string text = printed(record, false);
    int lines = 0;
    for (const char c : text) {
        lines += c == '\n' ? 1 : 0;
        RP_ASSERT(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
    }
    RP_ASSERT(lines == 2);

    const std::string json = printed(record, true);
    const std::size_t end = json.find('\n');
    RP_ASSERT(end != std::string::npos && json.back() == '\n');
    for (const std::string& line : {json.substr(0, end), json.substr(end + 1)}) {
        const auto object = nlohmann::json::parse(line, nullptr, false);
        RP_ASSERT(object.is_object() && object.contains("type") && object["partition"] == 3);
    }
    return 0;
}
