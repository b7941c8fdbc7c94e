// The one configuration file: YAML → v1::Config, defaults filled in, environment applied, every value checked. A bad
// value is an InvalidField with its path, e.g. "services[1].instance.port is 'abc'; allowed: 1 to 65535"; an unknown
// key names the nearest known one. Relative paths inside the file are made absolute against the file's folder.
// docs/configuration.md has every field with its default and limits.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "google/protobuf/timestamp.pb.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold {

// Looks a variable up; nullopt if unset. Injected for tests. Everything below takes an empty variable for an unset one.
using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment ProcessEnvironment();

// The certificates and keys that TLS needs.
enum class TlsFiles {
  kNamed,   // in the configuration
  kToCome,  // are made for it: nothing is missed, and whoever makes them checks what comes of it
};

// `base_dir`: the folder that relative paths are relative to.
absl::StatusOr<v1::Config> ParseConfig(std::string_view yaml, const std::string& base_dir, const Environment& env,
                                       TlsFiles tls = TlsFiles::kNamed);
absl::StatusOr<v1::Config> LoadConfig(const std::string& path, const Environment& env, TlsFiles tls = TlsFiles::kNamed);

// The whole file; FAILED_PRECONDITION "cannot read the <what> file <path>: …".
absl::StatusOr<std::string> ReadTextFile(std::string_view what, const std::string& path);

// The YAML that ParseConfig reads as the same Config; for the effective configuration that `leasehold stack` writes.
std::string ToYaml(const v1::Config& config);

// The entry of one service. SERVICE_NOT_FOUND lists the known ones.
absl::StatusOr<v1::ServiceConfig> FindService(const v1::Config& config, const ServiceName& name);

// DB_HOST, DB_PORT, DB_DATABASE, DB_USERNAME and LEASEHOLD_PROVISIONER_HTTP over the entry of the service that a
// provisioner serves (they mean nothing to a gateway). INVALID_FIELD names the variable. DB_PASSWORD stays in the
// environment.
absl::Status ApplyInstanceEnvironment(v1::ServiceConfig& service, const Environment& env);

absl::Duration ToDuration(const google::protobuf::Duration& d);
google::protobuf::Duration FromDuration(absl::Duration d);
absl::Time ToTime(const google::protobuf::Timestamp& t);
google::protobuf::Timestamp FromTime(absl::Time t);

// "30s", "15m", "1h30m", "7d", "4d 1h", "250ms", "0"; INVALID_FIELD with `field` otherwise, also for a negative one.
absl::StatusOr<absl::Duration> ParseDurationField(std::string_view field, std::string_view text);

struct HostPort {
  std::string host;
  int port = 0;
};
// "127.0.0.1:7450", "[::1]:7450", "gateway:7450".
absl::StatusOr<HostPort> ParseHostPort(std::string_view field, std::string_view text);

struct HttpUrl {
  std::string origin{};  // "http://collector:4318"
  std::string path{};    // "" or "/…" without a slash at the end
};
// http:// or https://, host:port, perhaps a path; no user, query or fragment.
absl::StatusOr<HttpUrl> ParseHttpUrl(std::string_view field, std::string_view text);

}  // namespace leasehold
