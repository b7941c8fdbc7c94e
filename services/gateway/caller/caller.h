// Who makes a gRPC call: what the gateway established of it before any work was done.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/telemetry/trace.h"
#include "services/gateway/lease/lease_bounds.h"

namespace leasehold::gateway {

inline constexpr std::string_view kAnonymous = "anonymous";

struct Caller {
  // "spiffe://…", "dns:NAME", "jwt:ISSUER/SUBJECT", "token:NAME", or "anonymous" where nobody has to say who they are.
  std::string principal{kAnonymous};
  // The peer, ip:port; what gRPC calls it where it has no port ("unix:…", "inproc").
  std::string address;
};

// A call with what the gate found out about it. Each call of a server that was built with NewGatedContexts() is one.
class GatedContext : public grpc::CallbackServerContext {
 public:
  // The caller's, by its traceparent; one that begins here if it has sent none that is valid. Where spans are collected
  // its span is the call's own. Made when it is asked for first; one thread at a time until then.
  const Trace& trace();
  // Of which the call is a part; 0: of none.
  uint64_t parent_span() const { return parent_span_; }

  Caller caller;
  LeaseBounds bounds;
  // nullopt until the gate has decided: then the call is refused, too.
  std::optional<absl::Status> decision;

 private:
  Trace trace_;
  uint64_t parent_span_ = 0;
};
std::unique_ptr<grpc::ContextAllocator> NewGatedContexts();

// nullptr of a call that the gate has not seen, as in tests of a single service. Lives as long as `context`.
const Caller* GatedCallerOf(const grpc::ServerContextBase& context);

// Of a call that the gate has not seen: its peer, and anonymous; without bounds.
Caller CallerOf(const grpc::ServerContextBase& context);

LeaseBounds BoundsOf(const grpc::CallbackServerContext& context);

// Why the gate did not let the call in; OK if it did. NOT_PERMITTED if nobody has decided.
absl::Status RefusalOf(const grpc::CallbackServerContext& context);

// gRPC's "ipv4:127.0.0.1:4711" and "ipv6:%5B::1%5D:4711" as "127.0.0.1:4711" and "[::1]:4711".
std::string AddressOfPeer(std::string_view peer);

// GatedContext::trace(); of other calls the caller's, or none.
Trace TraceOf(grpc::CallbackServerContext& context);

}  // namespace leasehold::gateway
