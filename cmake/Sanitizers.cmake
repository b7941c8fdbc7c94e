# Links every room: language level, warnings as errors, and the sanitizers that the preset asks for.
set(LEASEHOLD_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

add_library(leasehold_options INTERFACE)
target_compile_options(leasehold_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Debian's libraries are built with GCC; since 18 clang mangles some of Abseil's templates in another way.
  target_compile_options(leasehold_options INTERFACE -Wthread-safety -Wthread-safety-beta -fclang-abi-compat=17)
else()
  # GCC 14 reports these inside libstdc++ and protobuf once they are inlined; clang's own checks stay on.
  target_compile_options(leasehold_options INTERFACE
    -Wno-maybe-uninitialized -Wno-dangling-reference -Wno-stringop-overflow -Wno-array-bounds -Wno-restrict)
endif()
if(LEASEHOLD_SANITIZE)
  # Under AddressSanitizer Abseil's hash tables have another layout and poison by hand, unless this is defined and
  # allow_user_poisoning is off (docker/dev/inside); Debian's library has the plain one.
  target_compile_definitions(leasehold_options INTERFACE NDEBUG_SANITIZER)
  target_compile_options(leasehold_options INTERFACE
    -fsanitize=${LEASEHOLD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(leasehold_options INTERFACE -fsanitize=${LEASEHOLD_SANITIZE})
endif()
if(LEASEHOLD_SANITIZE MATCHES "thread")
  add_library(leasehold_tsan_mutex OBJECT ${PROJECT_SOURCE_DIR}/tests/tsan_mutex.cc)
  target_compile_options(leasehold_tsan_mutex PRIVATE -std=c++23 -fsanitize=thread -fclang-abi-compat=17)
  set_property(TARGET leasehold_options PROPERTY INTERFACE_LINK_LIBRARIES_DIRECT leasehold_tsan_mutex)
endif()
if(LEASEHOLD_FUZZ)
  # Without it libFuzzer sees nothing of what an input reaches.
  target_compile_options(leasehold_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
