// Who makes a gRPC call: what the gateway established of it before any work was done.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <string_view>

namespace leasehold::gateway {

inline constexpr std::string_view kAnonymous = "anonymous";

struct Caller {
  // "spiffe://…", "dns:NAME", "jwt:ISSUER/SUBJECT", "token:NAME", or "anonymous" where nobody has to say who they are.
  std::string principal{kAnonymous};
  // The peer, ip:port; what gRPC calls it where it has no port ("unix:…", "inproc").
  std::string address;
  // 32 lower-case hex digits of the call's W3C traceparent; empty without a valid one.
  std::string trace_id;
};

// A call that the gate has not seen, as in tests of a single service, is anonymous.
Caller CallerOf(const grpc::CallbackServerContext& context);

// gRPC's "ipv4:127.0.0.1:4711" and "ipv6:%5B::1%5D:4711" as "127.0.0.1:4711" and "[::1]:4711".
std::string AddressOfPeer(std::string_view peer);

// Empty for anything that is not version 00 to fe of a W3C traceparent with a trace id that is not all zeros.
std::string TraceIdOf(std::string_view traceparent);

}  // namespace leasehold::gateway
