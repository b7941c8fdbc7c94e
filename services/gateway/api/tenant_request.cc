#include "services/gateway/api/tenant_request.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <format>
#include <memory>

#include "common/config/config.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;
constexpr absl::Duration kMaxRetention = absl::Hours(24 * 3650);

// Maps in the order of their keys, so that equal requests have equal bytes.
std::string Canonical(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

}  // namespace

absl::StatusOr<TenantId> CheckId(std::string_view id) {
  absl::StatusOr<TenantId> parsed = TenantId::Parse(id);
  if (!parsed.ok()) return WithField(parsed.status(), "id");
  return parsed;
}

absl::StatusOr<NewTenant> CheckNew(const v1::Tenant& tenant) {
  absl::StatusOr<TenantId> id = TenantId::Parse(tenant.id());
  if (!id.ok()) return WithField(id.status(), "tenant.id");
  NewTenant checked{.id = *std::move(id), .name = "", .domain = "", .settings = tenant.settings(), .active = true};
  if (!tenant.name().empty()) {
    absl::StatusOr<std::string> name = ParseDisplayName(tenant.name());
    if (!name.ok()) return WithFieldPrefix(name.status(), "tenant");
    checked.name = *std::move(name);
  }
  if (!tenant.domain().empty()) {
    absl::StatusOr<std::string> domain = ParseDomain(tenant.domain());
    if (!domain.ok()) return WithFieldPrefix(domain.status(), "tenant");
    checked.domain = *std::move(domain);
  }
  if (const absl::Status settings = CheckSettings(checked.settings); !settings.ok()) {
    return WithFieldPrefix(settings, "tenant");
  }
  return checked;
}

absl::StatusOr<TenantEdit> CheckUpdate(const v1::UpdateTenantRequest& request) {
  TenantEdit checked;
  if (request.has_name()) {
    LH_ASSIGN_OR_RETURN(checked.name, ParseDisplayName(request.name()));
  }
  if (request.has_domain()) {
    checked.domain = "";
    if (!request.domain().empty()) {
      LH_ASSIGN_OR_RETURN(checked.domain, ParseDomain(request.domain()));
    }
  }
  LH_RETURN_IF_ERROR(CheckSettings(request.settings()));
  checked.settings = request.settings();
  return checked;
}

absl::StatusOr<std::optional<absl::Duration>> CheckRetention(const v1::DeleteTenantRequest& request) {
  if (!request.has_retention()) return std::nullopt;
  const absl::Duration retention = ToDuration(request.retention());
  if (retention < absl::ZeroDuration() || retention > kMaxRetention) {
    return InvalidField("retention", absl::FormatDuration(retention), "0s to 87600h");
  }
  return retention;
}

absl::StatusOr<RequestKey> CheckRequestId(std::string_view method, const google::protobuf::Message& request) {
  const google::protobuf::FieldDescriptor* field = request.GetDescriptor()->FindFieldByName("request_id");
  RequestKey key;
  key.id = request.GetReflection()->GetString(request, field);
  if (key.id.empty()) return key;
  if (key.id.size() > kMaxRequestIdBytes || !std::ranges::all_of(key.id, [](char c) { return c > ' ' && c < 0x7f; })) {
    return InvalidField("request_id", key.id, "1 to 128 printable ASCII characters without blanks, e.g. a UUID");
  }
  const std::unique_ptr<google::protobuf::Message> rest(request.New());
  rest->CopyFrom(request);
  rest->GetReflection()->ClearField(rest.get(), field);
  const auto digest = Sha256(std::format("{}\n{}", method, Canonical(*rest)));
  key.fingerprint = Hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
  return key;
}

}  // namespace leasehold::gateway
