# How every target of this project is built: one place for the standard, warnings and hardening.
include(CheckCXXCompilerFlag)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the project are hashed as relative ones: a second clone finds what the first compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}"
      CCACHE_NOHASHDIR=1 "CCACHE_SLOPPINESS=pch_defines,time_macros" "${CCACHE}")
endif()

# What `make build` leaves alone and `make test` or `make bench` asks for.
add_custom_target(tests)
add_custom_target(benchmarks)
function(mlxguard_only_for group)
  foreach(target IN LISTS ARGN)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    add_dependencies(${group} ${target})
  endforeach()
endfunction()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(fmt REQUIRED)

set(MLXGUARD_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

# What every target is compiled with: mlxguard_flags is for what is shipped, mlxguard_test_flags for sources of tests.
# -Wrestrict of g++ 12 warns about copies inside std::string that cannot happen (GCC bug 105651).
foreach(flags mlxguard_flags mlxguard_test_flags)
  add_library(${flags} INTERFACE)
  target_compile_features(${flags} INTERFACE cxx_std_20)
  target_compile_options(${flags} INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wold-style-cast -Wnon-virtual-dtor -Werror
    -D_GLIBCXX_ASSERTIONS -fstack-protector-strong -fstack-clash-protection -fcf-protection
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
  target_link_options(${flags} INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
  if(MLXGUARD_SANITIZE)
    target_compile_options(${flags} INTERFACE
      -fsanitize=${MLXGUARD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${flags} INTERFACE -fsanitize=${MLXGUARD_SANITIZE})
  endif()
endforeach()
if(NOT MLXGUARD_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # The fortified headers want optimisation, and hide bugs from the sanitizers.
  target_compile_options(mlxguard_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
# Sources of tests run once: compiling them fast counts for more than their speed.
target_compile_definitions(mlxguard_test_flags INTERFACE DOCTEST_CONFIG_SUPER_FAST_ASSERTS)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT MLXGUARD_SANITIZE)
  target_compile_options(mlxguard_test_flags INTERFACE -O0 -g0)
endif()

# Tests include the standard library and doctest: in release builds both are parsed once. Sources and headers include
# what they use all the same: debug, sanitizer and fuzz builds have no precompiled headers, and tools/check_headers
# compiles each header alone.
set(MLXGUARD_PRECOMPILE OFF)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT MLXGUARD_SANITIZE AND NOT SKBUILD)
  set(MLXGUARD_PRECOMPILE ON)
  file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/precompiled.cpp" CONTENT "" @ONLY)
  add_library(mlxguard_precompiled OBJECT EXCLUDE_FROM_ALL "${CMAKE_BINARY_DIR}/precompiled.cpp")
  target_link_libraries(mlxguard_precompiled PRIVATE mlxguard_test_flags)
  # The compiler cache wants the first; a program's -fPIE in the place of a library's -fPIC must be the same for its users.
  target_compile_options(mlxguard_precompiled PRIVATE -fpch-preprocess -fPIE)
  target_precompile_headers(mlxguard_precompiled PRIVATE
    <algorithm> <array> <atomic> <charconv> <chrono> <cstddef> <cstdint> <cstdlib> <cstring> <deque> <filesystem>
    <functional> <limits> <map> <memory> <mutex> <optional> <set> <span> <string> <string_view> <thread> <tuple>
    <type_traits> <unordered_map> <utility> <variant> <vector> <doctest/doctest.h>)
endif()

# mlxguard_library(NAME SOURCES a.cpp... [TESTS a_test.cpp...] [DEPENDS base...] [LINK pkg...] [TEST_LINK ...])
# A folder of src/: static library mlxguard_NAME, alias mlxguard::NAME, and its doctest program NAME_test.
function(mlxguard_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;TESTS;DEPENDS;LINK;TEST_LINK" ${ARGN})
  set(target mlxguard_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(mlxguard::${name} ALIAS ${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE mlxguard_flags)
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(${target} PUBLIC mlxguard_${dependency})
  endforeach()
  target_link_libraries(${target} PRIVATE ${ARG_LINK})
  if(ARG_TESTS)
    mlxguard_test(${name} SOURCES ${ARG_TESTS} DEPENDS ${name} LINK ${ARG_TEST_LINK})
  endif()
endfunction()

# doctest's own code, once for all test programs.
add_library(mlxguard_doctest_main OBJECT EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/tests/support/doctest_main.cpp")
target_link_libraries(mlxguard_doctest_main PRIVATE mlxguard_test_flags)

# mlxguard_test(NAME SOURCES ... DEPENDS ... [LINK ...]): doctest program build/bin/tests/NAME_test, one
# ctest entry, labelled by folder.
function(mlxguard_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  set(target ${name}_test)
  add_executable(${target} ${ARG_SOURCES} $<TARGET_OBJECTS:mlxguard_doctest_main>)
  mlxguard_only_for(tests ${target})
  if(MLXGUARD_PRECOMPILE)
    target_compile_options(${target} PRIVATE -fpch-preprocess)
    target_precompile_headers(${target} REUSE_FROM mlxguard_precompiled)
  endif()
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin/tests")
  target_compile_definitions(${target} PRIVATE MLXGUARD_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} PRIVATE mlxguard_test_flags ${ARG_LINK})
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(${target} PRIVATE mlxguard_${dependency})
  endforeach()
  add_test(NAME ${name} COMMAND ${target})
  set_tests_properties(${name} PROPERTIES LABELS "unit;${name}" TIMEOUT 300)
endfunction()

# mlxguard_program(NAME SOURCES ... DEPENDS ... [LINK ...]): a binary in build/bin.
function(mlxguard_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_compile_definitions(${name} PRIVATE MLXGUARD_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${name} PRIVATE mlxguard_flags ${ARG_LINK})
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(${name} PRIVATE mlxguard_${dependency})
  endforeach()
endfunction()
