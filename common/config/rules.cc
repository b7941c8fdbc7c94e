#include "common/config/rules.h"

#include <google/protobuf/duration.pb.h>
#include <postgresql/libpq-fe.h>

#include <algorithm>
#include <format>
#include <memory>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/config/scalar.h"
#include "common/identity/identity.h"
#include "common/status/error.h"

namespace leasehold::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Number = Rule<int32_t>;
using Period = Rule<absl::Duration>;
using Text = Rule<std::string>;

Number Between(int32_t min, int32_t max) {
  return {.allowed = std::format("{} to {}", min, max), .holds = [=](int32_t n) { return n >= min && n <= max; }};
}

Period Between(absl::Duration min, absl::Duration max) {
  return {.allowed = std::format("{} to {}", absl::FormatDuration(min), absl::FormatDuration(max)),
          .holds = [=](absl::Duration d) { return d >= min && d <= max; }};
}

Text OneOf(std::vector<std::string> words) {
  return {.allowed = absl::StrJoin(words, ", "),
          .holds = [words](const std::string& text) { return std::ranges::contains(words, text); }};
}

Text OrEmpty(Text rule) {
  return {.allowed = rule.allowed,
          .holds = [rule](const std::string& text) { return text.empty() || rule.holds(text); },
          .may_hold_password = rule.may_hold_password};
}

Text Address() {
  return {.allowed = "host:port, port 1 to 65535",
          .holds = [](const std::string& text) { return ParseHostPort("", text).ok(); }};
}

Text Printing(std::string allowed, size_t max_bytes) {
  return {.allowed = std::move(allowed), .holds = [=](const std::string& text) {
            return !text.empty() && text.size() <= max_bytes &&
                   std::ranges::none_of(text, [](unsigned char c) { return absl::ascii_iscntrl(c); });
          }};
}

bool IsGlobOf(std::string_view allowed, size_t max_bytes, const std::string& text) {
  return !text.empty() && text.size() <= max_bytes && std::ranges::all_of(text, [&](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || allowed.contains(static_cast<char>(c));
  });
}

// Over names of a-z, 0-9 and what else they may hold.
Text Glob(std::string_view others, size_t max_bytes) {
  return {.allowed = std::format("a glob of 1 to {} of a-z, 0-9, {} and *", max_bytes, others),
          .holds = [allowed = std::string(others) + "*", max_bytes](const std::string& text) {
            return IsGlobOf(allowed, max_bytes, text);
          }};
}

Text Path() { return OrEmpty(Printing("a path of at most 4096 bytes", 4096)); }

bool IsNatsUrl(const std::string& text) {
  for (const std::string_view scheme : {"nats://", "tls://"}) {
    if (text.starts_with(scheme)) return ParseHostPort("", std::string_view(text).substr(scheme.size())).ok();
  }
  return false;
}

// A password would be in every process list, log and effective configuration that shows the string.
bool IsDsnWithoutPassword(const std::string& text) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(text.c_str(), nullptr),
                                                                             PQconninfoFree);
  if (options == nullptr) return false;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if ((keyword == "password" || keyword == "sslpassword") && option->val != nullptr) return false;
  }
  return true;
}

std::string KeyOf(const FieldDescriptor& field) {
  return std::format("{}.{}", field.containing_type()->name(), field.name());
}

template <typename Value>
absl::Status Check(const Rule<Value>& rule, const Value& value, std::string_view path, const std::string& text) {
  if (rule.holds(value)) return absl::OkStatus();
  const bool hide = rule.may_hold_password && (text.contains('@') || text.contains("pass"));
  return InvalidField(path, hide ? "…" : text, rule.allowed);
}

}  // namespace

Rules::Rules() {
  const auto add = [this](std::string key, AnyRule rule) { rules_.emplace(std::move(key), std::move(rule)); };

  add("GatewayConfig.grpc_listen", Address());
  add("GatewayConfig.sql_listen", Address());
  add("GatewayConfig.http_listen", Address());
  add("GatewayConfig.sql_advertise", Address());
  add("GatewayConfig.sql_certificate_file", Path());
  add("GatewayConfig.sql_key_file", Path());
  add("GatewayConfig.sql_loops", Between(0, 256));
  add("GatewayConfig.max_clients", Between(1, 1'000'000));
  add("GatewayConfig.login_timeout", Between(absl::Seconds(1), absl::Minutes(10)));
  add("GatewayConfig.drain_timeout", Between(absl::ZeroDuration(), absl::Hours(1)));
  add("GatewayConfig.metrics_tenants", Between(0, 100'000));
  add("GatewayConfig.grpc_calls_per_connection", Between(10, 100'000));
  add("GatewayConfig.grpc_max_calls", Between(100, 10'000'000));
  add("GatewayConfig.grpc_certificate_file", Path());
  add("GatewayConfig.grpc_key_file", Path());
  add("GatewayConfig.grpc_client_ca_file", Path());
  add("GatewayConfig.grpc_client_certificate", OneOf({"required", "optional"}));
  add("GatewayConfig.sql_tls", OneOf({"optional", "required"}));
  add("GatewayConfig.http_certificate_file", Path());
  add("GatewayConfig.http_key_file", Path());
  add("GatewayConfig.http_client_ca_file", Path());

  add("GatewayConfig.policy_file", Path());
  add("GatewayConfig.tokens_file", Path());
  add("JwtIssuerConfig.issuer", Printing("1 to 256 printable bytes", 256));
  add("JwtIssuerConfig.audience", Printing("1 to 256 printable bytes", 256));
  add("JwtIssuerConfig.keys_file", Printing("a path of 1 to 4096 bytes", 4096));

  add("RegistryConfig.dsn", OrEmpty({.allowed = "a PostgreSQL connection string or URI without a password",
                                     .holds = IsDsnWithoutPassword,
                                     .may_hold_password = true}));
  add("RegistryConfig.password_file", Path());
  add("RegistryConfig.connections", Between(2, 64));
  add("RegistryConfig.retention", Between(absl::ZeroDuration(), absl::Hours(24 * 3650)));
  add("RegistryConfig.cache_ttl", Between(absl::ZeroDuration(), absl::Hours(24)));

  add("NatsConfig.url",
      Text{.allowed = "nats://host:port or tls://host:port", .holds = IsNatsUrl, .may_hold_password = true});
  add("NatsConfig.replicas", Number{.allowed = "1, 3 or 5", .holds = [](int n) { return n == 1 || n == 3 || n == 5; }});

  add("NatsConfig.ca_file", Path());
  add("NatsConfig.certificate_file", Path());
  add("NatsConfig.key_file", Path());
  add("NatsConfig.credentials_file", Path());
  add("NatsConfig.username", OrEmpty(Printing("1 to 255 bytes", 255)));
  add("NatsConfig.password_file", Path());

  add("LeasesConfig.default_ttl", Between(absl::Seconds(1), absl::Hours(720)));
  add("LeasesConfig.max_ttl", Between(absl::Seconds(1), absl::Hours(720)));
  add("LeasesConfig.signing_keys_file", Path());

  add("ProvisionerConfig.resync_interval", Between(absl::Milliseconds(100), absl::Hours(24)));
  add("ProvisionerConfig.min_backoff", Between(absl::Milliseconds(10), absl::Hours(1)));
  add("ProvisionerConfig.max_backoff", Between(absl::Milliseconds(10), absl::Hours(1)));
  add("ProvisionerConfig.parallelism", Between(1, 64));
  add("ProvisionerConfig.gateway", Address());
  add("ProvisionerConfig.min_spares", Between(0, 1000));
  add("ProvisionerConfig.max_spares", Between(0, 1000));
  add("ProvisionerConfig.backup_folder", Path());
  add("ProvisionerConfig.migrate", OneOf({"automatic", "by-run"}));
  add("ProvisionerConfig.run_retention", Between(absl::Hours(1), absl::Hours(24 * 3650)));
  add("ProvisionerConfig.max_runs", Between(100, 100'000));
  add("ProvisionerConfig.token_file", Path());
  add("ProvisionerConfig.gateway_ca_file", Path());
  add("ProvisionerConfig.certificate_file", Path());
  add("ProvisionerConfig.key_file", Path());
  add("ProvisionerConfig.http_certificate_file", Path());
  add("ProvisionerConfig.http_key_file", Path());
  add("ProvisionerConfig.http_client_ca_file", Path());

  add("ServiceConfig.name",
      Text{.allowed = "a letter a-z, then up to 15 of a-z, 0-9 and -; a trailing -service is dropped",
           .holds = [](const std::string& text) { return ServiceName::Parse(text).ok(); }});
  add("ServiceConfig.migrations", Path());
  add("ServiceConfig.http_listen", Address());

  add("InstanceConfig.host", Printing("a host name or address of 1 to 253 bytes", 253));
  add("InstanceConfig.port", Between(1, 65535));
  add("InstanceConfig.database", Printing("1 to 63 bytes", 63));
  add("InstanceConfig.username", Printing("1 to 63 bytes", 63));
  add("InstanceConfig.password_file", Path());
  add("InstanceConfig.sslmode", OneOf({"disable", "prefer", "require", "verify-ca", "verify-full"}));
  add("InstanceConfig.role_key_file", Path());
  add("InstanceConfig.max_connections", Between(1, 10'000));
  add("InstanceConfig.connection_timeout", Between(absl::Milliseconds(100), absl::Minutes(10)));
  add("InstanceConfig.idle_timeout", Between(absl::Seconds(1), absl::Hours(24)));
  add("InstanceConfig.health_check_interval", Between(absl::Seconds(1), absl::Hours(1)));
  add("InstanceConfig.health_check_timeout", Between(absl::Milliseconds(100), absl::Minutes(5)));

  add("InstanceConfig.tenant_max_connections", Between(0, 10'000));
  add("InstanceConfig.max_connection_age", Between(absl::Seconds(1), absl::Hours(24 * 30)));
  add("InstanceConfig.max_prepared_statements", Between(1, 100'000));
  add("InstanceConfig.tenant_restraint", OneOf({"auto", "off"}));
  add("InstanceConfig.ca_file", Path());
  add("InstanceConfig.channel_binding", OneOf({"disable", "prefer", "require"}));
  add("TenantShareConfig.tenants", Printing("a glob over tenant ids of 1 to 64 bytes", 64));
  add("TenantShareConfig.weight", Between(0, 1'000));
  add("TenantShareConfig.max_connections", Between(0, 10'000));

  add("PolicyRule.name", Printing("1 to 64 printable bytes", 64));
  add("PolicyRule.principals", Printing("a principal or glob of 1 to 512 printable bytes", 512));
  add("PolicyRule.operations", Glob(".", 64));
  add("PolicyRule.services", Glob("-", 16));
  add("PolicyRule.tenants", Glob("-", 64));
  add("PolicyRule.tenant_settings",
      Text{.allowed = "KEY=GLOB of at most 512 printable bytes", .holds = [](const std::string& text) {
             const size_t equals = text.find('=');
             return equals != 0 && equals != std::string::npos && text.size() <= 512 &&
                    std::ranges::none_of(text, [](unsigned char c) { return absl::ascii_iscntrl(c); });
           }});
  add("PolicyRule.access", OneOf({"read-only", "read-write"}));
  add("PolicyRule.connections", Glob("-", 64));
  add("PolicyRule.max_ttl", Between(absl::ZeroDuration(), absl::Hours(720)));
  add("PolicyRule.switch_to", Glob("-", 64));
  add("PrincipalQuota.principals", Printing("a principal or glob of 1 to 512 printable bytes", 512));
  add("PrincipalQuota.max_leases", Between(0, 1'000'000));
  add("PrincipalQuota.acquires_per_minute", Between(0, 10'000'000));
  add("PrincipalQuota.acquire_burst", Between(0, 1'000'000));
  add("PrincipalQuota.max_sessions_per_lease", Between(0, 1'000'000));
  add("TenantQuota.tenants", Glob("-", 64));
  add("TenantQuota.max_leases", Between(0, 1'000'000));

  add("LogConfig.level", OneOf({"debug", "info", "warning", "error"}));
  add("LogConfig.format", OrEmpty(OneOf({"json", "text"})));

  add("TracingConfig.otlp_endpoint",
      OrEmpty({.allowed = "http://host:port or https://host:port, with a path if need be",
               .holds = [](const std::string& text) { return ParseHttpUrl("", text).ok(); },
               .may_hold_password = true}));
  add("TracingConfig.sample_percent", Between(0, 100));

  add("AuditConfig.record", OneOf({"on", "off"}));
  add("AuditConfig.on_failure", OneOf({"refuse", "continue"}));
  add("AuditConfig.buffer", Between(1000, 1'000'000));
  add("AuditConfig.stream_retention", Between(absl::Hours(1), absl::Hours(87'600)));
  const Period trimmed = Between(absl::Hours(24), absl::Hours(87'600));
  add("AuditConfig.retention", Period{.allowed = "0, or " + trimmed.allowed, .holds = [trimmed](absl::Duration d) {
                                        return d == absl::ZeroDuration() || trimmed.holds(d);
                                      }});
}

const Rules::AnyRule& Rules::Find(const FieldDescriptor& field) const {
  const auto rule = rules_.find(KeyOf(field));
  ABSL_CHECK(rule != rules_.end()) << field.full_name() << " has no rule";
  return rule->second;
}

absl::Status Rules::CheckField(const Message& message, const FieldDescriptor& field, std::string_view path) const {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return absl::OkStatus();
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const std::string text = ScalarText(message, field);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Check(std::get<Number>(Find(field)), reflection.GetInt32(message, &field), path, text);
    case FieldDescriptor::CPPTYPE_STRING:
      return Check(std::get<Text>(Find(field)), text, path, text);
    default: {
      google::protobuf::Duration duration;
      duration.CopyFrom(reflection.GetMessage(message, &field));
      return Check(std::get<Period>(Find(field)), ToDuration(duration), path, text);
    }
  }
}

absl::Status Rules::CheckAll(const Message& message, std::string_view path) const {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const std::string name = path.empty() ? field.name() : std::format("{}.{}", path, field.name());
    if (field.is_repeated()) {
      for (int j = 0; j < reflection.FieldSize(message, &field); ++j) {
        if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
          const std::string text = reflection.GetRepeatedString(message, &field, j);
          LH_RETURN_IF_ERROR(Check(std::get<Text>(Find(field)), text, std::format("{}[{}]", name, j), text));
          continue;
        }
        LH_RETURN_IF_ERROR(CheckAll(reflection.GetRepeatedMessage(message, &field, j), std::format("{}[{}]", name, j)));
      }
    } else if (IsScalar(field)) {
      LH_RETURN_IF_ERROR(CheckField(message, field, name));
    } else {
      LH_RETURN_IF_ERROR(CheckAll(reflection.GetMessage(message, &field), name));
    }
  }
  return absl::OkStatus();
}

std::string Rules::AllowedText(const FieldDescriptor& field) const {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return "true or false";
  return std::visit([](const auto& rule) { return rule.allowed; }, Find(field));
}

}  // namespace leasehold::config
