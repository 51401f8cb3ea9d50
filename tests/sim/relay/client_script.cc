// What a client is going to say.
#include <iterator>

#include "sim/relay/client.h"

namespace sim::relay {
namespace {

struct Noise {
    const char* command;
    const char* reply;
};
constexpr Noise kNoises[] = {
    {"NOOP\r\n", "250 2.0.0 "},
    {"NOOP x\r\n", "250 2.0.0 "},
    {"VRFY <x@y.test>\r\n", "252 "},
    {"HELP\r\n", "214 "},
    {"EXPN list\r\n", "502 "},
    {"AUTH PLAIN\r\n", "50"},
    {"BLA\r\n", "50"},
    {"MAIL FROM\r\n", "50"},
    {"RCPT TO:<a@b.test>\r\n", "503"},
    {"DATA\r\n", "503"},
    {"STARTTLS\r\n", "502"},
    {"RSET\r\n", "250 2.0.0 Ok"},
    {"BDAT 0\r\n", "503"},
    {"MAIL FROM:<a@b.test> X=Y\r\n", "555"},
};

}  // namespace

void Client::write_script() {
    const bool extended = prng_.chance(7, 8);
    script_.push_back(
        {.kind = Kind::hello, .bytes = extended ? "EHLO client.test\r\n" : "HELO client.test\r\n"});
    const std::uint64_t messages = 1 + prng_.below(3);
    for (std::uint64_t i = 0; i < messages; ++i) {
        while (odds(home_.plan.client.noise)) {
            write_noise();
        }
        write_message(extended && odds(home_.plan.client.chunks));
        if (script_.back().kind == Kind::leave) {
            return;
        }
    }
    if (home_.calm || prng_.chance(3, 4)) {
        script_.push_back({.kind = Kind::quit, .bytes = "QUIT\r\n"});
    } else {
        script_.push_back({.kind = Kind::leave, .leave = draw_leave()});
    }
}

void Client::write_noise() {
    const Noise& noise = kNoises[prng_.below(std::size(kNoises))];
    script_.push_back({.kind = Kind::noise, .bytes = noise.command, .fits = noise.reply});
}

Client::Leave Client::draw_leave() {
    constexpr Leave kWays[] = {Leave::close, Leave::finish, Leave::reset, Leave::silence,
                               Leave::deaf};
    return kWays[prng_.below(std::size(kWays))];
}

void Client::write_message(bool chunks) {
    const ClientOdds& odds_of = home_.plan.client;
    LetterShape shape;
    shape.number = home_.next_letter++;
    shape.null_path = odds(odds_of.null_path);
    shape.eight_bit = odds(odds_of.eight_bit);
    shape.dsn = odds(odds_of.dsn);
    shape.recipients = prng_.chance(1, 2) ? 1 : 1 + prng_.below(4);
    const std::uint32_t recipients_max =
        home_.plan.settings.listeners.front().session.limits.recipients_max;
    if (odds(odds_of.many_recipients)) {
        shape.recipients = recipients_max + 1 + prng_.below(3);
    }
    shape.bytes = prng_.chance(1, 8) ? 0 : 1 + prng_.below(1500);
    if (odds(odds_of.large)) {
        shape.bytes = prng_.below(home_.plan.content_bytes_max);
    }
    const bool too_large = odds(odds_of.too_large);
    if (too_large) {
        shape.bytes = home_.plan.settings.listeners.front().session.limits.message_bytes_max + 2000;
    }
    const std::size_t index = letters_.size();
    letters_.push_back({.letter = make_letter(shape, prng_)});
    const Letter& written = letters_.back().letter;

    std::string mail = "MAIL FROM:<" + written.reverse_path + ">";
    if (written.eight_bit) {
        mail += " BODY=8BITMIME";
    }
    mail += written.mail_parameters();
    script_.push_back({.kind = Kind::mail, .bytes = mail + "\r\n", .letter = index});
    for (std::size_t i = 0; i < written.recipients.size(); ++i) {
        const std::string command =
            "RCPT TO:<" + written.recipients[i] + ">" + written.recipient_parameters(i) + "\r\n";
        const Action action{.kind = Kind::rcpt, .bytes = command, .letter = index, .recipient = i};
        script_.push_back(action);
        if (prng_.chance(1, 40)) {
            script_.push_back(action);  // twice: it is one recipient
        }
        if (stranger_ && odds(odds_of.bad_recipient)) {
            script_.push_back({.kind = Kind::noise,
                               .bytes = "RCPT TO:<x@elsewhere.test>\r\n",
                               .letter = index,
                               .fits = "5"});
        }
    }
    if (odds(odds_of.reset)) {
        script_.push_back({.kind = Kind::reset, .bytes = "RSET\r\n", .letter = index});
        return;
    }
    if (odds(odds_of.leave)) {
        script_.push_back({.kind = Kind::leave, .letter = index, .leave = draw_leave()});
        return;
    }
    const bool cut = odds(odds_of.abort);
    const bool vanish = !cut && odds(odds_of.vanish);
    const std::size_t kept = cut ? prng_.below(written.content.size() + 1) : 0;
    if (!chunks) {
        script_.push_back({.kind = Kind::data, .bytes = "DATA\r\n", .letter = index});
        std::string wire = stuffed(cut ? written.content.substr(0, kept) : written.content);
        script_.push_back({.kind = Kind::content,
                           .bytes = cut ? wire : wire + ".\r\n",
                           .letter = index,
                           .last = !cut});
    } else {
        std::size_t from = 0;
        const std::size_t end = cut ? kept : written.content.size();
        bool reset = false;
        while (true) {
            const bool last = from == end || prng_.chance(1, 3);
            const std::size_t size = last ? end - from : prng_.below(end - from + 1);
            const std::string line = "BDAT " + std::to_string(size + (cut && last ? 50 : 0)) +
                                     (last ? " LAST\r\n" : "\r\n");
            script_.push_back({.kind = Kind::chunk,
                               .bytes = line + written.content.substr(from, size),
                               .letter = index,
                               .last = last && !cut});
            from += size;
            if (last) {
                break;
            }
            if (odds(odds_of.reset)) {
                script_.push_back({.kind = Kind::reset, .bytes = "RSET\r\n", .letter = index});
                reset = true;
                break;
            }
        }
        if (reset) {
            return;
        }
    }
    if (cut || vanish) {
        script_.push_back({.kind = Kind::leave, .letter = index, .leave = draw_leave()});
    }
}

}  // namespace sim::relay
