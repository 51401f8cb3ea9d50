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
    # What ccache needs to be told to work with precompiled headers.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros "${CCACHE_PROGRAM}")
endif()

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # g++ 12 reports overlapping memcpy for `"literal" + std::string` (GCC bug 105651); fixed in 13.
    add_compile_options(-Wno-restrict)
endif()

# Bounds checks of the standard library's containers and views stay on in every build, as our own assertions do.
add_compile_definitions(_GLIBCXX_ASSERTIONS)

if(RINGPOST_SANITIZE)
    # The check of virtual calls opens a pipe to see whether an object can be read, and takes a process that has no
    # descriptor left for one that has no object there. Such a process is one of our tests.
    add_compile_options(-fsanitize=${RINGPOST_SANITIZE} -fno-sanitize-recover=all -fno-sanitize=vptr)
    add_link_options(-fsanitize=${RINGPOST_SANITIZE} -fno-sanitize=vptr)
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

# Headers that nearly every file includes are compiled once: half of a test's build is reading gtest and the standard
# library. Not so for the product's own files in the release, so that one build sees what each of them includes.
# One target of each kind carries the precompiled header for all others with the same flags.
function(ringpost_precompile target kind)
    if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND kind STREQUAL "library")
        return()
    endif()
    if(TARGET ringpost_precompiled_${kind})
        target_precompile_headers(${target} REUSE_FROM ringpost_precompiled_${kind})
        if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
            # The first for ccache. g++ 12 sees faults in the library's strings where it reads them from a precompiled
            # header, as above in those of `"literal" + std::string`.
            target_compile_options(${target} PRIVATE -fpch-preprocess -Wno-array-bounds -Wno-stringop-overflow
                -Wno-stringop-overread)
        endif()
    endif()
endfunction()

function(ringpost_precompiled_headers)
    set(standard <algorithm> <array> <atomic> <charconv> <chrono> <coroutine> <cstring> <deque> <expected> <functional>
        <memory> <optional> <span> <string> <string_view> <utility> <variant> <vector>)
    set(source "${PROJECT_BINARY_DIR}/precompiled.cc")
    file(CONFIGURE OUTPUT "${source}" CONTENT "int main() {}\n")
    add_library(ringpost_precompiled_library STATIC EXCLUDE_FROM_ALL "${source}")
    target_precompile_headers(ringpost_precompiled_library PRIVATE ${standard})
    if(TARGET GTest::gtest)
        add_executable(ringpost_precompiled_test EXCLUDE_FROM_ALL "${source}")
        target_compile_options(ringpost_precompiled_test PRIVATE ${RINGPOST_TEST_OPTIONS})
        target_link_libraries(ringpost_precompiled_test PRIVATE GTest::gmock GTest::gtest)
        target_precompile_headers(ringpost_precompiled_test PRIVATE ${standard} <gtest/gtest.h> <gmock/gmock.h>)
    endif()
endfunction()

# BoringSSL's shared libraries lie outside the loader's path; the installed binary keeps the way to them.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
