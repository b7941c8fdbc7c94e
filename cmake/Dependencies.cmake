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

function(leasehold_library name header)
  find_library(${name}_LIBRARY NAMES ${ARGN} REQUIRED)
  find_path(${name}_INCLUDE NAMES ${header} REQUIRED)
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(${name} INTERFACE ${${name}_LIBRARY})
endfunction()

leasehold_library(leasehold_grpc grpcpp/grpcpp.h grpc++)
find_library(leasehold_grpc_core_LIBRARY NAMES grpc REQUIRED)
find_library(leasehold_gpr_LIBRARY NAMES gpr REQUIRED)
target_link_libraries(leasehold_grpc INTERFACE ${leasehold_grpc_core_LIBRARY} ${leasehold_gpr_LIBRARY} protobuf::libprotobuf)
leasehold_library(leasehold_grpc_reflection grpcpp/ext/proto_server_reflection_plugin.h grpc++_reflection)
leasehold_library(leasehold_pqxx pqxx/pqxx pqxx)
leasehold_library(leasehold_pq postgresql/libpq-fe.h pq)
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
