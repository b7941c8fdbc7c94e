#include "common/events/structured.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <charconv>
#include <cmath>
#include <format>
#include <optional>

#include "common/events/events.h"
#include "common/events/refusal.h"
#include "common/status/error.h"

namespace leasehold::events {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr std::string_view kObject = "a JSON object: CloudEvents 1.0 in structured mode";
constexpr std::string_view kDesiredNames = "DESIRED_STATE_PRESENT, DESIRED_STATE_CLOSED or DESIRED_STATE_ABSENT";
constexpr double kLargestExact = 9007199254740991.0;  // 2^53 - 1: beyond it a double skips whole numbers

// The parser recurses; what is nested too deeply must not reach it.
absl::Status CheckDepth(std::string_view payload) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < payload.size(); ++i) {
    const char c = payload[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    // No JSON, though the parser takes it for a quote: then it and this loop would disagree on where strings end.
    if (c == '\'') return Malformed("event", payload, kObject);
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > kMaxJsonDepth) {
      return Malformed("event", payload, std::format("JSON nested at most {} levels deep", kMaxJsonDepth));
    }
  }
  return absl::OkStatus();
}

bool IsWhole(double number) { return std::trunc(number) == number && std::abs(number) <= kLargestExact; }

std::string NumberText(double number) {
  return IsWhole(number) ? std::format("{}", static_cast<int64_t>(number)) : std::format("{}", number);
}

std::string ValueText(const Value& value) {
  switch (value.kind_case()) {
    case Value::kStringValue:
      return value.string_value();
    case Value::kNumberValue:
      return NumberText(value.number_value());
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kStructValue:
      return "{…}";
    case Value::kListValue:
      return "[…]";
    default:
      return "null";
  }
}

// The member `name`, or null if it is absent or `null`.
const Value* Find(const Struct& object, std::string_view name) {
  const auto it = object.fields().find(std::string(name));
  if (it == object.fields().end() || it->second.kind_case() == Value::kNullValue) return nullptr;
  return &it->second;
}

absl::StatusOr<std::optional<std::string>> FindString(const Struct& object, std::string_view name,
                                                      std::string_view field) {
  const Value* value = Find(object, name);
  if (value == nullptr) return std::nullopt;
  if (value->kind_case() != Value::kStringValue) return Malformed(field, ValueText(*value), "a string");
  return value->string_value();
}

absl::StatusOr<std::optional<bool>> FindBool(const Struct& object, std::string_view name, std::string_view field) {
  const Value* value = Find(object, name);
  if (value == nullptr) return std::nullopt;
  if (value->kind_case() != Value::kBoolValue) return Malformed(field, ValueText(*value), "true or false");
  return value->bool_value();
}

// Whole numbers are numbers or, as the protobuf JSON mapping writes 64-bit ones, strings.
absl::StatusOr<int64_t> FindCount(const Struct& object, std::string_view name, std::string_view field) {
  const Value* value = Find(object, name);
  if (value == nullptr) return 0;
  if (value->kind_case() == Value::kNumberValue && IsWhole(value->number_value())) {
    return static_cast<int64_t>(value->number_value());
  }
  const std::string& text = value->string_value();  // empty if it is none
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return Malformed(field, ValueText(*value), "a whole number");
  }
  return number;
}

absl::Status ReadSettings(const Struct& data, v1::TenantEvent& event) {
  const Value* settings = Find(data, "settings");
  if (settings == nullptr) return absl::OkStatus();
  if (!settings->has_struct_value()) return Malformed("data.settings", ValueText(*settings), "an object");
  for (const auto& [key, value] : settings->struct_value().fields()) {
    const std::string field = std::format("data.settings.{}", key);
    switch (value.kind_case()) {
      case Value::kStructValue:
      case Value::kListValue:
        return Malformed(field, ValueText(value), "a string, a number, true or false");
      case Value::kNumberValue:
        if (std::abs(value.number_value()) > kLargestExact) {
          return Malformed(field, ValueText(value), "a number below 2^53, or a string");
        }
        break;
      case Value::kNullValue:
        continue;  // as good as absent
      default:
        break;
    }
    (*event.mutable_settings())[key] = ValueText(value);
  }
  return absl::OkStatus();
}

absl::Status ReadOrigin(const Struct& data, v1::TenantEvent& event) {
  constexpr std::string_view kAllowed = "an object with a generation and either tenant or backup";
  const Value* value = Find(data, "origin");
  if (value == nullptr) return absl::OkStatus();
  if (!value->has_struct_value()) return Malformed("data.origin", ValueText(*value), kAllowed);
  const Struct& origin = value->struct_value();
  LH_ASSIGN_OR_RETURN(std::optional<std::string> tenant, FindString(origin, "tenant", "data.origin.tenant"));
  LH_ASSIGN_OR_RETURN(std::optional<std::string> backup, FindString(origin, "backup", "data.origin.backup"));
  LH_ASSIGN_OR_RETURN(const int64_t generation, FindCount(origin, "generation", "data.origin.generation"));
  if (tenant.has_value() == backup.has_value()) return Malformed("data.origin", ValueText(*value), kAllowed);
  if (tenant) {
    event.mutable_origin()->set_tenant(*std::move(tenant));
  } else {
    event.mutable_origin()->set_backup(*std::move(backup));
  }
  event.mutable_origin()->set_generation(generation);
  return absl::OkStatus();
}

absl::StatusOr<v1::TenantEvent> ReadData(const Struct& data) {
  v1::TenantEvent event;
  LH_ASSIGN_OR_RETURN(std::optional<std::string> id, FindString(data, "id", "data.id"));
  LH_ASSIGN_OR_RETURN(std::optional<std::string> name, FindString(data, "name", "data.name"));
  LH_ASSIGN_OR_RETURN(std::optional<std::string> domain, FindString(data, "domain", "data.domain"));
  event.set_id(id.value_or(""));
  event.set_name(name.value_or(""));
  event.set_domain(domain.value_or(""));
  for (const std::string_view spelling : {"isActive", "is_active"}) {
    const std::string field = std::format("data.{}", spelling);
    LH_ASSIGN_OR_RETURN(std::optional<bool> active, FindBool(data, spelling, field));
    if (!active) continue;
    if (event.has_is_active() && event.is_active() != *active) {
      return Malformed(field, *active ? "true" : "false", "the same as data.isActive");
    }
    event.set_is_active(*active);
  }
  LH_RETURN_IF_ERROR(ReadSettings(data, event));
  LH_ASSIGN_OR_RETURN(const int64_t generation, FindCount(data, "generation", "data.generation"));
  event.set_generation(generation);
  LH_ASSIGN_OR_RETURN(std::optional<std::string> desired, FindString(data, "desired", "data.desired"));
  v1::DesiredState state = v1::DESIRED_STATE_UNSPECIFIED;
  if (desired && !v1::DesiredState_Parse(*desired, &state)) {
    return Malformed("data.desired", *desired, kDesiredNames);
  }
  event.set_desired(state);
  LH_ASSIGN_OR_RETURN(const int64_t begun, FindCount(data, "createGeneration", "data.createGeneration"));
  event.set_create_generation(begun);
  LH_RETURN_IF_ERROR(ReadOrigin(data, event));
  LH_ASSIGN_OR_RETURN(const std::optional<bool> backup, FindBool(data, "backup", "data.backup"));
  event.set_backup(backup.value_or(false));
  return event;
}

std::string Json(const google::protobuf::Message& message) {
  std::string text;
  // Fails only for Any and for times out of range; there are none.
  if (!google::protobuf::util::MessageToJsonString(message, &text).ok()) text = "null";
  return text;
}

std::string Quoted(std::string_view text) {
  google::protobuf::StringValue value;
  value.set_value(std::string(text));
  return Json(value);
}

}  // namespace

absl::StatusOr<StructuredEvent> ParseStructured(std::string_view payload) {
  // The parser takes nothing at all for an object without members.
  if (payload.find_first_not_of(" \t\r\n") == std::string_view::npos) return Empty("event", kObject);
  LH_RETURN_IF_ERROR(CheckDepth(payload));
  Struct object;
  if (!google::protobuf::util::JsonStringToMessage({payload.data(), payload.size()}, &object).ok()) {
    return Malformed("event", payload, kObject);
  }
  StructuredEvent event;
  for (const std::string_view name : kAttributes) {
    LH_ASSIGN_OR_RETURN(std::optional<std::string> value, FindString(object, name, name));
    if (value) event.attributes.values[name] = *std::move(value);
  }
  const Value* data = Find(object, "data");
  // Without an envelope the missing version says more than the missing data.
  if (data == nullptr && event.attributes.values.contains("specversion")) return Missing("data", "an object");
  if (data == nullptr) return event;
  if (!data->has_struct_value()) return Malformed("data", ValueText(*data), "an object");
  LH_ASSIGN_OR_RETURN(event.data, ReadData(data->struct_value()));
  return event;
}

std::string WriteStructured(const v1::EventEnvelope& envelope, const v1::TenantEvent& data) {
  std::string json = std::format(R"({{"specversion":"1.0","id":{},"source":{},"type":{})", Quoted(envelope.id()),
                                 Quoted(envelope.source()), Quoted(envelope.type()));
  const auto add = [&json](std::string_view name, std::string_view value) {
    if (!value.empty()) json += std::format(R"(,"{}":{})", name, Quoted(value));
  };
  add("subject", envelope.subject());
  if (envelope.has_time()) add("time", google::protobuf::util::TimeUtil::ToString(envelope.time()));
  add("traceparent", envelope.traceparent());
  json += std::format(R"(,"datacontenttype":"application/json","data":{}}})", Json(data));
  return json;
}

}  // namespace leasehold::events
