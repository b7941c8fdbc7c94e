#include "common/daemon/readiness.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <httplib.h>

#include <chrono>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace leasehold {
namespace {

httplib::Client ClientFor(const HostPort& http) {
  const bool wildcard = http.host == "0.0.0.0" || http.host == "::";
  httplib::Client client(wildcard ? "127.0.0.1" : http.host, http.port);
  client.set_connection_timeout(std::chrono::milliseconds(500));
  client.set_read_timeout(std::chrono::milliseconds(500));
  return client;
}

}  // namespace

bool IsReady(const HostPort& http) {
  const httplib::Result answer = ClientFor(http).Get("/readyz");
  return answer && answer->status == 200;
}

absl::Status CheckReady(const HostPort& http) {
  if (IsReady(http)) return absl::OkStatus();
  const std::string missing = WhatIsMissing(http);
  if (!missing.empty()) return absl::UnavailableError(absl::StrCat("not ready: ", missing));
  return absl::UnavailableError(
      absl::StrCat("no daemon that is ready answers on http://", http.host, ":", http.port, "/readyz"));
}

std::string WhatIsMissing(const HostPort& http) {
  const httplib::Result answer = ClientFor(http).Get("/healthz");
  return answer ? FailingComponents(answer->body) : "";
}

std::string FailingComponents(const std::string& health_json) {
  google::protobuf::Struct health;
  if (!google::protobuf::util::JsonStringToMessage(health_json, &health).ok()) return "";
  const auto components = health.fields().find("components");
  if (components == health.fields().end()) return "";
  std::map<std::string, std::string> failing;
  for (const auto& [name, value] : components->second.struct_value().fields()) {
    const auto& fields = value.struct_value().fields();
    const auto status = fields.find("status");
    if (status != fields.end() && status->second.string_value() == "ok") continue;
    const auto error = fields.find("error");
    failing[name] = error == fields.end() ? "not ready yet" : error->second.string_value();
  }
  return absl::StrJoin(failing, ", ", absl::PairFormatter(": "));
}

}  // namespace leasehold
