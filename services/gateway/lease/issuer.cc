#include "services/gateway/lease/issuer.h"

#include <algorithm>
#include <format>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/status/error.h"
#include "services/gateway/lease/claims.h"
#include "services/gateway/lease/record.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kDsnExtras = 32;  // what is neither a name nor a secret: scheme, separators, port

// RFC 3986: everything but unreserved characters.
bool IsUnreserved(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' || c == '~';
}

void AppendEncoded(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  while (!text.empty()) {
    const auto plain = static_cast<size_t>(std::ranges::find_if_not(text, IsUnreserved) - text.begin());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) return;
    const auto byte = static_cast<unsigned char>(text.front());
    out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    text.remove_prefix(1);
  }
}

}  // namespace

std::string DsnOf(const v1::Credentials& credentials) {
  std::string dsn;
  dsn.reserve(kDsnExtras + credentials.user().size() + credentials.password().size() + credentials.host().size() +
              credentials.database().size());
  dsn += "postgresql://";
  AppendEncoded(dsn, credentials.user());
  dsn += ':';
  AppendEncoded(dsn, credentials.password());
  dsn += '@';
  if (credentials.host().contains(':')) {
    dsn.append("[").append(credentials.host()).append("]");  // IPv6
  } else {
    AppendEncoded(dsn, credentials.host());
  }
  dsn.append(":").append(std::to_string(credentials.port())).append("/");
  AppendEncoded(dsn, credentials.database());
  return dsn;
}

absl::StatusOr<LeaseIssuer::Issued> LeaseIssuer::Issue(const LeaseTerms& terms, const std::optional<TenantId>& tenant,
                                                       const std::string& database_id) {
  v1::LeaseClaims claims;
  const int64_t issue_ms = book_.IssueMs();
  uint8_t random[10];
  RandomBytes(random);
  const LeaseId id = LeaseId::Make(issue_ms, random);
  claims.set_id(std::string(id.bytes()));
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
  claims.set_max_sessions(terms.bounds.sessions_per_lease);
  if (absl::Status status = CheckClaims(claims); !status.ok()) {
    // The terms were checked, so it is what the directory says of the tenant that does not fit.
    return absl::InternalError(std::format("a lease's claims are not valid: {}", status.message()));
  }

  LH_ASSIGN_OR_RETURN(v1::Credentials credentials, CredentialsOf(claims, terms.service, tenant));
  v1::LeaseRecord record = RecordOf(std::move(claims));
  record.set_holder(terms.holder);
  record.set_principal(terms.principal);
  if (!terms.request_id.empty()) {
    record.set_request_id(terms.request_id);
    record.set_request_hash(terms.request_hash);
  }
  v1::Lease lease = LeaseOf(record, 0);
  LH_ASSIGN_OR_RETURN(const std::optional<v1::LeaseRecord> earlier, book_.Add(std::move(record), terms.bounds));
  if (earlier) return IssuedAgain(*earlier);
  return Issued{id, std::move(lease), std::move(credentials)};
}

absl::StatusOr<std::optional<LeaseIssuer::Issued>> LeaseIssuer::FindIssued(const LeaseTerms& terms) {
  LH_ASSIGN_OR_RETURN(const std::optional<v1::LeaseRecord> record,
                      book_.FindRequest(terms.principal, terms.request_id, terms.request_hash));
  if (!record) return std::nullopt;
  return IssuedAgain(*record);
}

absl::StatusOr<LeaseIssuer::Issued> LeaseIssuer::IssuedAgain(const v1::LeaseRecord& record) const {
  LH_ASSIGN_OR_RETURN(const LeaseId id, LeaseId::FromBytes(record.claims().id()));
  LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(record.claims().service()));
  std::optional<TenantId> tenant;
  if (!record.claims().tenant().empty()) {
    LH_ASSIGN_OR_RETURN(tenant, TenantId::Parse(record.claims().tenant()));
  }
  LH_ASSIGN_OR_RETURN(v1::Credentials credentials, CredentialsOf(record.claims(), service, tenant));
  return Issued{id, LeaseOf(record, 0), std::move(credentials), true};
}

absl::StatusOr<v1::Credentials> LeaseIssuer::CredentialsOf(const v1::LeaseClaims& claims, const ServiceName& service,
                                                           const std::optional<TenantId>& tenant) const {
  v1::Credentials credentials;
  credentials.set_host(sql_.host);
  credentials.set_port(sql_.port);
  credentials.set_database(tenant ? TenantDatabaseName(*tenant, service) : services_.CentralDatabase(service));
  credentials.set_user(UserNameOf(claims));
  LH_ASSIGN_OR_RETURN(const Secret password, keys_.PasswordOf(claims.key_id(), credentials.user()));
  credentials.set_password(std::string(password.reveal()));
  credentials.set_dsn(DsnOf(credentials));
  return credentials;
}

}  // namespace leasehold::gateway
