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

std::string UrlOf(const HostPort& http, const HttpFiles& files) {
  const bool wildcard = http.host == "0.0.0.0" || http.host == "::";
  const std::string host = wildcard ? "127.0.0.1" : http.host;
  return absl::StrCat(files.certificate.empty() ? "http" : "https", "://",
                      host.contains(':') ? absl::StrCat("[", host, "]") : host, ":", http.port);
}

httplib::Result Get(const HostPort& http, const HttpFiles& files, const std::string& path) {
  httplib::Client client(UrlOf(http, files), files.certificate, files.key);
  client.enable_server_certificate_verification(false);
  client.set_connection_timeout(std::chrono::milliseconds(500));
  client.set_read_timeout(std::chrono::milliseconds(500));
  return client.Get(path);
}

}  // namespace

bool IsReady(const HostPort& http, const HttpFiles& files) {
  // A certificate that is no client's would be refused, and none is needed here.
  const httplib::Result answer = Get(http, {.certificate = files.certificate}, "/readyz");
  return answer && answer->status == 200;
}

absl::Status CheckReady(const HostPort& http, const HttpFiles& files) {
  if (IsReady(http, files)) return absl::OkStatus();
  const std::string missing = WhatIsMissing(http, files);
  if (!missing.empty()) return absl::UnavailableError(absl::StrCat("not ready: ", missing));
  return absl::UnavailableError(absl::StrCat("no daemon that is ready answers on ", UrlOf(http, files), "/readyz"));
}

std::string WhatIsMissing(const HostPort& http, const HttpFiles& files) {
  const httplib::Result answer = Get(http, files, "/healthz");
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
