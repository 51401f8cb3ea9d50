# The functions that make every target of this tree. Sources are found by glob (CONFIGURE_DEPENDS), so a new
# file needs no line anywhere; a folder that has no source yet still configures.

include(GoogleTest)

set(RINGPOST_TESTS "" CACHE STRING "Which tests this build folder builds and runs, as a pattern; empty for all")
set(RINGPOST_TEST_PREFIX "" CACHE STRING "Put before each test's name, to tell the presets apart")

# ringpost_library(<name> [DEPS <name>...] [EXTERNAL <target>...])
#
# The static library ringpost_<name> (ringpost::<name>) from this folder's *.cc, without main.cc and *_test.cc.
# DEPS are the folders of src/ that it may include, exactly those of tests/style/layers.txt (a test compares
# the two). EXTERNAL are libraries of others. A library below tests/ (tests/sim) is made the same way.
function(ringpost_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS;EXTERNAL")
    file(GLOB sources CONFIGURE_DEPENDS *.cc)
    list(FILTER sources EXCLUDE REGEX "(/main|_test)\\.cc$")
    list(TRANSFORM arg_DEPS PREPEND ringpost::)
    set(target ringpost_${name})
    if(sources)
        add_library(${target} STATIC ${sources})
        ringpost_precompile(${target} library)
        set(scope PUBLIC)
    else()
        add_library(${target} INTERFACE)
        set(scope INTERFACE)
    endif()
    add_library(ringpost::${name} ALIAS ${target})
    target_include_directories(${target} ${scope} "${PROJECT_SOURCE_DIR}/src")
    string(FIND "${CMAKE_CURRENT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests/" place)
    if(place EQUAL 0)
        target_include_directories(${target} ${scope} "${PROJECT_SOURCE_DIR}/tests")
        # Built where a test wants it.
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
    target_link_libraries(${target} ${scope} ${arg_DEPS} ${arg_EXTERNAL} Threads::Threads)
    set_property(GLOBAL APPEND PROPERTY RINGPOST_LIBRARIES ${target})
endfunction()

# ringpost_test_wanted(<variable> <name>)
#
# Whether this build folder has the test. Each preset builds the tests that it can find something with (RINGPOST_TESTS in
# CMakePresets.json: unit tests of single threads say nothing under the thread sanitizer); -DRINGPOST_TESTS= builds all.
function(ringpost_test_wanted variable name)
    set(${variable} FALSE PARENT_SCOPE)
    if(RINGPOST_TESTS STREQUAL "" OR name MATCHES "${RINGPOST_TESTS}")
        set(${variable} TRUE PARENT_SCOPE)
    endif()
endfunction()

# ringpost_test_properties(<variable> <label> <timeout>)
#
# The ctest properties of a test: its label, its time-out (five times as long under a sanitizer), and what the
# sanitizers need.
function(ringpost_test_properties variable label timeout)
    if(RINGPOST_SANITIZE)
        math(EXPR timeout "5 * ${timeout}")
    endif()
    set(properties LABELS ${label} TIMEOUT ${timeout})
    if(RINGPOST_SANITIZE)
        # The runtimes look for llvm-symbolizer in PATH; Debian keeps the plain name in this folder.
        list(APPEND properties
            ENVIRONMENT UBSAN_OPTIONS=print_stacktrace=1
            ENVIRONMENT_MODIFICATION PATH=path_list_append:/usr/lib/llvm-19/bin)
    endif()
    set(${variable} ${properties} PARENT_SCOPE)
endfunction()

# ringpost_test([NAME <name>] [DEPS <name>...] [EXTERNAL <target>...] [SOURCES <file>...]
#               [LABEL <label>] [TIMEOUT <seconds>])
#
# One GoogleTest executable <name>_test from this folder's *_test.cc and from SOURCES (helpers of the tests). Each
# case becomes a ctest of its own, found when ctest runs. NAME defaults to the path below tests/ (unit_smtp, ring);
# LABEL to the first folder below tests/ (unit, ring, sim, crash, interop); TIMEOUT is per case.
# "tests/" is an include root, so that tests reach "sim/…".
function(ringpost_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;LABEL;TIMEOUT" "DEPS;EXTERNAL;SOURCES")
    file(GLOB sources CONFIGURE_DEPENDS *_test.cc)
    if(NOT sources)
        return()
    endif()
    file(RELATIVE_PATH below "${PROJECT_SOURCE_DIR}/tests" "${CMAKE_CURRENT_SOURCE_DIR}")
    if(NOT arg_NAME)
        string(REPLACE "/" "_" arg_NAME "${below}")
    endif()
    ringpost_test_wanted(wanted ${arg_NAME})
    if(NOT wanted)
        return()
    endif()
    if(NOT arg_LABEL)
        string(REGEX REPLACE "/.*" "" arg_LABEL "${below}")
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    list(TRANSFORM arg_DEPS PREPEND ringpost::)
    set(target ${arg_NAME}_test)
    add_executable(${target} ${sources} ${arg_SOURCES})
    ringpost_precompile(${target} test)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
    target_compile_options(${target} PRIVATE ${RINGPOST_TEST_OPTIONS})
    target_link_libraries(${target} PRIVATE
        ${arg_DEPS} ${arg_EXTERNAL} GTest::gmock GTest::gtest GTest::gtest_main)
    ringpost_test_properties(properties ${arg_LABEL} ${arg_TIMEOUT})
    gtest_discover_tests(${target}
        TEST_PREFIX "${RINGPOST_TEST_PREFIX}${arg_NAME}."
        DISCOVERY_MODE PRE_TEST
        DISCOVERY_TIMEOUT 60
        PROPERTIES ${properties})
endfunction()

# ringpost_libraries_of(<source> <variable>)
#
# The libraries whose headers <source> includes, for programs of one file: "smtp/dot_reader.h" → ringpost::smtp.
function(ringpost_libraries_of source variable)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
    file(STRINGS "${source}" libraries REGEX "^#include \"[a-z0-9_/]+/[a-z0-9_]+\\.h\"")
    list(TRANSFORM libraries REPLACE "^#include \"(.*)/[^/]*$" "\\1")
    list(TRANSFORM libraries REPLACE "^io/uring$" "io_uring_driver")
    list(REMOVE_DUPLICATES libraries)
    list(TRANSFORM libraries PREPEND ringpost::)
    set(${variable} "${libraries}" PARENT_SCOPE)
endfunction()

# ringpost_fuzz(<thing>)
#
# The target <thing>_fuzz from <thing>_fuzz.cc, which defines LLVMFuzzerTestOneInput. It links the libraries whose
# headers it includes, so a new target needs no line anywhere. ctest runs it over each file of corpus/<thing>/. In the
# preset fuzz it is a libFuzzer binary, and ctest has it try 20,000 mutations (from a fixed seed) besides.
function(ringpost_fuzz thing)
    ringpost_test_wanted(wanted fuzz)
    if(NOT wanted)
        return()
    endif()
    set(target ${thing}_fuzz)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${target}.cc")
    set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${thing}")
    ringpost_libraries_of("${source}" libraries)
    add_executable(${target} "${source}")
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
    target_link_libraries(${target} PRIVATE ${libraries})
    if(RINGPOST_FUZZ)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(${target} PRIVATE replay_main.cc)
    endif()
    if(RINGPOST_FUZZ)
        # libFuzzer writes what it finds into the first folder; the tree's own corpus is only read.
        set(finds "${PROJECT_BINARY_DIR}/corpus/${thing}")
        file(MAKE_DIRECTORY "${finds}")
        set(arguments -runs=20000 -seed=1 -max_total_time=60 "-artifact_prefix=${PROJECT_BINARY_DIR}/${thing}-")
        set(dictionary "${CMAKE_CURRENT_SOURCE_DIR}/${thing}.dict")
        if(EXISTS "${dictionary}")
            list(APPEND arguments "-dict=${dictionary}")
        endif()
        list(APPEND arguments "${finds}")
        if(EXISTS "${corpus}")
            list(APPEND arguments "${corpus}")
        endif()
    else()
        set(arguments "${corpus}")
    endif()
    set(test ${RINGPOST_TEST_PREFIX}fuzz.${thing})
    add_test(NAME ${test} COMMAND ${target} ${arguments})
    ringpost_test_properties(properties fuzz 300)
    set_tests_properties(${test} PROPERTIES ${properties})
    add_dependencies(ringpost_fuzzers ${target})
endfunction()

# ringpost_bench(<name>)
#
# The program <name>_bench from <name>_bench.cc, a Google Benchmark with its own BENCHMARK_MAIN or a plain main (as
# bench/floor's bare loop). It links the libraries whose headers it includes, and mimalloc as the product does. Not
# part of all: `tools/dev bench` builds the lot, in the preset release.
function(ringpost_bench name)
    set(target ${name}_bench)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${target}.cc")
    ringpost_libraries_of("${source}" libraries)
    add_executable(${target} EXCLUDE_FROM_ALL "${source}")
    target_link_libraries(${target} PRIVATE ${libraries} benchmark::benchmark)
    if(NOT RINGPOST_SANITIZE)
        target_link_libraries(${target} PRIVATE mimalloc)
    endif()
    add_dependencies(ringpost_benches ${target})
endfunction()

# ringpost_check_headers()
#
# ringpost_headers: every header of src/ and tests/ included first in a file of its own, so that each compiles
# alone. Built by name, and as part of all where RINGPOST_CHECK_HEADERS is on (the preset debug).
function(ringpost_check_headers)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS
        "${PROJECT_SOURCE_DIR}/src/*.h" "${PROJECT_SOURCE_DIR}/tests/*.h" "${PROJECT_SOURCE_DIR}/bench/*.h")
    set(sources)
    foreach(header IN LISTS headers)
        file(RELATIVE_PATH path "${PROJECT_SOURCE_DIR}" "${header}")
        set(source "${PROJECT_BINARY_DIR}/headers/${path}.cc")
        file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"@header@\"\n#include \"@header@\"\n" @ONLY)
        list(APPEND sources "${source}")
    endforeach()
    if(NOT sources)
        return()
    endif()
    add_library(ringpost_headers OBJECT ${sources})
    target_compile_options(ringpost_headers PRIVATE -g0)
    if(NOT RINGPOST_CHECK_HEADERS)
        set_target_properties(ringpost_headers PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
    get_property(libraries GLOBAL PROPERTY RINGPOST_LIBRARIES)
    target_include_directories(ringpost_headers PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
    target_link_libraries(ringpost_headers PRIVATE ${libraries} GTest::gmock GTest::gtest benchmark::benchmark)
endfunction()
