# Everything comes from Debian packages. gRPC is looked up as libraries: its own CMake config walks pkg-config for each of
# its dependencies, which takes 24 s a configure.
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
find_package(cnats REQUIRED)
find_package(ftxui REQUIRED)
# Debian's target names what only the static library needs (protobuf-c, libsodium), without depending on their -dev packages.
set_target_properties(cnats::nats PROPERTIES INTERFACE_LINK_LIBRARIES Threads::Threads)

# Archives instead of some seventy shared libraries (most of them Abseil's), through which the dynamic loader goes at each
# start: of a command of the command line that was more than half (docs/adr/0026-archives.md). Under a sanitizer they stay
# shared: tests/tsan_mutex.cc stands before Abseil's own functions.
if(LEASEHOLD_SANITIZE)
  set(archives OFF)
else()
  set(archives ON)
endif()
option(LEASEHOLD_ARCHIVES "Link Abseil, Protobuf, gRPC, libpqxx and yaml-cpp from their archives" ${archives})

# `variable`: what to link of the shared library `path`: itself, or the archive that its -dev package has beside it.
function(leasehold_archive variable path)
  if(LEASEHOLD_ARCHIVES)
    string(REGEX REPLACE "\\.so[.0-9]*$" ".a" path "${path}")
    set_property(GLOBAL APPEND PROPERTY LEASEHOLD_ARCHIVE_FILES ${path})
  endif()
  set(${variable} ${path} PARENT_SCOPE)
endfunction()

# leasehold_library(NAME HEADER LIBRARY [BEHIND…]): what has no target of its own. From its archive if BEHIND says what
# that needs.
function(leasehold_library name header library)
  find_library(${name}_LIBRARY NAMES ${library} REQUIRED)
  find_path(${name}_INCLUDE NAMES ${header} REQUIRED)
  set(location ${${name}_LIBRARY})
  if(ARGN)
    leasehold_archive(location ${location})
  endif()
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(${name} INTERFACE ${location} ${ARGN})
endfunction()

get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
list(FILTER targets INCLUDE REGEX "^(absl|protobuf|yaml-cpp)::")
foreach(target IN LISTS targets)
  foreach(property IMPORTED_LOCATION IMPORTED_LOCATION_NONE IMPORTED_LOCATION_RELEASE IMPORTED_LOCATION_DEBUG)
    get_target_property(location ${target} ${property})
    if(location MATCHES "\\.so[.0-9]*$")
      leasehold_archive(location ${location})
      set_target_properties(${target} PROPERTIES ${property} ${location})
    endif()
  endforeach()
endforeach()

# gRPC: its core, and what its archive needs (as grpc.pc and its like say).
set(core protobuf::libprotobuf)
set(libraries grpc gpr)
if(LEASEHOLD_ARCHIVES)
  find_package(ZLIB REQUIRED)
  list(APPEND libraries upb address_sorting re2 cares)
  list(APPEND core OpenSSL::SSL Threads::Threads ZLIB::ZLIB absl::absl_check absl::absl_log absl::bind_front absl::cord absl::flags
    absl::flat_hash_map absl::flat_hash_set absl::inlined_vector absl::random_random absl::status absl::statusor absl::str_format
    absl::strings absl::synchronization absl::time)
endif()
foreach(library IN LISTS libraries)
  find_library(leasehold_${library}_core_LIBRARY NAMES ${library} REQUIRED)
  leasehold_archive(location ${leasehold_${library}_core_LIBRARY})
  list(APPEND core ${location})
endforeach()
leasehold_library(leasehold_grpc grpcpp/grpcpp.h grpc++ ${core})
leasehold_library(leasehold_grpc_reflection grpcpp/ext/proto_server_reflection_plugin.h grpc++_reflection leasehold_grpc)
leasehold_library(leasehold_pq postgresql/libpq-fe.h pq)
leasehold_library(leasehold_pqxx pqxx/pqxx pqxx leasehold_pq)
leasehold_library(leasehold_httplib httplib.h cpp-httplib)
# As Debian built it (its cpp-httplib.pc): these decide the layout of its classes.
target_compile_definitions(leasehold_httplib INTERFACE
  CPPHTTPLIB_OPENSSL_SUPPORT CPPHTTPLIB_ZLIB_SUPPORT CPPHTTPLIB_BROTLI_SUPPORT)
target_link_libraries(leasehold_httplib INTERFACE OpenSSL::SSL)
find_path(leasehold_asio_INCLUDE NAMES asio.hpp REQUIRED)
add_library(leasehold_asio INTERFACE IMPORTED GLOBAL)
target_compile_definitions(leasehold_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED)
target_link_libraries(leasehold_asio INTERFACE Threads::Threads OpenSSL::SSL)
find_path(leasehold_cli11_INCLUDE NAMES CLI/CLI.hpp REQUIRED)

find_program(leasehold_grpc_plugin grpc_cpp_plugin REQUIRED)

if(BUILD_TESTING)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# What is in the programs, for the images' bills of materials.
if(LEASEHOLD_ARCHIVES)
  get_property(archives GLOBAL PROPERTY LEASEHOLD_ARCHIVE_FILES)
  file(MAKE_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/docker/archives ${archives}
    OUTPUT_FILE ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/archives.txt COMMAND_ERROR_IS_FATAL ANY)
endif()
