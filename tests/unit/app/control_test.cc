// The control socket, and the queue commands over it, with a queue of the test's own behind the
// server.
#include "app/control_server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "app/control_client.h"
#include "app/queue_command.h"
#include "app/queue_control.h"
#include "unit/app/control_fixture.h"

namespace app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class FakeQueue final : public QueueView {
  public:
    std::vector<QueueMessage> messages;
    std::size_t pages = 0;
    store::Rule last_filter;

    base::Result<QueuePage> page(QueueCursor from, const store::Rule& filter,
                                 const QueuePageWish& wish) override {
        ++pages;
        last_filter = filter;
        QueuePage page;
        const std::size_t end = std::min(messages.size(), from.position + wish.messages_max);
        for (std::size_t i = from.position; i < end; ++i) {
            page.messages.push_back(messages[i]);
        }
        if (end < messages.size()) {
            page.next = QueueCursor{.shard = 0, .position = end};
        }
        return page;
    }
};

QueueMessage message(std::uint64_t sequence) {
    const base::WallTime now(std::chrono::duration_cast<base::Duration>(
        std::chrono::system_clock::now().time_since_epoch()));
    return {.id = mail::QueueId(0, 1, sequence),
            .arrival = now - std::chrono::days(3),
            .size_bytes = 12'345,
            .sender = "alice@src.test",
            .recipients = {{.address = "bob@dst.test",
                            .state = RecipientState::deferred,
                            .waits_for = WaitsFor::time,
                            .next_attempt = now + std::chrono::days(2),
                            .attempts = 3,
                            .last_reply = "451 4.3.0 try again"},
                           {.address = "carol@dst.test",
                            .state = RecipientState::delivered,
                            .next_attempt = {},
                            .attempts = 1,
                            .last_reply = "250 2.0.0 Ok"}}};
}

class Control : public ControlFixture {
  protected:
    void start(std::chrono::milliseconds request_time = std::chrono::seconds(60)) {
        ControlCommands commands;
        add_queue_commands(commands, queue_);
        serve(std::move(commands), request_time);
    }

    // Sends raw bytes and returns all that comes back until the server closes, or, with `lines`, so
    // many lines.
    std::string exchange(std::string_view bytes, std::ptrdiff_t lines) {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(static_cast<char*>(address.sun_path), path_.size());
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
        std::string answer;
        char buffer[4096];
        while (std::ranges::count(answer, '\n') < lines) {
            const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
            if (got <= 0) {
                break;
            }
            answer.append(buffer, static_cast<std::size_t>(got));
        }
        ::close(fd);
        return answer;
    }

    FakeQueue queue_;
};

TEST_F(Control, ListsAsJsonLines) {
    queue_.messages = {message(1), message(2)};
    queue_.messages[1].sender.clear();
    queue_.messages[1].recipients.pop_back();
    queue_.messages[1].recipients[0].state = RecipientState::pending;
    queue_.messages[1].recipients[0].waits_for = WaitsFor::site;
    queue_.messages[1].recipients[0].next_attempt = {};
    start();
    const Output output =
        run(run_queue_list, QueueListOptions{.server = {.control = path_}, .json = true});
    EXPECT_EQ(output.code, 0) << output.err;
    const std::size_t end = output.out.find('\n');
    const auto first = nlohmann::json::parse(output.out.substr(0, end));
    EXPECT_EQ(first["id"], mail::view(queue_.messages[0].id.text()));
    EXPECT_EQ(first["size_bytes"], 12'345);
    EXPECT_EQ(first["sender"], "alice@src.test");
    EXPECT_EQ(first["state"], "deferred");
    EXPECT_GE(first["age_s"], 3 * 86400);
    EXPECT_EQ(first["arrival"].get<std::string>().size(), 24U);
    EXPECT_EQ(first["recipients"].size(), 2U);
    EXPECT_EQ(first["recipients"][0]["address"], "bob@dst.test");
    EXPECT_EQ(first["recipients"][0]["state"], "deferred");
    EXPECT_EQ(first["recipients"][0]["attempts"], 3);
    EXPECT_EQ(first["recipients"][0]["last_reply"], "451 4.3.0 try again");
    EXPECT_EQ(first["recipients"][0]["waits_for"], "time");
    EXPECT_EQ(first["recipients"][0]["next_attempt"], first["next_attempt"]);
    EXPECT_GT(first["next_attempt_in_s"], 86400);
    EXPECT_TRUE(first["recipients"][1]["next_attempt"].is_null());
    EXPECT_TRUE(first["recipients"][1]["waits_for"].is_null());
    const auto second = nlohmann::json::parse(output.out.substr(end + 1));
    EXPECT_EQ(second["sender"], "");
    EXPECT_EQ(second["state"], "pending");
    EXPECT_TRUE(second["next_attempt"].is_null());
    EXPECT_EQ(second["recipients"][0]["waits_for"], "site");
}

TEST_F(Control, ListsForPeople) {
    queue_.messages = {message(1)};
    queue_.messages[0].recipients[0].last_reply = "451 evil \x1b[2J\r\nreply";
    start();
    const Output output = run(run_queue_list, QueueListOptions{.server = {.control = path_}});
    EXPECT_EQ(output.code, 0) << output.err;
    EXPECT_THAT(output.out, StartsWith("ID "));
    EXPECT_THAT(output.out, HasSubstr("0000020000001    3d00h     12.3 kB  <alice@src.test>\n"));
    EXPECT_THAT(
        output.out,
        HasSubstr(
            "    deferred   bob@dst.test  3 attempts, next in 1d23h  451 evil \\x1b[2J reply\n"));
    EXPECT_THAT(output.out, HasSubstr("    delivered  carol@dst.test  1 attempt  250 2.0.0 Ok\n"));
    EXPECT_THAT(output.out, HasSubstr("\n1 message, 2 recipients, 12.3 kB\n"));
}

// What is due has no time to wait for: there is no "next in 0s".
TEST_F(Control, SaysWhatIsWaitedForBesidesTime) {
    queue_.messages = {message(1)};
    std::vector<QueueRecipient>& recipients = queue_.messages[0].recipients;
    recipients[0].waits_for = WaitsFor::site;
    recipients[0].next_attempt = {};
    recipients[1] = {.address = "carol@dst.test", .waits_for = WaitsFor::turn, .last_reply = ""};
    start();
    const Output output = run(run_queue_list, QueueListOptions{.server = {.control = path_}});
    EXPECT_THAT(output.out, HasSubstr("bob@dst.test  3 attempts, waits for the next hop  451"));
    EXPECT_THAT(output.out, HasSubstr("carol@dst.test  0 attempts, due\n"));
}

TEST_F(Control, SaysThatTheQueueIsEmpty) {
    start();
    EXPECT_EQ(run(run_queue_list, QueueListOptions{.server = {.control = path_}}).out,
              "The queue is empty.\n");
    EXPECT_EQ(run(run_queue_list, QueueListOptions{.server = {.control = path_}, .json = true}).out,
              "");
}

TEST_F(Control, StreamsALongQueueInPages) {
    for (std::uint64_t i = 1; i <= 5000; ++i) {
        queue_.messages.push_back(message(i));
    }
    start();
    const Output all =
        run(run_queue_list, QueueListOptions{.server = {.control = path_}, .json = true});
    EXPECT_EQ(all.code, 0) << all.err;
    EXPECT_EQ(std::ranges::count(all.out, '\n'), 5000);
    EXPECT_GE(queue_.pages, 25U);
    const Output some = run(
        run_queue_list, QueueListOptions{.server = {.control = path_}, .json = true, .limit = 201});
    EXPECT_EQ(std::ranges::count(some.out, '\n'), 201);
}

TEST_F(Control, ManyRecipientsAreCutInTheList) {
    queue_.messages = {message(1)};
    for (int i = 0; i < 1000; ++i) {
        queue_.messages[0].recipients.push_back(
            {.address = "r" + std::to_string(i) + "@dst.test", .last_reply = ""});
    }
    start();
    const std::string id(mail::view(queue_.messages[0].id.text()));
    const Output list = run(run_queue_list, QueueListOptions{.server = {.control = path_}});
    EXPECT_THAT(list.out,
                HasSubstr("    … and 992 more; `ringpost queue show " + id + "` has all\n"));
}

TEST_F(Control, SaysThatNoServerRuns) {
    const Output output = run(run_queue_list, QueueListOptions{.server = {.control = path_}});
    EXPECT_EQ(output.code, 1);
    EXPECT_EQ(output.err, "ringpost: no ringpost answers at " + path_ +
                              ": No such file or directory; is it running? --control or --spool "
                              "says where else to look\n");
}

TEST_F(Control, FindsTheServerByItsConfigurationOrSpool) {
    start();
    EXPECT_EQ(run(run_queue_list, QueueListOptions{.server = {.spool = folder_}}).code, 0);
    const std::string file = folder_ + "/ringpost.toml";
    const std::string rest =
        "[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:25\"\n[[route]]\nhosts = "
        "[\"127.0.0.1:26\"]\n";
    std::ofstream(file) << "hostname = \"a.b\"\nspool = \"/x\"\ncontrol = \"" << path_ << "\"\n"
                        << rest;
    EXPECT_EQ(run(run_queue_list, QueueListOptions{.server = {.config_path = file}}).code, 0);
    // The server may run as another user than who asks: without `control`, both defaults are tried.
    std::ofstream(file) << "hostname = \"a.b\"\nspool = \"" << folder_ << "\"\n" << rest;
    EXPECT_EQ(run(run_queue_list, QueueListOptions{.server = {.config_path = file}}).code, 0);
    std::ofstream(file) << "hostnme = 1\n";
    const Output broken = run(run_queue_list, QueueListOptions{.server = {.config_path = file}});
    EXPECT_EQ(broken.code, 1);
    EXPECT_THAT(broken.err, HasSubstr("did you mean \"hostname\"?"));
    EXPECT_THAT(broken.err, HasSubstr("--control PATH or --spool DIR does too\n"));
}

TEST_F(Control, TextThatIsNotUtf8Arrives) {
    queue_.messages = {message(1)};
    queue_.messages[0].sender = "\xff@src.test";
    start();
    const Output output =
        run(run_queue_list, QueueListOptions{.server = {.control = path_}, .json = true});
    EXPECT_EQ(output.code, 0) << output.err;
    EXPECT_THAT(output.out, HasSubstr("\"sender\":\"\\ufffd@src.test\""));
}

TEST_F(Control, ARequestThatIsTooLongIsRefusedInWords) {
    start();
    const std::vector<std::string> ids(5000, "000002000000G");
    const Output output =
        run(run_queue_list, QueueListOptions{.server = {.control = path_}, .filter = {.ids = ids}});
    EXPECT_EQ(output.code, 1);
    EXPECT_THAT(output.err, HasSubstr("the server takes 65536 at most"));
}

TEST_F(Control, AnswersBadRequestsAndGoesOn) {
    start();
    EXPECT_THAT(exchange("nonsense\n", 1), HasSubstr("{\"error\":\"a request is a JSON object"));
    EXPECT_THAT(exchange("[]\n", 1), HasSubstr("{\"error\":\"a request is a JSON object"));
    EXPECT_THAT(exchange("{\"command\":5}\n", 1), HasSubstr("{\"error\":"));
    EXPECT_THAT(exchange("{\"command\":\"dance\"}\n", 1), HasSubstr("unknown command"));
    EXPECT_THAT(exchange("{\"command\":\"queue list\",\"limit\":-1}\n", 1),
                HasSubstr("not a number of messages"));
    EXPECT_THAT(exchange("\xff\n", 1), HasSubstr("{\"error\":"));
    // Several on one connection, in pieces of any size.
    EXPECT_EQ(exchange("{\"command\":\"queue list\"}\n{\"command\":\"queue list\"}\n", 2),
              "{\"done\":true}\n{\"done\":true}\n");
}

TEST_F(Control, BreaksOffARequestWithoutAnEnd) {
    start();
    EXPECT_EQ(exchange(std::string(std::size_t{64} << 10U, 'x'), 1),
              "{\"error\":\"a request has at most 64 KiB\"}\n");
    EXPECT_EQ(exchange("{\"command\":\"queue list\"}\n", 1), "{\"done\":true}\n");
}

// One byte now and then keeps no connection: the whole request has its time.
TEST_F(Control, BreaksOffARequestThatDrips) {
    start(std::chrono::milliseconds(200));
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(static_cast<char*>(address.sun_path), path_.size());
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    bool broken = false;
    for (int i = 0; i < 3000 && !broken; ++i) {
        broken = ::send(fd, " ", 1, MSG_NOSIGNAL) != 1;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_TRUE(broken);
    ::close(fd);
}

// Its backlog is full for good: the wait for it has an end.
TEST_F(Control, NoServerThatAcceptsNothingHoldsAStartOrAClient) {
    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(static_cast<char*>(address.sun_path), path_.size());
    ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener, 0), 0);
    const int first = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::connect(first, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const auto server = ControlServer::start(path_, {});
    ASSERT_FALSE(server);
    EXPECT_THAT(server.error().text(), HasSubstr("is taken and does not answer"));
    const std::vector<std::string> paths = {path_};
    EXPECT_FALSE(ControlClient::connect(paths));
    ::close(first);
    ::close(listener);
}

TEST_F(Control, BoundsItsPeers) {
    start();
    std::vector<ControlClient> clients;
    const std::string paths[] = {path_};
    for (int i = 0; i < 16; ++i) {
        auto client = ControlClient::connect(paths);
        ASSERT_TRUE(client);
        // An answer shows that the server has taken it.
        ASSERT_TRUE(client->request({{"command", "queue list"}}, [](const auto&) { return true; }));
        clients.push_back(std::move(*client));
    }
    auto client = ControlClient::connect(paths);
    ASSERT_TRUE(client);
    const base::Status refused =
        client->request({{"command", "queue list"}}, [](const auto&) { return true; });
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().text(), HasSubstr("too many control connections"));
}

TEST_F(Control, StopsWithPeersConnected) {
    queue_.messages.assign(20'000, message(1));  // more than the socket's buffers hold
    start();
    const std::string paths[] = {path_};
    auto idle = ControlClient::connect(paths);
    ASSERT_TRUE(idle);
    auto reading = ControlClient::connect(paths);
    ASSERT_TRUE(reading);
    std::uint64_t items = 0;
    const base::Status status = reading->request({{"command", "queue list"}}, [&](const auto&) {
        if (++items == 1) {
            server_.reset();
        }
        return true;
    });
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().text(), HasSubstr("went away before the end"));
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Control, IsForItsUserAlone) {
    start();
    struct stat status{};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(Control, ReplacesWhatAKilledServerLeft) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(static_cast<char*>(address.sun_path), path_.size());
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
    EXPECT_TRUE(ControlServer::may_start(path_));
    EXPECT_TRUE(std::filesystem::exists(path_));
    start();
    EXPECT_EQ(exchange("{\"command\":\"queue list\"}\n", 1), "{\"done\":true}\n");
}

TEST_F(Control, LeavesWhatIsNotItsOwn) {
    start();
    EXPECT_FALSE(ControlServer::may_start(path_));
    EXPECT_EQ(exchange("{\"command\":\"queue list\"}\n", 1), "{\"done\":true}\n");
    const auto second = ControlServer::start(path_, {});
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().text(), HasSubstr("another ringpost answers there"));
    const std::string file = folder_ + "/file";
    std::ofstream(file) << "precious";
    const auto on_file = ControlServer::start(file, {});
    ASSERT_FALSE(on_file);
    EXPECT_THAT(on_file.error().text(), HasSubstr("no socket is in its place"));
    EXPECT_TRUE(std::filesystem::exists(file));
    EXPECT_FALSE(ControlServer::start(folder_ + "/a/b/c", {}));
    EXPECT_FALSE(ControlServer::start(std::string(200, 'x'), {}));
}

TEST_F(Control, MakesItsDirectory) {
    path_ = folder_ + "/run/control.sock";
    EXPECT_TRUE(ControlServer::may_start(path_));
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/run"));
    start();
    EXPECT_TRUE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace app
