# Options, compiler settings, packages, and the functions with which each folder declares its targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(LOCKD_BUILD_TESTS "Build the tests, the simulator and the benchmarks" ON)
option(LOCKD_CHECK_HEADERS "Compile each header alone (target check_headers)" OFF)
option(LOCKD_WERROR "Warnings are errors" ON)
option(LOCKD_FUZZ "Build the fuzz targets (clang only)" OFF)
set(LOCKD_SANITIZE "" CACHE STRING "Sanitizers of the whole build: address;undefined or thread")

# Checkouts in different folders share the compiler cache: paths below the checkout are made relative
# before hashing, and the binaries say `consensus/raft/raft.cc`, wherever they were built.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=true ${CCACHE_PROGRAM})
endif()

find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)

# Warnings of our own code; generated code does not link this.
add_library(lockd_warnings INTERFACE)
target_compile_options(lockd_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow
  $<$<BOOL:${LOCKD_WERROR}>:-Werror>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
if(LOCKD_SANITIZE)
  # g++ 12 reports variants as uninitialised once a sanitizer has rewritten their accesses.
  target_compile_options(lockd_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()

# What every target is compiled with.
add_library(lockd_options INTERFACE)
target_include_directories(lockd_options INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}>)
target_compile_definitions(lockd_options INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
if(LOCKD_SANITIZE)
  list(JOIN LOCKD_SANITIZE "," sanitizers)
  target_compile_options(lockd_options INTERFACE -fsanitize=${sanitizers} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND sanitizers MATCHES "undefined")
    # What it puts before each function clang 14 cannot put before a coroutine.
    target_compile_options(lockd_options INTERFACE -fno-sanitize=function)
  endif()
  target_link_options(lockd_options INTERFACE -fsanitize=${sanitizers})
  if(sanitizers MATCHES "thread")
    # g++ warns that TSan does not model Asio's fences; the fenced block is off instead.
    target_compile_definitions(lockd_options INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
    target_compile_options(lockd_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  endif()
endif()
if(LOCKD_FUZZ)
  target_compile_options(lockd_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
# clang has its own linker, several times as fast as ld on programs that contain Asio.
find_program(LLD_PROGRAM ld.lld)
if(LLD_PROGRAM AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_link_options(lockd_options INTERFACE -fuse-ld=lld)
endif()

# lockd_library(NAME SOURCES a.cc b.h ... DEPS target ...)
function(lockd_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC lockd_options ${arg_DEPS} PRIVATE $<BUILD_INTERFACE:lockd_warnings>)
endfunction()

# lockd_program(NAME SOURCES ... DEPS ...): lands in build/<preset>/bin.
function(lockd_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lockd_options lockd_warnings ${arg_DEPS})
endfunction()

# lockd_test(NAME LABEL unit|scenario|sim|e2e|hygiene|fuzz SOURCES ... DEPS ... [SLOW filter] [TIMEOUT seconds])
#
# A GoogleTest binary; ctest knows each test in it. `tools/test` runs the fast set: every test but those
# that match SLOW, a GoogleTest filter ("*" for the whole binary); their label is `sim-slow` instead of
# `sim`, and so on. `ctest -L sim` still runs both, `ctest -LE slow` is the fast set, and `tools/test --all`
# runs all. A test above a second belongs to the slow ones, unless it is the smoke of something that
# nothing else in the fast set touches.
function(lockd_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT;SLOW" "SOURCES;DEPS" ${ARGN})
  if(NOT arg_LABEL MATCHES "^(unit|scenario|sim|e2e|hygiene|fuzz)$" OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "lockd_test(${name}): LABEL ${arg_LABEL}, unknown ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lockd_options lockd_warnings ${arg_DEPS} GTest::gmock GTest::gtest_main)
  if(LOCKD_SANITIZE)
    # A test's own code runs for moments; optimising it is a third of what a sanitizer build takes.
    target_compile_options(${name} PRIVATE -O0)
  endif()
  if(NOT arg_SLOW)
    lockd_discover_tests(${name} "" "${arg_LABEL}" ${arg_TIMEOUT})
  elseif(arg_SLOW STREQUAL "*")
    lockd_discover_tests(${name} "" ${arg_LABEL}-slow ${arg_TIMEOUT})
  else()
    lockd_discover_tests(${name} "-${arg_SLOW}" "${arg_LABEL}" ${arg_TIMEOUT})
    lockd_discover_tests(${name} "${arg_SLOW}" ${arg_LABEL}-slow ${arg_TIMEOUT})
  endif()
endfunction()

function(lockd_discover_tests name filter label timeout)
  gtest_discover_tests(${name} TEST_PREFIX "${name}/" TEST_FILTER "${filter}"
    DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    PROPERTIES LABELS ${label} TIMEOUT ${timeout})
endfunction()

# lockd_fuzzer(NAME SOURCES ... DEPS ...): a libFuzzer program, built by the preset `asan` only (target
# `fuzzers` builds all). Its seeds are the files below tests/fuzz/seeds/NAME/, if there are any.
function(lockd_fuzzer name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lockd_options lockd_warnings ${arg_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${name})
  add_test(NAME fuzz/${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
    COMMAND ${CMAKE_SOURCE_DIR}/tests/fuzz/smoke.sh $<TARGET_FILE:${name}> ${CMAKE_SOURCE_DIR}/tests/fuzz/seeds/${name})
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 300)
endfunction()

# lockd_check_headers(): each header compiles alone. Those with a .cc of the same name do, because that .cc
# includes them first (a rule of tools/tidy.py) and is compiled anyway; the others get a file of their own
# here, compiled without optimisation. Called once, after all other targets.
function(lockd_check_headers)
  set(sources)
  foreach(folder protocol consensus server client tools tests)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${folder}/*.h)
    foreach(header IN LISTS headers)
      string(REGEX REPLACE "\\.h$" ".cc" implementation ${header})
      if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${implementation})
        set(source ${CMAKE_BINARY_DIR}/check_headers/${header}.cc)
        # Twice: the guard must hold too.
        file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
        list(APPEND sources ${source})
      endif()
    endforeach()
  endforeach()
  if(NOT sources)
    return()
  endif()
  add_library(check_headers OBJECT ${sources})
  target_compile_options(check_headers PRIVATE -O0 -g0)
  target_link_libraries(check_headers PRIVATE lockd_options lockd_warnings lockd_proto
    absl::flat_hash_map GTest::gtest)
endfunction()

if(LOCKD_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
