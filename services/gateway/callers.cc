#include "services/gateway/callers.h"

#include <format>
#include <functional>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

// What becomes of what the files hold.
struct Takers {
  std::function<void(PolicyPtr)> policy;
  std::function<void(ApiTokens)> tokens;
  std::function<void(JwtIssuer)> issuer;
};

absl::Status Watch(const v1::GatewayConfig& config, Reloader& reloader, const Takers& takers) {
  const auto watch = [&reloader](std::string_view field, std::string what, const std::string& path,
                                 Reloader::Take take) {
    const absl::Status read = reloader.Watch(std::move(what), path, std::move(take));
    return read.ok() ? read : InvalidField(field, path, std::format("a file that can be used ({})", read.message()));
  };
  if (!config.policy_file().empty()) {
    LH_RETURN_IF_ERROR(watch("gateway.policy_file", "policy", config.policy_file(),
                             [take = takers.policy](std::string_view text) -> absl::Status {
                               LH_ASSIGN_OR_RETURN(PolicyPtr policy, Policy::Parse(text));
                               take(std::move(policy));
                               return absl::OkStatus();
                             }));
  }
  if (!config.tokens_file().empty()) {
    LH_RETURN_IF_ERROR(watch("gateway.tokens_file", "tokens", config.tokens_file(),
                             [take = takers.tokens](std::string_view text) -> absl::Status {
                               LH_ASSIGN_OR_RETURN(ApiTokens tokens, ApiTokens::Parse(text));
                               take(std::move(tokens));
                               return absl::OkStatus();
                             }));
  }
  for (int i = 0; i < config.jwt_size(); ++i) {
    const v1::JwtIssuerConfig& jwt = config.jwt(i);
    LH_RETURN_IF_ERROR(watch(std::format("gateway.jwt[{}].keys_file", i), std::format("keys of {}", jwt.issuer()),
                             jwt.keys_file(), [take = takers.issuer, jwt](std::string_view text) -> absl::Status {
                               LH_ASSIGN_OR_RETURN(KeySet keys, KeySet::Parse(text));
                               take({.issuer = jwt.issuer(),
                                     .audience = jwt.audience(),
                                     .keys = std::make_shared<const KeySet>(std::move(keys))});
                               return absl::OkStatus();
                             }));
  }
  return absl::OkStatus();
}

}  // namespace

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
  Callers& made = *callers;
  LH_RETURN_IF_ERROR(
      Watch(config.gateway(), made.reloader_,
            {.policy = [&made](PolicyPtr policy) { made.gate_.SetPolicy(std::move(policy)); },
             .tokens = [&made](ApiTokens tokens) { made.authenticator_.SetTokens(std::move(tokens)); },
             .issuer = [&made](JwtIssuer issuer) { made.authenticator_.SetIssuer(std::move(issuer)); }}));
  return callers;
}

absl::Status Callers::Check(const v1::GatewayConfig& config) {
  Metrics metrics;
  Reloader reloader(metrics);
  return Watch(
      config, reloader,
      {.policy = [](const PolicyPtr&) {}, .tokens = [](const ApiTokens&) {}, .issuer = [](const JwtIssuer&) {}});
}

}  // namespace leasehold::gateway
