// Who calls: by a bearer token, else by the client certificate of the connection, else nobody.
#pragma once

#include <grpcpp/grpcpp.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/clock/clock.h"
#include "common/policy/api_tokens.h"
#include "services/gateway/authn/jwt.h"

namespace leasehold::gateway {

// What a call shows of its caller.
struct Shown {
  std::vector<std::string_view> authorization;  // the headers of that name
  // "spiffe://…" or "dns:NAME" of a certificate that the TLS handshake has verified; empty without one.
  std::string certificate;
};
Shown ShownBy(const grpc::ServerContextBase& context);

// Any thread. What is read again replaces what was there at once, for all calls that come.
class Authenticator {
 public:
  explicit Authenticator(const Clock& clock) : clock_(clock) {}

  void SetTokens(ApiTokens tokens);
  // Of the issuer with this name; its first keys make it known.
  void SetIssuer(JwtIssuer issuer);

  // The principal; "anonymous" if nothing is shown. A token that is shown has to be good, whatever certificate there is
  // beside it. BAD_TOKEN.
  absl::StatusOr<std::string> PrincipalOf(const Shown& shown);

  // What is kept of the API token that is shown; empty if none is, or none that is good.
  std::string ApiTokenOf(const Shown& shown) const;
  // Whether it is still good. BAD_TOKEN.
  absl::Status CheckApiToken(std::string_view sha256) const;

 private:
  struct Known {
    ApiTokens tokens;
    std::vector<JwtIssuer> issuers;
  };
  // A JWT whose signature was verified: by the hash of the token, so that the token itself is not kept.
  struct Verified {
    std::string principal;
    absl::Time expiry;
    absl::Time not_before;
  };
  using Digest = std::array<uint8_t, 32>;

  absl::StatusOr<std::string> OfBearer(std::string_view token);
  absl::StatusOr<std::string> OfJwt(const Known& known, std::string_view token, absl::Time now);
  std::shared_ptr<const Known> known() const;
  template <typename Change>
  void Replace(Change change);

  // A signature takes 25 to 100 µs to verify, more than making a lease.
  static constexpr size_t kMaxVerified = 10'000;

  const Clock& clock_;
  mutable absl::Mutex mu_;
  std::shared_ptr<const Known> known_ ABSL_GUARDED_BY(mu_) = std::make_shared<const Known>();
  absl::flat_hash_map<Digest, Verified> verified_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
