#include "services/gateway/lease/issuer.h"

#include <format>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/status/error.h"
#include "services/gateway/lease/claims.h"
#include "services/gateway/lease/record.h"

namespace leasehold::gateway {
namespace {

// RFC 3986: everything but unreserved characters.
std::string PercentEncoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || std::string_view("-._~").contains(c)) {
      encoded += c;
    } else {
      std::format_to(std::back_inserter(encoded), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace

std::string DsnOf(const v1::Credentials& credentials) {
  const bool ipv6 = credentials.host().contains(':');
  const std::string host = ipv6 ? "[" + credentials.host() + "]" : PercentEncoded(credentials.host());
  return std::format("postgresql://{}:{}@{}:{}/{}", PercentEncoded(credentials.user()),
                     PercentEncoded(credentials.password()), host, credentials.port(),
                     PercentEncoded(credentials.database()));
}

absl::StatusOr<LeaseIssuer::Issued> LeaseIssuer::Issue(const LeaseTerms& terms, const std::optional<TenantId>& tenant,
                                                       const std::string& database_id) {
  v1::LeaseClaims claims;
  const int64_t issue_ms = book_.IssueMs();
  uint8_t random[10];
  RandomBytes(random);
  claims.set_id(LeaseId::Make(issue_ms, random).bytes());
  claims.set_key_id(keys_.current());
  claims.set_service(terms.service.str());
  if (tenant) {
    claims.set_tenant(tenant->str());
    claims.set_database_id(database_id);
  } else {
    claims.set_connection(terms.connection);
  }
  claims.set_access(terms.access);
  claims.set_issue_ms(issue_ms);
  claims.set_expire_ms(issue_ms + absl::ToInt64Milliseconds(terms.ttl));
  for (const std::string& glob : terms.switch_to) claims.add_switch_to(glob);
  claims.set_holder_hash(HolderHash(terms.holder));
  claims.set_session(terms.session);
  if (absl::Status status = CheckClaims(claims); !status.ok()) {
    // The terms were checked, so it is what the directory says of the tenant that does not fit.
    return absl::InternalError(std::format("a lease's claims are not valid: {}", status.message()));
  }

  v1::LeaseRecord record = RecordOf(std::move(claims));
  record.set_holder(terms.holder);
  if (!terms.request_id.empty()) {
    record.set_request_id(terms.request_id);
    record.set_request_hash(terms.request_hash);
  }
  LH_ASSIGN_OR_RETURN(LeaseBook::Added added, book_.Add(std::move(record)));
  LH_ASSIGN_OR_RETURN(v1::Credentials credentials, CredentialsOf(added.record.claims()));
  return Issued{std::move(added.record), std::move(credentials), added.repeated};
}

absl::StatusOr<std::optional<LeaseIssuer::Issued>> LeaseIssuer::FindIssued(const LeaseTerms& terms) {
  LH_ASSIGN_OR_RETURN(std::optional<v1::LeaseRecord> record, book_.FindRequest(terms.request_id, terms.request_hash));
  if (!record) return std::nullopt;
  LH_ASSIGN_OR_RETURN(v1::Credentials credentials, CredentialsOf(record->claims()));
  return Issued{*std::move(record), std::move(credentials), true};
}

absl::StatusOr<v1::Credentials> LeaseIssuer::CredentialsOf(const v1::LeaseClaims& claims) const {
  LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(claims.service()));
  v1::Credentials credentials;
  credentials.set_host(sql_.host);
  credentials.set_port(sql_.port);
  if (claims.tenant().empty()) {
    credentials.set_database(services_.CentralDatabase(service));
  } else {
    LH_ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(claims.tenant()));
    credentials.set_database(TenantDatabaseName(tenant, service));
  }
  credentials.set_user(UserNameOf(claims));
  LH_ASSIGN_OR_RETURN(const Secret password, keys_.PasswordOf(claims.key_id(), credentials.user()));
  credentials.set_password(std::string(password.reveal()));
  credentials.set_dsn(DsnOf(credentials));
  return credentials;
}

}  // namespace leasehold::gateway
