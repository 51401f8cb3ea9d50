// What the tests of the control socket share: a server in a folder of its own, and commands that
// speak to it.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "app/control_server.h"

namespace app {

// The folder is gone with the test.
class ControlFixture : public testing::Test {
  protected:
    ControlFixture() {
        std::string pattern = testing::TempDir() + "ringpost-control-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        path_ = folder_ + "/control.sock";
    }
    ~ControlFixture() override { std::filesystem::remove_all(folder_); }
    // Before what its commands look at, which the tests own.
    void TearDown() override { server_.reset(); }

    void serve(ControlCommands commands,
               std::chrono::milliseconds request_time = std::chrono::seconds(60)) {
        auto server = ControlServer::start(path_, std::move(commands), request_time);
        ASSERT_TRUE(server) << server.error().describe();
        server_ = std::move(*server);
    }

    struct Output {
        int code;
        std::string out;
        std::string err;
    };
    template <typename Options>
    Output run(int (*command)(const Options&, std::FILE*, std::FILE*), const Options& options) {
        std::FILE* out = std::tmpfile();
        std::FILE* err = std::tmpfile();
        const int code = command(options, out, err);
        return {code, read_back(out), read_back(err)};
    }

    std::string folder_;
    std::string path_;
    std::unique_ptr<ControlServer> server_;

  private:
    static std::string read_back(std::FILE* file) {
        std::rewind(file);
        std::string text(std::size_t{16} << 20U, '\0');
        text.resize(std::fread(text.data(), 1, text.size(), file));
        std::fclose(file);
        return text;
    }
};

}  // namespace app
