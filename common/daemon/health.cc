#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <format>

#include "absl/log/absl_check.h"
#include "common/daemon/daemon.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

std::string Quoted(std::string_view text) {
  google::protobuf::Value value;
  value.set_string_value(Printable(text, 1000));
  std::string json;
  ABSL_CHECK(google::protobuf::util::MessageToJsonString(value, &json).ok());
  return json;
}

std::string Instant(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

}  // namespace

void Health::Set(const std::string& component, const absl::Status& status, std::optional<absl::Duration> latency) {
  const absl::MutexLock lock(&mu_);
  Component& c = components_[component];
  if (!c.known || c.status.ok() != status.ok()) c.since = clock_.Now();
  c.known = true;
  c.status = status;
  if (latency) c.latency = latency;
  if (!status.ok()) {
    c.last_error = ClientText(status);
    c.last_error_time = clock_.Now();
  }
}

void Health::Expect(const std::string& component) {
  const absl::MutexLock lock(&mu_);
  components_.try_emplace(component, Component{.since = clock_.Now()});
}

void Health::Require(const std::string& component) {
  Expect(component);
  const absl::MutexLock lock(&mu_);
  components_[component].required = true;
}

bool Health::Ready() const {
  const absl::MutexLock lock(&mu_);
  for (const auto& [name, c] : components_) {
    if (c.required && (!c.known || !c.status.ok())) return false;
  }
  return true;
}

std::optional<bool> Health::Well(const std::string& component) const {
  const absl::MutexLock lock(&mu_);
  const auto found = components_.find(component);
  if (found == components_.end() || !found->second.known) return std::nullopt;
  return found->second.status.ok();
}

std::map<std::string, Health::Component> Health::Look() const {
  const absl::MutexLock lock(&mu_);
  return components_;
}

std::string Health::Json() const {
  const bool ready = Ready();
  std::string components;
  for (const auto& [name, c] : Look()) {
    if (!components.empty()) components += ",";
    const std::string_view status = !c.known ? "unknown" : c.status.ok() ? "ok" : "failing";
    components += std::format(R"({}:{{"status":"{}","since":"{}")", Quoted(name), status, Instant(c.since));
    if (c.latency) components += std::format(R"(,"latency_ms":{:.3f})", absl::ToDoubleMilliseconds(*c.latency));
    if (!c.status.ok()) {
      components += std::format(R"(,"error":{})", Quoted(c.last_error));
    } else if (!c.last_error.empty()) {
      components +=
          std::format(R"(,"last_error":{},"last_error_time":"{}")", Quoted(c.last_error), Instant(c.last_error_time));
    }
    components += "}";
  }
  return std::format(R"({{"status":"{}","components":{{{}}}}})", ready ? "ok" : "failing", components);
}

}  // namespace leasehold
