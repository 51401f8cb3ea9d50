// What the commands of `ringpost queue` share on the client's side: the way to the server, fields
// of its answers, and how they are printed. Ordinary blocking code.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "app/clean_text.h"
#include "app/control_client.h"
#include "app/queue_command.h"

namespace app {

// False when the file takes it no more.
bool put(std::FILE* out, std::string_view text);
// Behind all that was put. Gives the program's exit code: 1 where not all could be written.
[[nodiscard]] int end_output(std::FILE* out, std::FILE* err);
// A sentence on `err`. Gives the program's exit code.
int complain(std::FILE* err, const std::string& text);
// Nothing when that failed, which was said on `err` then.
[[nodiscard]] std::optional<ControlClient> connect_to_server(const ServerPlace& place,
                                                             std::FILE* err);

// Fields of a server's answer, whatever it holds: "", 0 and an empty list where they are none.
[[nodiscard]] std::string text_at(const nlohmann::ordered_json& json, const char* name);
[[nodiscard]] std::int64_t number_at(const nlohmann::ordered_json& json, const char* name);
[[nodiscard]] const nlohmann::ordered_json& list_at(const nlohmann::ordered_json& json,
                                                    const char* name);
[[nodiscard]] bool flag_at(const nlohmann::ordered_json& json, const char* name);
[[nodiscard]] bool is_readable(const nlohmann::ordered_json& message);

// "12.3 kB".
[[nodiscard]] std::string print_bytes(std::int64_t bytes);
// "37 %": how far a command has come. What it counts are places of the queue, not messages.
[[nodiscard]] std::string looked_at_text(const nlohmann::ordered_json& progress);
[[nodiscard]] std::string cleaned(const std::string& text, CleanStyle style);
// "    deferred  bob@dst.test  3 attempts, next in 48s  451 4.3.0 try again"
[[nodiscard]] std::string recipient_line(const nlohmann::ordered_json& recipient, bool readable);
[[nodiscard]] std::string sender_of(const nlohmann::ordered_json& message);
// Why the relay itself holds it, on a line of its own; "" where it does not.
[[nodiscard]] std::string hold_line(const nlohmann::ordered_json& message, std::string_view label);
// How far a command has come, on one line of `err` that is written again and again; nothing where
// that is no terminal. end() wipes it away.
class ProgressLine {
  public:
    explicit ProgressLine(std::FILE* err);
    void show(const nlohmann::ordered_json& progress);
    void end();

  private:
    std::FILE* err_;
    bool terminal_;
    bool shown_ = false;
};
// One item of an answer; false: no more of them.
using AnswerItem = std::function<bool(const nlohmann::ordered_json& item, ProgressLine& line)>;
// Asks for what the filter means, with the progress shown. False: it failed, as `err` says, behind
// what was put to `out` by then.
[[nodiscard]] bool ask(const ServerPlace& server, const QueueFilterOptions& filter,
                       nlohmann::json request, std::FILE* out, std::FILE* err,
                       const AnswerItem& item);
// In ASCII, with what is not UTF-8 replaced.
[[nodiscard]] std::string dump(const nlohmann::ordered_json& json, int indent);

}  // namespace app
