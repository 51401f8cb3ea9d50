// Result<T>: an expected outcome as a value. Failures that a caller must answer travel here, never
// as exceptions.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace base {

// Why an operation did not give its value: an errno number (always set, > 0) and, off the message
// path, a sentence for a person. The text is empty on the message path, so that making an Error
// allocates nothing there.
class Error {
  public:
    explicit Error(int number) : number_(number) {}
    Error(int number, std::string text) : number_(number), text_(std::move(text)) {}

    [[nodiscard]] int number() const { return number_; }
    [[nodiscard]] const std::string& text() const { return text_; }
    // The text when there is one, else strerror's words.
    [[nodiscard]] std::string describe() const;

  private:
    int number_;
    std::string text_;
};

template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
  public:
    using std::expected<T, Error>::expected;
};

using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(int number) {
    return std::unexpected<Error>(Error(number));
}
[[nodiscard]] inline std::unexpected<Error> fail(int number, std::string text) {
    return std::unexpected<Error>(Error(number, std::move(text)));
}

}  // namespace base
