# FindBoringSSL: BoringSSL, never OpenSSL, though both name their libraries alike.
#
#   BORINGSSL_ROOT   (cache or environment) a BoringSSL of one's own: include/openssl, and lib/ or the build
#                    folder's ssl/ and crypto/ with libssl and libcrypto, static or shared
#   otherwise        Debian's android-libboringssl-dev: <include>/android and <libdir>/android
#
# Gives BoringSSL::crypto and BoringSSL::ssl, BoringSSL_FOUND, BoringSSL_INCLUDE_DIR.
#
# Only folders that hold BoringSSL are searched (NO_DEFAULT_PATH), and the header is asked whether it is
# BoringSSL's: the system's openssl/ must not be taken by accident, since its symbols have the same names.

include(FindPackageHandleStandardArgs)

if(NOT BORINGSSL_ROOT AND DEFINED ENV{BORINGSSL_ROOT})
    set(BORINGSSL_ROOT "$ENV{BORINGSSL_ROOT}")
endif()
set(BORINGSSL_ROOT "${BORINGSSL_ROOT}" CACHE PATH "Prefix or build folder of a BoringSSL of one's own")

if(BORINGSSL_ROOT)
    set(_boringssl_includes "${BORINGSSL_ROOT}/include" "${BORINGSSL_ROOT}/src/include")
    set(_boringssl_libs "${BORINGSSL_ROOT}" "${BORINGSSL_ROOT}/lib" "${BORINGSSL_ROOT}/build")
else()
    set(_boringssl_includes "/usr/include/android")
    set(_boringssl_libs "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android" "/usr/lib/android")
endif()

find_path(BoringSSL_INCLUDE_DIR openssl/ssl.h PATHS ${_boringssl_includes} NO_DEFAULT_PATH)
find_library(BoringSSL_SSL_LIBRARY ssl
    PATHS ${_boringssl_libs} PATH_SUFFIXES ssl NO_DEFAULT_PATH)
find_library(BoringSSL_CRYPTO_LIBRARY crypto
    PATHS ${_boringssl_libs} PATH_SUFFIXES crypto NO_DEFAULT_PATH)
mark_as_advanced(BoringSSL_INCLUDE_DIR BoringSSL_SSL_LIBRARY BoringSSL_CRYPTO_LIBRARY)

set(_boringssl_is_boring FALSE)
if(BoringSSL_INCLUDE_DIR)
    file(STRINGS "${BoringSSL_INCLUDE_DIR}/openssl/base.h" _boringssl_mark
        REGEX "define[ \t]+OPENSSL_IS_BORINGSSL")
    if(_boringssl_mark)
        set(_boringssl_is_boring TRUE)
    else()
        message(WARNING "${BoringSSL_INCLUDE_DIR}/openssl is not BoringSSL's")
    endif()
endif()

find_package_handle_standard_args(BoringSSL
    REQUIRED_VARS BoringSSL_SSL_LIBRARY BoringSSL_CRYPTO_LIBRARY BoringSSL_INCLUDE_DIR _boringssl_is_boring
    REASON_FAILURE_MESSAGE "install android-libboringssl-dev, or set BORINGSSL_ROOT")

if(BoringSSL_FOUND AND NOT TARGET BoringSSL::crypto)
    find_package(Threads REQUIRED)
    # UNKNOWN, since BORINGSSL_ROOT may hold static libraries. Imported targets' headers are system headers.
    add_library(BoringSSL::crypto UNKNOWN IMPORTED)
    set_target_properties(BoringSSL::crypto PROPERTIES
        IMPORTED_LOCATION "${BoringSSL_CRYPTO_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${BoringSSL_INCLUDE_DIR}"
        INTERFACE_LINK_LIBRARIES Threads::Threads)
    add_library(BoringSSL::ssl UNKNOWN IMPORTED)
    set_target_properties(BoringSSL::ssl PROPERTIES
        IMPORTED_LOCATION "${BoringSSL_SSL_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${BoringSSL_INCLUDE_DIR}"
        INTERFACE_LINK_LIBRARIES BoringSSL::crypto)
endif()
