#include "services/gateway/caller/caller.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_replace.h"
#include "common/status/error.h"
#include "common/telemetry/span.h"

namespace leasehold::gateway {
namespace {

// Of two that say different things, neither counts.
Trace SentTrace(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  const auto [header, end] = metadata.equal_range({kTraceparent.data(), kTraceparent.size()});
  if (header == end || std::next(header) != end) return {};
  return ParseTraceparent({header->second.data(), header->second.size()});
}

// gRPC's own contexts live in the call's memory; ours go when the call is over.
class Allocator : public grpc::ContextAllocator {
 public:
  grpc::CallbackServerContext* NewCallbackServerContext() override { return new GatedContext; }
  void Release(grpc::CallbackServerContext* context) override { delete context; }
};

}  // namespace

std::string AddressOfPeer(std::string_view peer) {
  for (const std::string_view scheme : {"ipv4:", "ipv6:"}) {
    if (!peer.starts_with(scheme)) continue;
    const std::string_view address = peer.substr(scheme.size());
    if (!address.contains('%')) return std::string(address);
    return absl::StrReplaceAll({address.data(), address.size()}, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  }
  return std::string(peer);
}

const Trace& GatedContext::trace() {
  if (trace_) return trace_;
  trace_ = SentTrace(*this);
  if (!trace_) return trace_ = BeginTrace();
  if (trace_.sampled && SpansAreCollected()) parent_span_ = std::exchange(trace_.span, NewSpanId());
  return trace_;
}

Trace TraceOf(grpc::CallbackServerContext& context) {
  auto* gated = dynamic_cast<GatedContext*>(&context);
  return gated == nullptr ? SentTrace(context) : gated->trace();
}

std::unique_ptr<grpc::ContextAllocator> NewGatedContexts() { return std::make_unique<Allocator>(); }

const Caller* GatedCallerOf(const grpc::ServerContextBase& context) {
  const auto* gated = dynamic_cast<const GatedContext*>(&context);
  return gated != nullptr && gated->decision ? &gated->caller : nullptr;
}

Caller CallerOf(const grpc::ServerContextBase& context) {
  if (const Caller* gated = GatedCallerOf(context)) return *gated;
  Caller caller;
  caller.address = AddressOfPeer(context.peer());
  return caller;
}

LeaseBounds BoundsOf(const grpc::CallbackServerContext& context) {
  const auto* gated = dynamic_cast<const GatedContext*>(&context);
  return gated == nullptr ? LeaseBounds() : gated->bounds;
}

absl::Status RefusalOf(const grpc::CallbackServerContext& context) {
  const auto* gated = dynamic_cast<const GatedContext*>(&context);
  if (gated == nullptr || !gated->decision) {
    return Error(v1::REASON_NOT_PERMITTED, "nothing allows this call");
  }
  return *gated->decision;
}

}  // namespace leasehold::gateway
