#include "services/gateway/callers.h"

#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"

namespace leasehold::gateway {

Callers::Callers(const v1::Config& config, TenantDirectory& directory, const LeaseBook& book, const Clock& clock,
                 Metrics& metrics)
    : authenticator_(clock),
      gate_({.authenticator = authenticator_,
             .directory = directory,
             .book = book,
             .clock = clock,
             .metrics = metrics,
             .default_ttl = ToDuration(config.leases().default_ttl())}),
      reloader_(metrics) {}

absl::StatusOr<std::unique_ptr<Callers>> Callers::Make(const v1::Config& config, TenantDirectory& directory,
                                                       const LeaseBook& book, const Clock& clock, Metrics& metrics) {
  auto callers = std::unique_ptr<Callers>(new Callers(config, directory, book, clock, metrics));
  LH_RETURN_IF_ERROR(callers->ReadFiles(config.gateway()));
  return callers;
}

absl::Status Callers::ReadFiles(const v1::GatewayConfig& config) {
  const auto watch = [this](std::string_view field, std::string what, const std::string& path, Reloader::Take take) {
    const absl::Status read = reloader_.Watch(std::move(what), path, std::move(take));
    return read.ok() ? read : InvalidField(field, path, std::format("a file that can be used ({})", read.message()));
  };
  if (!config.policy_file().empty()) {
    LH_RETURN_IF_ERROR(
        watch("gateway.policy_file", "policy", config.policy_file(), [this](std::string_view text) -> absl::Status {
          LH_ASSIGN_OR_RETURN(PolicyPtr policy, Policy::Parse(text));
          gate_.SetPolicy(std::move(policy));
          return absl::OkStatus();
        }));
  }
  if (!config.tokens_file().empty()) {
    LH_RETURN_IF_ERROR(
        watch("gateway.tokens_file", "tokens", config.tokens_file(), [this](std::string_view text) -> absl::Status {
          LH_ASSIGN_OR_RETURN(ApiTokens tokens, ApiTokens::Parse(text));
          authenticator_.SetTokens(std::move(tokens));
          return absl::OkStatus();
        }));
  }
  for (int i = 0; i < config.jwt_size(); ++i) {
    const v1::JwtIssuerConfig& jwt = config.jwt(i);
    LH_RETURN_IF_ERROR(watch(std::format("gateway.jwt[{}].keys_file", i), std::format("keys of {}", jwt.issuer()),
                             jwt.keys_file(), [this, jwt](std::string_view text) -> absl::Status {
                               LH_ASSIGN_OR_RETURN(KeySet keys, KeySet::Parse(text));
                               authenticator_.SetIssuer({.issuer = jwt.issuer(),
                                                         .audience = jwt.audience(),
                                                         .keys = std::make_shared<const KeySet>(std::move(keys))});
                               return absl::OkStatus();
                             }));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::gateway
