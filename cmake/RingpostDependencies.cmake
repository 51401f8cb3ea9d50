# The libraries of others, one place for all; `tools/packages.txt` has the packages they come in.
# Imported targets' headers count as system headers, so our warnings do not reach into them.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# The shared liburing. It lacks io_uring_register_restrictions and io_uring_enable_rings, which its header
# declares; constants newer than its 2.3 are in src/io/uring.
pkg_check_modules(LIBURING REQUIRED IMPORTED_TARGET liburing>=2.3)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares>=1.18)
add_library(liburing::liburing ALIAS PkgConfig::LIBURING)
add_library(cares::cares ALIAS PkgConfig::CARES)

find_package(BoringSSL REQUIRED)

find_package(fmt 9 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(tomlplusplus 3.3 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)

# Linking mimalloc replaces malloc; the sanitizers bring an allocator of their own.
if(NOT RINGPOST_SANITIZE)
    find_package(mimalloc 2.0 REQUIRED)
endif()

if(BUILD_TESTING)
    find_package(GTest 1.12 REQUIRED)
    find_package(benchmark 1.7 REQUIRED)
    find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
    pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3>=3.14)
endif()
