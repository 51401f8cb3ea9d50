// smtp::Client against a scripted server, over the simulated network: time-outs cost no time.
#include "smtp/client.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/shard_net.h"
#include "rt/scope.h"
#include "rt/shard.h"
#include "sim/host.h"
#include "sim/sim_driver.h"
#include "sim/world.h"
#include "unit/smtp/scripted_server.h"

namespace smtp {
namespace {

using test::ScriptedServer;
using testing::ElementsAre;
using testing::HasSubstr;

// A message in memory, given in spans of a chosen size.
class TextSource final : public mail::MessageSource {
  public:
    TextSource(std::string stored, bool dot_stuffed) : stored_(std::move(stored)) {
        facts_.stored_bytes = stored_.size();
        facts_.dot_stuffed = dot_stuffed;
        facts_.ends_in_crlf = stored_.ends_with("\r\n");
        for (std::size_t at = 0; at < stored_.size();) {
            facts_.stuffed_dots += dot_stuffed && stored_[at] == '.' ? 1 : 0;
            const std::size_t end = stored_.find("\r\n", at);
            at = end == std::string::npos ? stored_.size() : end + 2;
        }
        for (const char c : stored_) {
            facts_.has_8bit = facts_.has_8bit || static_cast<unsigned char>(c) > 127;
        }
    }
    [[nodiscard]] const mail::ContentFacts& facts() const override { return facts_; }
    [[nodiscard]] std::string_view added_headers() const override { return headers; }
    [[nodiscard]] mail::SourceState next(std::string_view& span, base::Waiter&) override {
        if (at_ >= fail_at) {
            return mail::SourceState::failed;
        }
        if (at_ == stored_.size()) {
            return mail::SourceState::end;
        }
        span = std::string_view(stored_).substr(at_, span_bytes);
        at_ += span.size();
        return mail::SourceState::ready;
    }
    void rewind() override { at_ = 0; }

    std::string headers = "Received: from here\r\n";
    std::size_t span_bytes = 4096;
    std::size_t fail_at = SIZE_MAX;
    mail::ContentFacts facts_;

  private:
    std::string stored_;
    std::size_t at_ = 0;
};

class ClientTest : public testing::Test {
  protected:
    explicit ClientTest(const sim::Options& world = {})
        : world_(1, world), host_(world_.add_host("relay")), server_(world_) {
        host_.set_program({.start = [this] { build(); },
                           .end =
                               [this] {
                                   net_.reset();
                                   shard_.reset();
                               }});
        host_.start();
        server_.listen("10.0.0.1:25");
        target_ = target("10.0.0.1:25");
    }
    ~ClientTest() override {
        client_.reset();
        scope_.reset();
        host_.stop();
    }

    mail::ReturnContent ret_ = mail::ReturnContent::unspecified;
    std::string_view envelope_id_;
    std::vector<Request::RecipientDsn> dsn_;

    static Target target(const char* address) {
        return {address, *io::SocketAddress::parse(address)};
    }
    void build() {
        sim::SimDriver& driver = host_.add_driver();
        shard_ = std::make_unique<rt::Shard>(0, driver);
        driver.set_turn([this] { shard_->turn(); });
        net_ = *net::ShardNet::create(*shard_, {.buffers = 16, .buffer_bytes = 2048});
        scope_ = std::make_unique<rt::Scope>(*shard_, "test");
        client_ = std::make_unique<Client>(*net_, limits_, "relay.test");
    }
    void run(rt::Task<void> task) {
        scope_->spawn(std::move(task));
        shard_->driver().wake();
        ASSERT_TRUE(
            world_.run_until([this] { return scope_->size() == 0; }, std::chrono::hours(2)));
    }
    static rt::Task<void> connecting(Client& client, const Target& target, bool& done) {
        done = co_await client.connect(target);
    }
    static rt::Task<void> delivering(Client& client, const Request& request,
                                     mail::MessageSource& source) {
        co_await client.deliver(request, source);
    }
    static rt::Task<void> closing(Client& client) { co_await client.close(); }

    bool connect() {
        bool done = false;
        run(connecting(*client_, target_, done));
        return done;
    }
    void deliver(TextSource& source) {
        request_ = {.reverse_path = from_, .recipients = to_, .smtputf8 = smtputf8_};
        request_.ret = ret_;
        request_.envelope_id = envelope_id_;
        request_.dsn = dsn_;
        source.rewind();
        run(delivering(*client_, request_, source));
    }
    void close() { run(closing(*client_)); }
    // Connects, delivers, closes.
    void exchange(TextSource& source) {
        ASSERT_TRUE(connect()) << client_->failure().text;
        deliver(source);
        usable_ = client_->usable();
        close();
    }
    // PIPELINING alone, or CHUNKING too; forgets the commands seen.
    void offer_chunking(bool chunking) {
        server_.extensions = {"PIPELINING"};
        if (chunking) {
            server_.extensions.emplace_back("CHUNKING");
        }
        server_.lines.clear();
    }
    bool saw(std::string_view verb) {
        return std::ranges::any_of(
            server_.lines, [verb](const std::string& line) { return line.starts_with(verb); });
    }
    RecipientState state(std::size_t i) { return client_->transaction().state(i); }
    const mail::Reply& reply(std::size_t i) { return client_->transaction().reply(i); }

    Limits limits_;
    sim::World world_;
    sim::Host& host_;
    ScriptedServer server_;
    std::unique_ptr<rt::Shard> shard_;
    std::unique_ptr<net::ShardNet> net_;
    std::unique_ptr<rt::Scope> scope_;
    std::unique_ptr<Client> client_;
    Target target_;
    std::string from_ = "a@src.test";
    std::vector<std::string_view> to_ = {"b@dst.test"};
    bool smtputf8_ = false;
    bool usable_ = false;
    Request request_;
};

const char* const kBody = "Subject: x\r\n\r\nHello\r\n";

TEST_F(ClientTest, DsnParametersGoWhereTheyAreOffered) {
    ret_ = mail::ReturnContent::full;
    envelope_id_ = "QQ+2B1";
    to_ = {"b@dst.test", "c@dst.test"};
    dsn_ = {{.notify = {mail::Notify::kSuccess | mail::Notify::kDelay},
             .original_recipient = "utf-8;jos\xc3\xa9@dst.test"},
            {}};
    TextSource source("Subject: x\r\n\r\nHello\r\n", true);
    exchange(source);
    EXPECT_THAT(server_.lines, testing::Contains("MAIL FROM:<a@src.test>"));
    EXPECT_THAT(server_.lines, testing::Contains("RCPT TO:<b@dst.test>"));
    server_.lines.clear();
    server_.extensions.emplace_back("DSN");
    exchange(source);
    EXPECT_THAT(server_.lines, testing::Contains("MAIL FROM:<a@src.test> RET=FULL ENVID=QQ+2B1"));
    EXPECT_THAT(server_.lines, testing::Contains("RCPT TO:<b@dst.test> NOTIFY=SUCCESS,DELAY "
                                                 "ORCPT=utf-8;jos\\x{E9}@dst.test"));
    EXPECT_THAT(server_.lines, testing::Contains("RCPT TO:<c@dst.test>"));
}

TEST_F(ClientTest, DeliversByData) {
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    EXPECT_EQ(reply(0).text, "taken");
    ASSERT_EQ(server_.taken.size(), 1U);
    EXPECT_EQ(server_.taken[0].content, std::string("Received: from here\r\n") + kBody);
    EXPECT_THAT(server_.lines, ElementsAre("EHLO relay.test", "MAIL FROM:<a@src.test>",
                                           "RCPT TO:<b@dst.test>", "DATA", "QUIT"));
    EXPECT_TRUE(usable_);
    EXPECT_EQ(net_->leased(), 0U);
}

TEST_F(ClientTest, PipelinesTheEnvelope) {
    to_ = {"b@dst.test", "c@dst.test"};
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_THAT(server_.pieces,
                testing::Contains("MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\n"
                                  "RCPT TO:<c@dst.test>\r\nDATA\r\n"));
}

TEST_F(ClientTest, WithoutPipeliningOneCommandAtATime) {
    server_.extensions = {};
    to_ = {"b@dst.test", "c@dst.test"};
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(1), RecipientState::delivered);
    EXPECT_THAT(server_.pieces, testing::IsSupersetOf({"MAIL FROM:<a@src.test>\r\n",
                                                       "RCPT TO:<b@dst.test>\r\n", "DATA\r\n"}));
}

TEST_F(ClientTest, FallsBackToHelo) {
    server_.reply = [](const std::string& line) {
        return line.starts_with("EHLO") ? "502 5.5.1 what\r\n" : "";
    };
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    EXPECT_EQ(server_.lines[1], "HELO relay.test");
}

TEST_F(ClientTest, SmallMessageLeavesInOnePieceByBdat) {
    server_.extensions = {"PIPELINING", "CHUNKING", "SIZE 1000000"};
    TextSource source("Subject: x\r\n\r\n..dot\r\n", true);
    exchange(source);
    ASSERT_EQ(server_.taken.size(), 1U);
    EXPECT_TRUE(server_.taken[0].by_chunks);
    EXPECT_EQ(server_.taken[0].content, "Received: from here\r\nSubject: x\r\n\r\n.dot\r\n");
    EXPECT_THAT(server_.pieces,
                testing::Contains(HasSubstr("RCPT TO:<b@dst.test>\r\nBDAT 41 LAST\r\n")));
    EXPECT_EQ(server_.taken[0].mail_line, "MAIL FROM:<a@src.test> SIZE=41");
}

TEST_F(ClientTest, LargeMessagesByBdatAndDataAreWhole) {
    for (const bool chunking : {true, false}) {
        for (const std::size_t span : {1U, 7U, 4096U, 65536U}) {
            std::string stored = "Subject: x\r\n\r\n";
            for (int i = 0; i < (span < 100 ? 40 : 9000); ++i) {
                stored += "..line " + std::to_string(i) + "\r\n";
            }
            offer_chunking(chunking);
            server_.taken.clear();
            TextSource source(stored, true);
            source.span_bytes = span;
            exchange(source);
            ASSERT_EQ(state(0), RecipientState::delivered);
            ASSERT_EQ(server_.taken.size(), 1U);
            std::string expected = source.headers + stored;
            for (std::size_t at = 0; (at = expected.find("\r\n..", at)) != std::string::npos;) {
                expected.erase(at + 2, 1);
            }
            EXPECT_EQ(server_.taken[0].content, expected) << chunking << ' ' << span;
        }
    }
}

TEST_F(ClientTest, UnstuffedContentIsStuffedForData) {
    TextSource source("Subject: x\r\n\r\n.\r\n.x", false);
    exchange(source);
    ASSERT_EQ(server_.taken.size(), 1U);
    EXPECT_EQ(server_.taken[0].content, "Received: from here\r\nSubject: x\r\n\r\n.\r\n.x\r\n");
}

TEST_F(ClientTest, EmptyMessage) {
    for (const bool chunking : {true, false}) {
        offer_chunking(chunking);
        TextSource source("", true);
        source.headers = "";
        exchange(source);
        EXPECT_EQ(state(0), RecipientState::delivered);
        EXPECT_EQ(server_.taken.back().content, "");
    }
}

TEST_F(ClientTest, RepliesAreForEachRecipient) {
    for (const bool chunking : {true, false}) {
        offer_chunking(chunking);
        server_.reply = [](const std::string& line) -> std::string {
            if (line == "RCPT TO:<no@dst.test>") {
                return "550 5.1.1 unknown\r\n";
            }
            return line == "RCPT TO:<later@dst.test>" ? "450 4.2.0 greylisted\r\n" : "";
        };
        to_ = {"no@dst.test", "yes@dst.test", "later@dst.test"};
        TextSource source(kBody, true);
        exchange(source);
        EXPECT_EQ(state(0), RecipientState::failed);
        EXPECT_EQ(reply(0).status, (mail::EnhancedStatus{5, 1, 1}));
        EXPECT_EQ(state(1), RecipientState::delivered);
        EXPECT_EQ(state(2), RecipientState::deferred);
        EXPECT_EQ(reply(2).text, "greylisted");
        EXPECT_THAT(server_.taken.back().recipients, ElementsAre("<yes@dst.test>"));
        EXPECT_EQ(server_.taken.back().by_chunks, chunking);
    }
}

TEST_F(ClientTest, AllRefusedButDataAcceptedSendsALoneDot) {
    server_.reply = [](const std::string& line) -> std::string {
        if (line.starts_with("RCPT")) {
            return "550 5.1.1 unknown\r\n";
        }
        return line == "DATA" ? "354 go on\r\n" : "";
    };
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    EXPECT_TRUE(usable_);
    EXPECT_TRUE(server_.taken.empty());
    EXPECT_EQ(server_.lines.back(), "QUIT");
}

TEST_F(ClientTest, AllRefusedByBdatThenTheNextTransactionIsReset) {
    server_.extensions.emplace_back("CHUNKING");
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("RCPT TO:<no") ? "550 5.1.1 unknown\r\n" : "";
    };
    to_ = {"no@dst.test"};
    TextSource source(kBody, true);
    ASSERT_TRUE(connect());
    deliver(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    ASSERT_TRUE(client_->usable());
    to_ = {"yes@dst.test"};
    deliver(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    EXPECT_THAT(server_.lines, testing::Contains("RSET"));
    close();
}

TEST_F(ClientTest, AllRefusedWithoutPipeliningLeavesOutData) {
    server_.extensions = {};
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("RCPT TO:<no") ? "550 5.1.1 unknown\r\n" : "";
    };
    to_ = {"no@dst.test"};
    TextSource source(kBody, true);
    ASSERT_TRUE(connect());
    deliver(source);
    EXPECT_THAT(server_.lines, testing::Not(testing::Contains("DATA")));
    to_ = {"yes@dst.test"};
    deliver(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    EXPECT_EQ(server_.lines[3], "RSET");
    close();
}

TEST_F(ClientTest, MailRefusedStandsForAllRecipients) {
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("MAIL") ? "550 5.7.1 not you\r\n" : "";
    };
    to_ = {"b@dst.test", "c@dst.test"};
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    EXPECT_EQ(reply(1).text, "not you");
    EXPECT_TRUE(usable_);
}

TEST_F(ClientTest, ContentRefusedForGoodOrForNow) {
    for (const bool chunking : {true, false}) {
        offer_chunking(chunking);
        for (const bool permanent : {true, false}) {
            server_.reply = [permanent](const std::string& line) -> std::string {
                const bool end = line == "." || line.starts_with("BDAT");
                return end ? (permanent ? "554 5.6.0 no\r\n" : "451 4.3.0 later\r\n") : "";
            };
            TextSource source(kBody, true);
            exchange(source);
            EXPECT_EQ(state(0), permanent ? RecipientState::failed : RecipientState::deferred);
            EXPECT_TRUE(usable_);
            EXPECT_EQ(saw("BDAT"), chunking);
            EXPECT_EQ(saw("DATA"), !chunking);
        }
    }
}

TEST_F(ClientTest, ARefusedChunkEndsTheTransaction) {
    server_.extensions = {"CHUNKING", "PIPELINING"};
    int chunks = 0;
    server_.reply = [&chunks](const std::string& line) -> std::string {
        return line.starts_with("BDAT") && ++chunks >= 3 ? "452 4.3.1 full\r\n" : "";
    };
    TextSource source(std::string(400'000, 'x'), true);
    ASSERT_TRUE(connect());
    deliver(source);
    EXPECT_EQ(state(0), RecipientState::deferred);
    EXPECT_EQ(reply(0).code, 452);
    EXPECT_FALSE(client_->transaction().possible_duplicate(0));
    EXPECT_LT(chunks, 60);
    ASSERT_TRUE(client_->usable());
    server_.reply = nullptr;
    deliver(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    EXPECT_EQ(server_.taken.at(0).content.size(), 400'000 + source.headers.size());
    close();
}

TEST_F(ClientTest, ServerThatClosesAnywhereDefers) {
    for (const char* where : {"MAIL", "RCPT", "DATA", "."}) {
        for (const bool with_words : {true, false}) {
            server_.reply = [where, with_words](const std::string& line) -> std::string {
                if (!line.starts_with(where)) {
                    return "";
                }
                return with_words ? "!close421 4.3.2 going down\r\n" : "!close";
            };
            TextSource source(kBody, true);
            exchange(source);
            EXPECT_EQ(state(0), RecipientState::deferred) << where;
            EXPECT_EQ(reply(0).code, with_words ? 421 : 0) << where;
            EXPECT_FALSE(usable_);
            const bool lost_end = std::string_view(where) == "." && !with_words;
            EXPECT_EQ(client_->transaction().possible_duplicate(0), lost_end);
            EXPECT_EQ(client_->transaction().mail_answered(), std::string_view(where) != "MAIL");
        }
    }
}

TEST_F(ClientTest, MailGoesAloneWhereThatIsAskedFor) {
    offer_chunking(true);
    ASSERT_TRUE(connect());
    for (const bool alone : {true, false}) {
        server_.pieces.clear();
        request_ = {.reverse_path = from_, .recipients = to_, .mail_alone = alone};
        TextSource source(kBody, true);
        run(delivering(*client_, request_, source));
        EXPECT_EQ(state(0), RecipientState::delivered);
        ASSERT_FALSE(server_.pieces.empty());
        EXPECT_EQ(server_.pieces[0] == "MAIL FROM:<a@src.test>\r\n", alone);
    }
    close();
}

// The network takes a small message in several parts.
class SmallBuffersClientTest : public ClientTest {
  protected:
    SmallBuffersClientTest() : ClientTest(small_buffers()) {}

    static sim::Options small_buffers() {
        sim::Options options;
        options.socket_buffer_least = options.socket_buffer_most = 16U << 10U;
        return options;
    }
};

// The server answers MAIL, and is gone before all of the message has left.
TEST_F(SmallBuffersClientTest, MailsAnswerIsHeardBehindASendThatFails) {
    offer_chunking(true);
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("RCPT") ? "!silent" : "";
    };
    ASSERT_TRUE(connect());
    request_ = {.reverse_path = from_, .recipients = to_};
    TextSource source("Subject: x\r\n\r\n" + std::string(60'000, 'x') + "\r\n", true);
    source.span_bytes = SIZE_MAX;
    scope_->spawn(delivering(*client_, request_, source));
    shard_->driver().wake();
    world_.run_for(std::chrono::seconds(10));
    server_.close_connections();
    ASSERT_TRUE(world_.run_until([this] { return scope_->size() == 0; }, std::chrono::minutes(1)));
    EXPECT_EQ(state(0), RecipientState::deferred);
    EXPECT_TRUE(client_->transaction().mail_answered());
    close();
}

// A small message has left with its envelope: wherever the replies end, the server may have it.
TEST_F(ClientTest, ServerThatClosesBehindAMessageInOneSendMayHaveIt) {
    offer_chunking(true);
    to_ = {"b@dst.test", "c@dst.test"};
    for (const char* where : {"MAIL", "RCPT TO:<b", "RCPT TO:<c", "BDAT"}) {
        for (const bool with_words : {true, false}) {
            server_.reply = [where, with_words](const std::string& line) -> std::string {
                if (!line.starts_with(where)) {
                    return "";
                }
                return with_words ? "!close421 4.3.2 going down\r\n" : "!close";
            };
            TextSource source(kBody, true);
            exchange(source);
            for (const std::size_t i : {0U, 1U}) {
                EXPECT_EQ(state(i), RecipientState::deferred) << where;
                // Its words are lost where it left something unread.
                const bool heard = with_words && reply(i).code != 0;
                EXPECT_EQ(reply(i).code, heard ? 421 : 0) << where;
                EXPECT_EQ(client_->transaction().possible_duplicate(i), !heard) << where;
                EXPECT_EQ(reply(i).text.ends_with("sent more than once"), !heard) << reply(i).text;
            }
            EXPECT_TRUE(!with_words || where[0] != 'B' || reply(0).code == 421);
            EXPECT_FALSE(usable_);
        }
    }
}

TEST_F(ClientTest, WhoWasRefusedInOneSendIsNoPossibleDuplicate) {
    offer_chunking(true);
    to_ = {"no@dst.test", "b@dst.test", "c@dst.test"};
    server_.reply = [](const std::string& line) -> std::string {
        if (line.starts_with("RCPT TO:<no")) {
            return "550 5.1.1 unknown\r\n";
        }
        return line.starts_with("RCPT TO:<c") ? "!silent" : "";
    };
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    EXPECT_FALSE(client_->transaction().possible_duplicate(0));
    EXPECT_TRUE(client_->transaction().possible_duplicate(1));
    EXPECT_TRUE(client_->transaction().possible_duplicate(2));

    // A message too large for one send has not left yet.
    TextSource large(std::string(Client::kOneSendBytes, 'x') + "\r\n", true);
    exchange(large);
    EXPECT_EQ(state(1), RecipientState::deferred);
    EXPECT_FALSE(client_->transaction().possible_duplicate(1));
    EXPECT_THAT(reply(1).text, HasSubstr("RCPT TO"));
}

TEST_F(ClientTest, SilentServerTimesOutWithTheRightWords) {
    struct Case {
        const char* where;
        base::Duration wait;
        const char* words;
        bool chunking = false;
    };
    constexpr const char* kOften = "sent more than once";
    for (const Case& test : {Case{"MAIL", limits_.mail_timeout, "MAIL FROM"},
                             Case{"RCPT", limits_.rcpt_timeout, "RCPT TO"},
                             Case{"DATA", limits_.data_timeout, "DATA command"},
                             Case{".", limits_.final_dot_timeout, kOften},
                             Case{"MAIL", limits_.final_dot_timeout, kOften, true},
                             Case{"RCPT", limits_.final_dot_timeout, kOften, true},
                             Case{"BDAT", limits_.final_dot_timeout, kOften, true}}) {
        offer_chunking(test.chunking);
        server_.reply = [&test](const std::string& line) -> std::string {
            return line.starts_with(test.where) ? "!silent" : "";
        };
        TextSource source(kBody, true);
        ASSERT_TRUE(connect());
        const base::MonoTime before = world_.now();
        deliver(source);
        EXPECT_EQ(state(0), RecipientState::deferred);
        EXPECT_THAT(reply(0).text, HasSubstr("timed out"));
        EXPECT_THAT(reply(0).text, HasSubstr(test.words));
        EXPECT_GE(world_.now() - before, test.wait);
        EXPECT_LT(world_.now() - before, test.wait + std::chrono::seconds(2));
        close();
    }
}

TEST_F(ClientTest, HostileRepliesBreakTheConnection) {
    std::string endless = "250-";
    endless.append(100'000, 'x');
    for (const std::string& bad :
         {std::string("hello\r\n"), endless, std::string("250-a\r\n", 7) + std::string("251 b\r\n"),
          std::string("354 what\r\n"), std::string("\0\1\2\r\n", 5)}) {
        server_.reply = [&bad](const std::string& line) -> std::string {
            return line.starts_with("MAIL") ? bad : "";
        };
        TextSource source(kBody, true);
        exchange(source);
        EXPECT_EQ(state(0), RecipientState::deferred) << bad.substr(0, 20);
        EXPECT_FALSE(usable_);
    }
    EXPECT_TRUE(server_.taken.empty());
}

TEST_F(ClientTest, TakesAnotherAddress) {
    ScriptedServer busy(world_);
    busy.greeting = "!close554 5.3.2 busy\r\n";
    busy.listen("10.0.0.8:25");
    for (const char* address : {"10.0.0.9:25", "10.0.0.8:25"}) {
        target_ = target(address);
        EXPECT_FALSE(connect());
        EXPECT_FALSE(client_->is_open());
    }
    target_ = target("10.0.0.1:25");
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    EXPECT_EQ(client_->target()->name, "10.0.0.1:25");
    EXPECT_EQ(busy.connections(), 1U);
}

TEST_F(ClientTest, SaysWhyNoAddressAnswered) {
    target_ = target("10.0.0.9:25");
    EXPECT_FALSE(connect());
    EXPECT_EQ(client_->failure().code, 0);
    EXPECT_THAT(client_->failure().text, HasSubstr("connect to 10.0.0.9:25: Connection refused"));
    EXPECT_FALSE(client_->is_open());
    server_.greeting = "!close421 4.3.2 too busy\r\n";
    target_ = target("10.0.0.1:25");
    EXPECT_FALSE(connect());
    EXPECT_EQ(client_->failure().code, 421);
    EXPECT_EQ(client_->failure().text, "too busy");
}

TEST_F(ClientTest, FailedSourceNeverEndsTheMessage) {
    for (const bool chunking : {true, false}) {
        offer_chunking(chunking);
        TextSource source(std::string(50'000, 'x'), true);
        source.fail_at = 20'000;
        exchange(source);
        EXPECT_EQ(state(0), RecipientState::deferred);
        EXPECT_FALSE(usable_);
        EXPECT_TRUE(server_.taken.empty());
        EXPECT_FALSE(client_->transaction().possible_duplicate(0));
    }
}

TEST_F(ClientTest, TooLargeForTheServerFailsUnsent) {
    server_.extensions = {"SIZE 1000"};
    TextSource source(std::string(2000, 'x') + "\r\n", true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    EXPECT_EQ(reply(0).status, (mail::EnhancedStatus{5, 3, 4}));
    EXPECT_THAT(server_.lines, ElementsAre("EHLO relay.test", "QUIT"));
}

TEST_F(ClientTest, EightBitContentIsDeclaredOrConverted) {
    TextSource source(
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n",
        true);
    exchange(source);
    EXPECT_EQ(server_.taken.at(0).mail_line, "MAIL FROM:<a@src.test> BODY=8BITMIME");
    for (const bool chunking : {true, false}) {
        offer_chunking(chunking);
        exchange(source);
        EXPECT_EQ(state(0), RecipientState::delivered);
        EXPECT_EQ(server_.taken.back().mail_line, "MAIL FROM:<a@src.test>");
        EXPECT_THAT(server_.taken.back().content, HasSubstr("quoted-printable"));
        EXPECT_THAT(server_.taken.back().content, HasSubstr("gr=C3=BC=C3=9F"));
    }
}

TEST_F(ClientTest, EightBitContentThatCannotBeConvertedFails) {
    server_.extensions = {};
    TextSource source("Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nx\r\n", true);
    source.facts_.has_8bit_header = true;
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    EXPECT_EQ(reply(0).status, (mail::EnhancedStatus{5, 6, 3}));
}

// What was found of a message that could not be read is no verdict on the next one.
TEST_F(ClientTest, AnUnreadableMessageSaysNothingOfTheNext) {
    server_.extensions = {"PIPELINING"};
    TextSource unreadable("Subject: x\r\nX-y: gr\xc3\xbc\r\n\r\nfirst\r\nsecond\r\n", true);
    unreadable.facts_.has_8bit_header = true;
    unreadable.span_bytes = unreadable.fail_at = 30;
    ASSERT_TRUE(connect());
    deliver(unreadable);
    EXPECT_EQ(state(0), RecipientState::deferred);
    EXPECT_TRUE(client_->source_failed());
    ASSERT_TRUE(client_->usable());
    TextSource plain(kBody, true);
    deliver(plain);
    EXPECT_EQ(state(0), RecipientState::delivered) << reply(0).text;
    EXPECT_FALSE(client_->source_failed());
    close();
}

TEST_F(ClientTest, SmtpUtf8IsDeclaredOrRefused) {
    server_.extensions = {"SMTPUTF8", "8BITMIME"};
    to_ = {"gr\xc3\xbc\xc3\x9f@dst.test", "b@dst.test"};
    smtputf8_ = true;
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(server_.taken.at(0).mail_line, "MAIL FROM:<a@src.test> SMTPUTF8");
    server_.extensions = {};
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    EXPECT_EQ(reply(0).status, (mail::EnhancedStatus{5, 6, 7}));
    EXPECT_EQ(state(1), RecipientState::delivered);
    EXPECT_EQ(server_.taken.back().mail_line, "MAIL FROM:<a@src.test>");
    from_ = "gr\xc3\xbc\xc3\x9f@src.test";
    exchange(source);
    EXPECT_EQ(state(1), RecipientState::failed);
}

// 5.6.3 would say that the content is at fault, and send its author off to change that.
TEST_F(ClientTest, WhatLacksSmtpUtf8IsToldSo) {
    constexpr mail::EnhancedStatus kNoSmtpUtf8{5, 6, 7};
    server_.extensions = {"PIPELINING"};  // neither 8BITMIME nor SMTPUTF8
    smtputf8_ = true;
    TextSource header("Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nHello\r\n", true);
    header.facts_.has_8bit_header = true;
    exchange(header);
    EXPECT_EQ(reply(0).status, kNoSmtpUtf8);

    TextSource part_header(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        "Content-Disposition: attachment; filename=gr\xc3\xbc\xc3\x9f\r\n\r\nx\r\n--b--\r\n",
        true);
    exchange(part_header);
    EXPECT_EQ(reply(0).status, kNoSmtpUtf8);

    // A recipient that could not be reached anyhow, beside one for whom the content is the matter.
    smtputf8_ = false;
    to_ = {"gr\xc3\xbc\xc3\x9f@dst.test", "b@dst.test"};
    exchange(header);
    EXPECT_EQ(reply(0).status, kNoSmtpUtf8);
    EXPECT_EQ(reply(1).status, (mail::EnhancedStatus{5, 6, 3}));

    from_ = "gr\xc3\xbc\xc3\x9f@src.test";
    exchange(header);
    EXPECT_EQ(reply(0).status, kNoSmtpUtf8);
    EXPECT_EQ(reply(1).status, kNoSmtpUtf8);
    EXPECT_THAT(server_.lines, testing::Not(testing::Contains(HasSubstr("MAIL"))));
}

TEST_F(ClientTest, PathsCannotCarryCommands) {
    to_ = {"b@dst.test>\r\nRCPT TO:<evil@dst.test", "c@dst.test"};
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    EXPECT_EQ(state(1), RecipientState::delivered);
    EXPECT_THAT(server_.taken.at(0).recipients, ElementsAre("<c@dst.test>"));
}

TEST_F(ClientTest, TooManyRecipientsGoInAnotherTransaction) {
    server_.reply = [](const std::string& line) -> std::string {
        return line == "RCPT TO:<c@dst.test>" ? "452 4.5.3 too many\r\n" : "";
    };
    to_ = {"b@dst.test", "c@dst.test"};
    TextSource source(kBody, true);
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    EXPECT_EQ(state(1), RecipientState::pending);
    to_ = {"c@dst.test"};
    exchange(source);
    EXPECT_EQ(state(0), RecipientState::deferred);
}

TEST_F(ClientTest, ConnectionThatClosedWhileIdleIsStale) {
    for (const bool chunking : {true, false}) {
        offer_chunking(chunking);
        for (const char* end : {"!close", "!close421 4.4.2 idle for too long\r\n"}) {
            server_.reply = nullptr;
            TextSource source(kBody, true);
            ASSERT_TRUE(connect());
            deliver(source);
            client_->rested();
            server_.reply = [end](const std::string& line) -> std::string {
                return line.starts_with("MAIL") ? end : "";
            };
            deliver(source);
            EXPECT_TRUE(client_->went_stale());
            EXPECT_FALSE(client_->transaction().possible_duplicate(0));
            close();
        }
    }
}

// A message that our own rules refuse says nothing to the server, so its connection rests on.
TEST_F(ClientTest, WhatIsNotSentDoesNotEndARest) {
    server_.extensions = {"PIPELINING"};
    TextSource source(kBody, true);
    ASSERT_TRUE(connect());
    deliver(source);
    client_->rested();
    to_ = {"gr\xc3\xbc\xc3\x9f@dst.test"};
    deliver(source);
    EXPECT_EQ(state(0), RecipientState::failed);
    to_ = {"b@dst.test"};
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("MAIL") ? "!close" : "";
    };
    deliver(source);
    EXPECT_TRUE(client_->went_stale());
    close();

    // One reply, and the connection lives: what breaks later is an attempt.
    server_.reply = nullptr;
    ASSERT_TRUE(connect());
    deliver(source);
    client_->rested();
    deliver(source);
    EXPECT_EQ(state(0), RecipientState::delivered);
    server_.reply = [](const std::string& line) -> std::string {
        return line.starts_with("MAIL") ? "!close" : "";
    };
    deliver(source);
    EXPECT_FALSE(client_->went_stale());
    close();
}

TEST_F(ClientTest, ManyTransactionsOnOneConnection) {
    ASSERT_TRUE(connect());
    for (int i = 0; i < 50; ++i) {
        TextSource source(kBody, true);
        deliver(source);
        ASSERT_EQ(state(0), RecipientState::delivered);
    }
    close();
    EXPECT_EQ(server_.connections(), 1U);
    EXPECT_EQ(server_.taken.size(), 50U);
}

// Every cut of the byte streams, and short sends: nothing is lost and nothing comes twice.
TEST_F(ClientTest, BytesMayComeInAnyPieces) {
    sim::Faults faults;
    faults.set(sim::Fault::split, 500'000);
    faults.set(sim::Fault::short_send, 500'000);
    faults.set(sim::Fault::short_receive, 500'000);
    faults.set(sim::Fault::no_buffers, 50'000);
    world_.set_faults(faults);
    std::string stored;
    for (int i = 0; i < 1000; ++i) {
        stored += "..line " + std::to_string(i) + "\r\n";
    }
    for (int round = 0; round < 6; ++round) {
        server_.extensions = {"PIPELINING", "SIZE 1000000"};
        if (round % 2 == 0) {
            server_.extensions.emplace_back("CHUNKING");
        }
        server_.taken.clear();
        TextSource source(stored, true);
        exchange(source);
        ASSERT_EQ(state(0), RecipientState::delivered) << reply(0).text;
        ASSERT_EQ(server_.taken.size(), 1U);
        ASSERT_EQ(server_.taken[0].content.size(), source.headers.size() + stored.size() - 1000);
    }
}

TEST_F(ClientTest, StopBreaksOffAWait) {
    server_.reply = [](const std::string& line) -> std::string {
        return line == "." ? "!silent" : "";
    };
    TextSource source(kBody, true);
    ASSERT_TRUE(connect());
    const base::MonoTime before = world_.now();
    world_.after(std::chrono::seconds(1), "stop", [this] {
        client_->stop();
        shard_->driver().wake();
    });
    deliver(source);
    EXPECT_LT(world_.now() - before, std::chrono::seconds(3));
    EXPECT_EQ(state(0), RecipientState::deferred);
    EXPECT_THAT(reply(0).text, HasSubstr("shutdown"));
    close();
}

TEST_F(ClientTest, ThousandRecipientsInWindows) {
    std::vector<std::string> addresses;
    for (int i = 0; i < 1000; ++i) {
        addresses.push_back("recipient-number-" + std::to_string(i) + "@dst.test");
    }
    to_.assign(addresses.begin(), addresses.end());
    for (const bool chunking : {true, false}) {
        offer_chunking(chunking);
        TextSource source(kBody, true);
        exchange(source);
        EXPECT_EQ(state(999), RecipientState::delivered);
        EXPECT_EQ(server_.taken.back().recipients.size(), 1000U);
    }
}

}  // namespace
}  // namespace smtp
