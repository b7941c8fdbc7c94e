#include "services/gateway/authn/authenticator.h"

#include <algorithm>
#include <format>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/gateway/caller/caller.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kScheme = "bearer ";

std::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

// A SPIFFE id where the certificate has one, as gRPC found it well-formed; else the first DNS name.
std::string CertificateOf(const grpc::AuthContext& auth) {
  if (!auth.IsPeerAuthenticated()) return "";
  if (const auto ids = auth.FindPropertyValues("peer_spiffe_id"); ids.size() == 1)
    return std::string(View(ids.front()));
  const auto names = auth.FindPropertyValues("peer_dns");
  return names.empty() ? "" : std::format("dns:{}", View(names.front()));
}

std::optional<std::string_view> BearerIn(std::string_view header) {
  if (!absl::StartsWithIgnoreCase(AbslView(header), AbslView(kScheme))) return std::nullopt;
  return header.substr(kScheme.size());
}

absl::Status CheckFound(const ApiToken* token, absl::Time now) {
  if (token == nullptr) return BadToken("it is no API token of this gateway, or was revoked");
  return now >= token->expires ? BadToken("it has expired") : absl::OkStatus();
}

}  // namespace

Shown ShownBy(const grpc::ServerContextBase& context) {
  Shown shown;
  const auto [begin, end] = context.client_metadata().equal_range("authorization");
  for (auto header = begin; header != end; ++header) shown.authorization.push_back(View(header->second));
  if (const auto auth = context.auth_context()) shown.certificate = CertificateOf(*auth);
  return shown;
}

std::shared_ptr<const Authenticator::Known> Authenticator::known() const {
  absl::MutexLock lock(&mu_);
  return known_;
}

template <typename Change>
void Authenticator::Replace(Change change) {
  absl::MutexLock lock(&mu_);
  auto known = std::make_shared<Known>(*known_);
  change(*known);
  known_ = std::move(known);
  verified_.clear();
}

void Authenticator::SetTokens(ApiTokens tokens) {
  Replace([&tokens](Known& known) { known.tokens = std::move(tokens); });
}

void Authenticator::SetIssuer(JwtIssuer issuer) {
  Replace([&issuer](Known& known) {
    const auto same = std::ranges::find(known.issuers, issuer.issuer, &JwtIssuer::issuer);
    if (same == known.issuers.end()) {
      known.issuers.push_back(std::move(issuer));
    } else {
      *same = std::move(issuer);
    }
  });
}

absl::StatusOr<std::string> Authenticator::PrincipalOf(const Shown& shown) {
  if (shown.authorization.size() > 1) return BadToken("there are several");
  if (shown.authorization.size() == 1) {
    const std::optional<std::string_view> bearer = BearerIn(shown.authorization.front());
    return bearer ? OfBearer(*bearer) : BadToken("the header is not 'authorization: Bearer TOKEN'");
  }
  if (!shown.certificate.empty()) return shown.certificate;
  return std::string(kAnonymous);
}

absl::StatusOr<std::string> Authenticator::OfBearer(std::string_view token) {
  const std::shared_ptr<const Known> known = this->known();
  const absl::Time now = clock_.Now();
  if (!token.starts_with(kApiTokenPrefix)) return OfJwt(*known, token, now);
  const ApiToken* found = known->tokens.Find(token);
  LH_RETURN_IF_ERROR(CheckFound(found, now));
  return std::format("token:{}", found->name);
}

std::string Authenticator::ApiTokenOf(const Shown& shown) const {
  const std::optional<std::string_view> bearer =
      shown.authorization.size() == 1 ? BearerIn(shown.authorization.front()) : std::nullopt;
  if (!bearer || !bearer->starts_with(kApiTokenPrefix)) return "";
  const std::shared_ptr<const Known> known = this->known();
  const ApiToken* found = known->tokens.Find(*bearer);
  return found == nullptr ? "" : found->sha256;
}

absl::Status Authenticator::CheckApiToken(std::string_view sha256) const {
  const std::shared_ptr<const Known> known = this->known();
  return CheckFound(known->tokens.FindKept(sha256), clock_.Now());
}

absl::StatusOr<std::string> Authenticator::OfJwt(const Known& known, std::string_view token, absl::Time now) {
  if (token.size() > kMaxJwt) return BadToken(std::format("it is longer than {} bytes", kMaxJwt));
  const Digest digest = Sha256(token);
  {
    absl::MutexLock lock(&mu_);
    if (const auto found = verified_.find(digest); found != verified_.end() && known_.get() == &known) {
      LH_RETURN_IF_ERROR(CheckTime(now, found->second.not_before, found->second.expiry));
      return found->second.principal;
    }
  }
  LH_ASSIGN_OR_RETURN(const Jwt jwt, ParseJwt(token));
  const auto issuer = std::ranges::find(known.issuers, jwt.issuer, &JwtIssuer::issuer);
  if (issuer == known.issuers.end()) return BadToken("its issuer is not known here");
  LH_RETURN_IF_ERROR(CheckOrigin(jwt, *issuer));
  LH_RETURN_IF_ERROR(CheckTime(now, jwt.not_before, jwt.expiry));
  std::string principal = std::format("jwt:{}/{}", jwt.issuer, jwt.subject);
  absl::MutexLock lock(&mu_);
  // Keys that were read meanwhile may not be those that verified it.
  if (known_.get() == &known) {
    if (verified_.size() >= kMaxVerified) verified_.clear();
    verified_.insert_or_assign(digest, Verified{principal, jwt.expiry, jwt.not_before});
  }
  return principal;
}

}  // namespace leasehold::gateway
