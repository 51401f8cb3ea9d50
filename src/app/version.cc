#include "app/version.h"

#include <openssl/base.h>
#include <openssl/crypto.h>

#include "dns/version.h"

// Of mimalloc, which sanitizer builds leave out.
extern "C" int mi_version() __attribute__((weak));

namespace app {

std::string_view version() {
    return RINGPOST_VERSION;
}

std::string version_text() {
    std::string text = "ringpost " RINGPOST_VERSION "\n";
    text.append("liburing " RINGPOST_LIBURING_VERSION " (headers)\n");
    text.append("BoringSSL API ").append(std::to_string(BORINGSSL_API_VERSION));
    text.append(" (").append(::SSLeay_version(SSLEAY_VERSION)).append(")\n");
    text.append("c-ares ").append(dns::library_version()).append("\n");
    if (mi_version != nullptr) {
        const int number = mi_version();  // 209 is 2.0.9
        text.append("mimalloc ").append(std::to_string(number / 100)).append(".");
        text.append(std::to_string(number / 10 % 10))
            .append(".")
            .append(std::to_string(number % 10));
    } else {
        text.append("mimalloc: not linked (sanitizer build)");
    }
    return text;
}

}  // namespace app
