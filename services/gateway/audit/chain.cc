#include "services/gateway/audit/chain.h"

#include "absl/strings/str_cat.h"
#include "common/secret/secret.h"
#include "common/status/view.h"

namespace leasehold::gateway {

std::string AuditChainStart() { return std::string(32, '\0'); }

std::string AuditHash(std::string_view previous, int64_t number, std::string_view gateway, std::string_view events) {
  const std::string text = absl::StrCat(AbslView(previous), number, "\n", AbslView(gateway), "\n", AbslView(events));
  const auto digest = Sha256(text);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace leasehold::gateway
