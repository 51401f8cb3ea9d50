// ControlClient: asks a running server through its control socket (docs/CONTROL.md).
//
// For the commands of the command line; ordinary blocking code.
#pragma once

#include <functional>
#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace app {

class ControlClient {
  public:
    // Connects to the first of `paths` that answers. REQUIRES: at least one path. The error names
    // the paths, and what to do.
    [[nodiscard]] static base::Result<ControlClient> connect(std::span<const std::string> paths);

    ControlClient(ControlClient&& other) noexcept;
    ControlClient& operator=(ControlClient&&) = delete;
    ~ControlClient();

    // Sends one request and hands over each item of the answer as it arrives, until the end or
    // until `item` returns false;
    // and each word of progress in between. An error is the server's own, or says that it went away
    // or is no ringpost.
    [[nodiscard]] base::Status request(
        const nlohmann::json& request,
        const std::function<bool(const nlohmann::ordered_json&)>& item,
        const std::function<void(const nlohmann::ordered_json&)>& progress = {});

  private:
    ControlClient(int socket, std::string path);

    // The next line of the answer, without its end.
    [[nodiscard]] base::Result<std::string> read_line();

    int socket_;
    std::string path_;
    std::string input_;
    std::size_t consumed_ = 0;  // of input_
};

}  // namespace app
