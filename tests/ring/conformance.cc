#include "ring/conformance.h"

#include <cerrno>

namespace ring_test {
namespace {

constexpr base::Duration kPatience = std::chrono::minutes(1);

}  // namespace

void Bench::turn(base::Duration at_most) {
    for (const io::Reaped& reaped : world_.turn(0, driver_.now() + at_most)) {
        reaped.op->finish(reaped.completion);
    }
}

bool Bench::run_until(const std::function<bool()>& done) {
    const base::MonoTime give_up = driver_.now() + kPatience;
    while (!done()) {
        if (driver_.now() >= give_up) {
            ADD_FAILURE() << "what was waited for did not come within a minute";
            return false;
        }
        turn(give_up - driver_.now());
    }
    return true;
}

void Bench::settle() {
    const base::MonoTime until = driver_.now() + std::chrono::milliseconds(20);
    while (driver_.now() < until) {
        turn(until - driver_.now());
    }
}

std::int32_t Bench::run(RecordedOp& op) {
    driver_.submit(op);
    run_until([&] { return !op.in_flight(); });
    return op.result();
}

void Bench::end(RecordedOp& op) {
    driver_.cancel(op);
    run_until([&] { return !op.in_flight(); });
}

std::pair<io::OwnedHandle, io::SocketAddress> Bench::listen() {
    base::Result<io::Handle> listener =
        driver_.listen(io::SocketAddress::ipv4(INADDR_LOOPBACK, 0), {});
    if (!listener) {
        ADD_FAILURE() << listener.error().describe();
        return {};
    }
    return {own(*listener), driver_.local_address(*listener)};
}

io::OwnedHandle Bench::socket() {
    base::Result<io::Handle> handle = driver_.socket(AF_INET, {});
    if (!handle) {
        ADD_FAILURE() << handle.error().describe();
        return {};
    }
    return own(*handle);
}

Connection Bench::connect() {
    auto [listener, address] = listen();
    Connection connection{socket(), {}};
    RecordedOp accept;
    RecordedOp connect;
    accept.prepare_accept_multishot(listener.get());
    connect.prepare_connect(connection.client.get(), address);
    driver_.submit(accept);
    EXPECT_EQ(run(connect), 0);
    run_until([&] { return !accept.completions.empty(); });
    EXPECT_GE(accept.result(), 0);
    if (!accept.completions.empty() && accept.completions.front().result >= 0) {
        connection.server = own(accept.completions.front().result);
    }
    end(accept);
    return connection;
}

void Bench::send(io::Handle socket, std::string_view bytes) {
    while (!bytes.empty()) {
        RecordedOp op;
        op.prepare_send(socket, base::as_bytes(bytes));
        const std::int32_t sent = run(op);
        ASSERT_GT(sent, 0);
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

std::string Bench::receive(io::Handle socket, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t have = 0;
    while (have < size) {
        RecordedOp op;
        op.prepare_receive(socket, std::as_writable_bytes(std::span(bytes).subspan(have)));
        const std::int32_t got = run(op);
        EXPECT_GE(got, 0);
        if (got <= 0) break;
        have += static_cast<std::size_t>(got);
    }
    bytes.resize(have);
    return bytes;
}

io::Handle Bench::directory() {
    if (!directory_) {
        const std::string path = world_.directory();
        RecordedOp op;
        op.prepare_open(io::kNoHandle, path.c_str(), {.directory = true});
        const io::Handle handle = run(op);
        EXPECT_GE(handle, 0) << "opening " << path;
        directory_ = own(handle);
    }
    return directory_.get();
}

io::OwnedHandle Bench::open(const std::string& name, io::OpenMode mode) {
    RecordedOp op;
    op.prepare_open(directory(), name.c_str(), mode);
    const io::Handle handle = run(op);
    EXPECT_GE(handle, 0) << "opening " << name;
    return own(handle);
}

io::OwnedHandle Bench::file(const std::string& name, std::string_view content) {
    io::OwnedHandle handle = open(name, {.write = true, .create = true});
    if (!content.empty()) {
        RecordedOp op;
        op.prepare_write(handle.get(), base::as_bytes(content), 0);
        EXPECT_EQ(run(op), static_cast<std::int32_t>(content.size()));
    }
    return handle;
}

std::string Bench::content(const std::string& name) {
    const io::OwnedHandle handle = open(name, {});
    const base::Result<std::uint64_t> size = driver_.file_size(handle.get());
    EXPECT_TRUE(size.has_value());
    std::string bytes(size.value_or(0), '\0');
    if (!bytes.empty()) {
        RecordedOp op;
        op.prepare_read(handle.get(), std::as_writable_bytes(std::span(bytes)), 0);
        EXPECT_EQ(run(op), static_cast<std::int32_t>(bytes.size()));
    }
    return bytes;
}

const char* name_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::success:
            return "success";
        case Outcome::short_:
            return "short";
        case Outcome::error:
            return "error";
        case Outcome::cancelled_before:
            return "cancelled_before";
        case Outcome::cancelled_after:
            return "cancelled_after";
    }
    RP_PANIC("unknown outcome");
}

std::string case_name(const testing::TestParamInfo<OpOutcome::ParamType>& info) {
    const auto& [factory, op_case] = info.param;
    return std::string(factory.name) + "_" + io::name_of(op_case.code) + "_" +
           name_of(op_case.outcome);
}

std::string factory_name(const testing::TestParamInfo<DriverFactory>& info) {
    return info.param.name;
}

}  // namespace ring_test
