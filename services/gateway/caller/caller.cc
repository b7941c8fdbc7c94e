#include "services/gateway/caller/caller.h"

#include <algorithm>

#include "absl/strings/str_replace.h"

namespace leasehold::gateway {
namespace {

bool IsLowerHex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string AddressOfPeer(std::string_view peer) {
  for (const std::string_view scheme : {"ipv4:", "ipv6:"}) {
    if (!peer.starts_with(scheme)) continue;
    const std::string_view address = peer.substr(scheme.size());
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

Caller CallerOf(const grpc::CallbackServerContext& context) {
  Caller caller;
  caller.address = AddressOfPeer(context.peer());
  const auto& metadata = context.client_metadata();
  if (const auto header = metadata.find("traceparent"); header != metadata.end()) {
    caller.trace_id = TraceIdOf({header->second.data(), header->second.size()});
  }
  return caller;
}

}  // namespace leasehold::gateway
