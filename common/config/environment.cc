#include "common/config/environment.h"

#include <algorithm>
#include <cstdlib>
#include <span>

#include "absl/log/absl_check.h"
#include "absl/strings/ascii.h"
#include "common/config/rules.h"
#include "common/config/scalar.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Variable {
  const char* name;
  const char* field;
};

constexpr Variable kGateway[] = {
    {"LEASEHOLD_GATEWAY", "grpc_listen"},
    {"LEASEHOLD_SQL", "sql_listen"},
    {"LEASEHOLD_HTTP", "http_listen"},
};
constexpr Variable kNats[] = {{"LEASEHOLD_NATS", "url"}};
constexpr Variable kProvisioner[] = {{"LEASEHOLD_TOKEN_FILE", "token_file"}};
constexpr Variable kLog[] = {{"LOG_DB_QUERIES", "queries"}};
constexpr Variable kTracing[] = {{"OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"}};
constexpr Variable kInstance[] = {
    {"DB_HOST", "host"},
    {"DB_PORT", "port"},
    {"DB_DATABASE", "database"},
    {"DB_USERNAME", "username"},
};
constexpr Variable kService[] = {{"LEASEHOLD_PROVISIONER_HTTP", "http_listen"}};
// Of every service's instance.
constexpr Variable kEveryInstance[] = {
    {"DISTRIBUTED_MAX_CONNECTIONS", "max_connections"},
    {"DISTRIBUTED_CONNECTION_TIMEOUT", "connection_timeout"},
    {"DB_HEALTH_CHECK_INTERVAL", "health_check_interval"},
    {"DB_HEALTH_CHECK_TIMEOUT", "health_check_timeout"},
};

bool IsPlainNumber(const std::string& text) { return !text.empty() && std::ranges::all_of(text, absl::ascii_isdigit); }

absl::Status Apply(std::span<const Variable> variables, Message& message, const Environment& env) {
  const config::Rules rules;
  for (const Variable& variable : variables) {
    std::string text = env(variable.name).value_or("");
    if (text.empty()) continue;
    const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(variable.field);
    ABSL_CHECK(field != nullptr) << variable.field;
    const bool is_time = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_time && IsPlainNumber(text)) text += "s";
    LH_RETURN_IF_ERROR(config::SetScalar(message, *field, variable.name, text, rules));
    LH_RETURN_IF_ERROR(rules.CheckField(message, *field, variable.name));
  }
  return absl::OkStatus();
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

absl::Status ApplyInstanceEnvironment(v1::ServiceConfig& service, const Environment& env) {
  LH_RETURN_IF_ERROR(Apply(kService, service, env));
  return Apply(kInstance, *service.mutable_instance(), env);
}

namespace config {

absl::Status ApplyEnvironment(v1::Config& config, const Environment& env) {
  LH_RETURN_IF_ERROR(Apply(kGateway, *config.mutable_gateway(), env));
  LH_RETURN_IF_ERROR(Apply(kNats, *config.mutable_nats(), env));
  LH_RETURN_IF_ERROR(Apply(kProvisioner, *config.mutable_provisioner(), env));
  for (v1::ServiceConfig& service : *config.mutable_services()) {
    LH_RETURN_IF_ERROR(Apply(kEveryInstance, *service.mutable_instance(), env));
  }
  LH_RETURN_IF_ERROR(Apply(kTracing, *config.mutable_tracing(), env));
  return Apply(kLog, *config.mutable_log(), env);
}

}  // namespace config
}  // namespace leasehold
