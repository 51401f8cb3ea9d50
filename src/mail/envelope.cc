#include "mail/envelope.h"

namespace mail {

void Envelope::clear() {
    arena_.clear();
    recipients_.clear();
    reverse_path_ = {};
    parameters = {};
}

void Envelope::set_reverse_path(std::string_view path) {
    reverse_path_ = keep(path);
}

void Envelope::add_recipient(std::string_view path) {
    recipients_.push_back(keep(path));
}

Envelope::Slice Envelope::keep(std::string_view text) {
    const Slice slice{static_cast<std::uint32_t>(arena_.size()),
                      static_cast<std::uint32_t>(text.size())};
    arena_.append(text);
    return slice;
}

std::string_view domain_of(std::string_view path) {
    const std::size_t at = path.rfind('@');
    return at == std::string_view::npos ? std::string_view() : path.substr(at + 1);
}

}  // namespace mail
