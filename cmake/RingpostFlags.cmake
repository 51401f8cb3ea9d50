# Flags of every target: language, warnings, sanitizers, hardening, ccache.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
    message(FATAL_ERROR "No CMAKE_BUILD_TYPE. Configure with a preset: tools/dev build release")
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # g++ 12 reports overlapping memcpy for `"literal" + std::string` (GCC bug 105651); fixed in 13.
    add_compile_options(-Wno-restrict)
endif()

# Bounds checks of the standard library's containers and views stay on in every build, as our own assertions do.
add_compile_definitions(_GLIBCXX_ASSERTIONS)

if(RINGPOST_SANITIZE)
    add_compile_options(-fsanitize=${RINGPOST_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${RINGPOST_SANITIZE})
    if(RINGPOST_FUZZ)
        add_compile_options(-fsanitize=fuzzer-no-link)
    endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    # A server on the open net: the distribution's own hardening.
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
    add_link_options(-Wl,-z,relro,-z,now)
endif()

if(RINGPOST_FUZZ AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "libFuzzer comes with clang only. Configure with: cmake --preset fuzz")
endif()

# The tests' own code need not be fast, and takes half of the build at full optimization: timer_wheel_test.cc 6.1 s
# with -O2 -g and 4.0 s so; under clang with sanitizers 7.5 s and 4.4 s. What is tested keeps its flags.
set(RINGPOST_TEST_OPTIONS)
if(RINGPOST_SANITIZE)
    set(RINGPOST_TEST_OPTIONS -O0)
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    set(RINGPOST_TEST_OPTIONS -O1 -g1)
endif()

# BoringSSL's shared libraries lie outside the loader's path; the installed binary keeps the way to them.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
