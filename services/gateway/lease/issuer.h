// Makes leases and the credentials that prove them.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/secret/key_ring.h"
#include "common/secret/secret.h"
#include "leasehold/v1/lease.pb.h"
#include "services/gateway/lease/book.h"
#include "services/gateway/lease/services.h"
#include "services/gateway/lease/terms.h"

namespace leasehold::gateway {

// Any thread; nothing blocks.
class LeaseIssuer {
 public:
  // All references outlive it. `sql`: the address that credentials name.
  LeaseIssuer(LeaseKeys keys, const KnownServices& services, LeaseBook& book, HostPort sql)
      : keys_(std::move(keys)), services_(services), book_(book), sql_(std::move(sql)) {}

  // A new lease, entered in the book; with a request_id that a living lease was made by, that one again. `tenant` is
  // the one that the terms name, by id or by domain, `database_id` that of its database; nullopt and empty for a named
  // connection. REQUEST_ID_REUSED, TOO_MANY_CLIENTS, QUOTA_EXCEEDED.
  struct Issued {
    LeaseId id;
    v1::Lease lease;  // without its sessions: a new one has none
    v1::Credentials credentials;
    bool repeated = false;
  };
  absl::StatusOr<Issued> Issue(const LeaseTerms& terms, const std::optional<TenantId>& tenant,
                               const std::string& database_id);

  // The lease that an earlier call with these terms' request_id made, if it still lives. REQUEST_ID_REUSED.
  absl::StatusOr<std::optional<Issued>> FindIssued(const LeaseTerms& terms);

 private:
  // What is answered to a repeated call.
  absl::StatusOr<Issued> IssuedAgain(const v1::LeaseRecord& record) const;
  // `service` and `tenant`: the claims'.
  absl::StatusOr<v1::Credentials> CredentialsOf(const v1::LeaseClaims& claims, const ServiceName& service,
                                                const std::optional<TenantId>& tenant) const;

  const LeaseKeys keys_;
  const KnownServices& services_;
  LeaseBook& book_;
  const HostPort sql_;
};

// The `postgresql://` URI of credentials whose other fields are set; every part escaped.
std::string DsnOf(const v1::Credentials& credentials);

}  // namespace leasehold::gateway
