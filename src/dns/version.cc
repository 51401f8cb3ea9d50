#include "dns/version.h"

#include <ares.h>

namespace dns {

std::string_view library_version() {
    return ::ares_version(nullptr);
}

}  // namespace dns
