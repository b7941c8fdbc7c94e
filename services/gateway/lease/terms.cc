#include "services/gateway/lease/terms.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/gateway/lease/claims.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kMaxLabel = 128;
constexpr absl::Duration kMinTtl = absl::Seconds(1);
constexpr absl::Duration kMaxWait = absl::Minutes(10);

// The characters of valid UTF-8.
size_t CharactersOf(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

absl::Status ParseHome(const v1::AcquireLeaseRequest& request, LeaseTerms& terms) {
  switch (request.home_case()) {
    case v1::AcquireLeaseRequest::kTenant: {
      LH_ASSIGN_OR_RETURN(terms.tenant, TenantId::Parse(request.tenant()));
      return absl::OkStatus();
    }
    case v1::AcquireLeaseRequest::kDomain: {
      LH_ASSIGN_OR_RETURN(terms.domain, ParseDomain(request.domain()));
      return absl::OkStatus();
    }
    case v1::AcquireLeaseRequest::kConnection:
      if (request.connection() != kCentralConnection) {
        return Error(v1::REASON_CONNECTION_NOT_FOUND, std::format("there is no connection '{}'; known: {}",
                                                                  Printable(request.connection()), kCentralConnection));
      }
      terms.connection = request.connection();
      return absl::OkStatus();
    case v1::AcquireLeaseRequest::HOME_NOT_SET:
      break;
  }
  return InvalidField("home", "", "one of tenant, domain, connection");
}

absl::Status ParseSwitchTo(const v1::AcquireLeaseRequest& request, LeaseTerms& terms) {
  size_t bytes = 0;
  for (const std::string& text : request.switch_to()) {
    LH_ASSIGN_OR_RETURN(std::string glob, ParseTenantGlob(text));
    bytes += glob.size();
    terms.switch_to.push_back(std::move(glob));
  }
  if (request.switch_to_size() > kMaxSwitchGlobs || bytes > kMaxSwitchBytes) {
    return InvalidField("switch_to", std::format("{} globs, {} bytes", request.switch_to_size(), bytes),
                        std::format("at most {} globs, {} bytes in all", kMaxSwitchGlobs, kMaxSwitchBytes));
  }
  return absl::OkStatus();
}

absl::Status ParseAccess(const v1::AcquireLeaseRequest& request, LeaseTerms& terms) {
  switch (request.access()) {
    case v1::ACCESS_UNSPECIFIED:
    case v1::ACCESS_READ_WRITE:
      terms.access = v1::ACCESS_READ_WRITE;
      return absl::OkStatus();
    case v1::ACCESS_READ_ONLY:
      terms.access = v1::ACCESS_READ_ONLY;
      return absl::OkStatus();
    default:
      return InvalidField("access", std::to_string(static_cast<int>(request.access())), "READ_WRITE or READ_ONLY");
  }
}

absl::Status ParseWait(const v1::AcquireLeaseRequest& request, LeaseTerms& terms) {
  terms.wait_ready = ToDuration(request.wait_ready());
  if (terms.wait_ready < absl::ZeroDuration() || terms.wait_ready > kMaxWait) {
    return InvalidField("wait_ready", absl::FormatDuration(terms.wait_ready),
                        std::format("0 to {}", absl::FormatDuration(kMaxWait)));
  }
  return absl::OkStatus();
}

uint64_t HashOf(const v1::AcquireLeaseRequest& request) {
  const auto digest = Sha256(request.SerializeAsString());
  uint64_t hash = 0;
  for (int i = 0; i < 8; ++i) hash = hash << 8 | digest[i];
  return hash;
}

}  // namespace

absl::StatusOr<LeaseTerms> ParseTerms(const v1::AcquireLeaseRequest& request, const KnownServices& services,
                                      absl::Duration default_ttl, absl::Duration max_ttl) {
  LH_RETURN_IF_ERROR(CheckLabel("request_id", request.request_id()));
  LH_ASSIGN_OR_RETURN(ServiceName service, ServiceName::Parse(request.service()));
  LeaseTerms terms{.service = std::move(service)};
  LH_RETURN_IF_ERROR(ParseHome(request, terms));
  LH_RETURN_IF_ERROR(services.Check(terms.service));
  LH_RETURN_IF_ERROR(ParseAccess(request, terms));
  terms.ttl = std::min(default_ttl, max_ttl);
  if (request.has_ttl()) {
    LH_ASSIGN_OR_RETURN(terms.ttl, ParseTtl(request.ttl(), max_ttl));
  }
  LH_RETURN_IF_ERROR(ParseSwitchTo(request, terms));
  LH_RETURN_IF_ERROR(CheckLabel("holder", request.holder()));
  terms.holder = request.holder();
  LH_RETURN_IF_ERROR(ParseWait(request, terms));
  terms.session = request.session();
  terms.request_id = request.request_id();
  if (!terms.request_id.empty()) terms.request_hash = HashOf(request);
  return terms;
}

absl::StatusOr<absl::Duration> ParseTtl(const google::protobuf::Duration& ttl, absl::Duration max_ttl) {
  const absl::Duration value = ToDuration(ttl);
  if (value < kMinTtl || value > max_ttl) {
    return InvalidField("ttl", absl::FormatDuration(value),
                        std::format("{} to {}", absl::FormatDuration(kMinTtl), absl::FormatDuration(max_ttl)));
  }
  return value;
}

absl::Status CheckLabel(std::string_view field, const std::string& text) {
  if (text.empty()) return absl::OkStatus();
  if (CharactersOf(text) > kMaxLabel || !ParseDisplayName(text).ok()) {
    return InvalidField(field, text, std::format("at most {} printable characters", kMaxLabel));
  }
  return absl::OkStatus();
}

}  // namespace leasehold::gateway
