#include "services/gateway/registry/operation_id.h"

#include <charconv>
#include <format>

#include "common/status/error.h"

namespace leasehold::gateway {

absl::StatusOr<OperationId> OperationId::Parse(std::string_view text) {
  const size_t dot = text.rfind('.');
  if (dot != std::string_view::npos) {
    const std::string_view digits = text.substr(dot + 1);
    int64_t generation = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), generation);
    absl::StatusOr<TenantId> tenant = TenantId::Parse(text.substr(0, dot));
    if (tenant.ok() && error == std::errc() && end == digits.data() + digits.size() && generation > 0) {
      return OperationId{.tenant = *std::move(tenant), .generation = generation};
    }
  }
  return InvalidField("id", text, "<tenant>.<generation>, e.g. acme.3");
}

std::string OperationId::str() const { return std::format("{}.{}", tenant.str(), generation); }

}  // namespace leasehold::gateway
