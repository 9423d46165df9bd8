# Options, compiler settings, packages, and the functions with which each folder declares its targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(LOCKD_BUILD_TESTS "Build the tests, the simulator and the benchmarks" ON)
option(LOCKD_WERROR "Warnings are errors" ON)
option(LOCKD_FUZZ "Build the fuzz targets (clang only)" OFF)
set(LOCKD_SANITIZE "" CACHE STRING "Sanitizers of the whole build: address;undefined or thread")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
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

# lockd_test(NAME LABEL unit|scenario|sim|e2e|hygiene|fuzz SOURCES ... DEPS ...): a GoogleTest binary; ctest knows each test of it.
function(lockd_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lockd_options lockd_warnings ${arg_DEPS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} TEST_PREFIX "${name}/" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
endfunction()

if(LOCKD_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
