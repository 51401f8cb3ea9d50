#include "mail/envelope.h"

#include <algorithm>

namespace mail {

void Envelope::clear() {
    arena_.clear();
    recipients_.clear();
    reverse_path_ = {};
    envelope_id_ = {};
    parameters = {};
}

void Envelope::set_reverse_path(std::string_view path) {
    reverse_path_ = keep(path);
}

void Envelope::add_recipient(std::string_view path) {
    recipients_.push_back({.path = keep(path), .original = {}, .notify = {}});
}

void Envelope::set_envelope_id(std::string_view xtext) {
    envelope_id_ = keep(xtext);
}

void Envelope::set_notify(std::size_t recipient, Notify notify) {
    RP_ASSERT(recipient < recipients_.size());
    recipients_[recipient].notify = notify;
}

void Envelope::set_original_recipient(std::size_t recipient, std::string_view typed_address) {
    RP_ASSERT(recipient < recipients_.size());
    recipients_[recipient].original = keep(typed_address);
}

bool Envelope::has_dsn() const {
    return parameters.ret != ReturnContent::unspecified || envelope_id_.size > 0 ||
           std::ranges::any_of(recipients_, [](const Recipient& one) {
               return one.notify.given() || one.original.size > 0;
           });
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
