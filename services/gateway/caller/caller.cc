#include "services/gateway/caller/caller.h"

#include <algorithm>

#include "absl/strings/str_replace.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

bool IsLowerHex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
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

std::string TraceIdOf(std::string_view traceparent) {
  // version "-" trace id "-" parent id "-" flags; later versions may add fields.
  if (traceparent.size() < 55 || traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-') return "";
  if (traceparent.size() > 55 && (traceparent.starts_with("00") || traceparent[55] != '-')) return "";
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view trace_id = traceparent.substr(3, 32);
  const bool hex = IsLowerHex(version) && IsLowerHex(trace_id) && IsLowerHex(traceparent.substr(36, 16)) &&
                   IsLowerHex(traceparent.substr(53, 2));
  if (!hex || version == "ff" || trace_id.find_first_not_of('0') == std::string_view::npos) return "";
  return std::string(trace_id);
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
  const auto& metadata = context.client_metadata();
  if (const auto header = metadata.find("traceparent"); header != metadata.end()) {
    caller.trace_id = TraceIdOf({header->second.data(), header->second.size()});
  }
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
