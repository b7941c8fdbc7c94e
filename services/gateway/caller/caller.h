// Who makes a gRPC call: what the gateway established of it before any work was done.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "services/gateway/lease/lease_bounds.h"

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

// A call with what the gate found out about it. Each call of a server that was built with NewGatedContexts() is one.
class GatedContext : public grpc::CallbackServerContext {
 public:
  Caller caller;
  LeaseBounds bounds;
  // nullopt until the gate has decided: then the call is refused, too.
  std::optional<absl::Status> decision;
};
std::unique_ptr<grpc::ContextAllocator> NewGatedContexts();

// nullptr of a call that the gate has not seen, as in tests of a single service. Lives as long as `context`.
const Caller* GatedCallerOf(const grpc::ServerContextBase& context);

// Of a call that the gate has not seen: its peer and trace, and anonymous; without bounds.
Caller CallerOf(const grpc::ServerContextBase& context);

LeaseBounds BoundsOf(const grpc::CallbackServerContext& context);

// Why the gate did not let the call in; OK if it did. NOT_PERMITTED if nobody has decided.
absl::Status RefusalOf(const grpc::CallbackServerContext& context);

// gRPC's "ipv4:127.0.0.1:4711" and "ipv6:%5B::1%5D:4711" as "127.0.0.1:4711" and "[::1]:4711".
std::string AddressOfPeer(std::string_view peer);

// Empty for anything that is not version 00 to fe of a W3C traceparent with a trace id that is not all zeros.
std::string TraceIdOf(std::string_view traceparent);

}  // namespace leasehold::gateway
