#include "base/result.h"

#include <cstring>

namespace base {

std::string Error::describe() const {
    if (!text_.empty()) {
        return text_;
    }
    char buffer[128];
    return ::strerror_r(number_, buffer, sizeof buffer);
}

}  // namespace base
