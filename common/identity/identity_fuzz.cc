// Names out of requests, events, subjects and database names: what is taken is within its grammar and names one thing.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/identity/identity.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ServiceName identity = ServiceName::Parse("identity").value();
  if (const auto tenant = TenantId::Parse(text); tenant.ok()) {
    const std::string database = TenantDatabaseName(*tenant, identity);
    Require(tenant->str() == text && database.size() <= 63 && !database.contains('"'));
    Require(TenantOfDatabase(database, identity) == *tenant);
    Require(GlobMatches(text, text));
  }
  if (const auto service = ServiceName::Parse(text); service.ok()) {
    Require(text.starts_with(service->str()) && ServiceName::Parse(service->str()).value() == *service);
  }
  if (const auto tenant = TenantOfDatabase(text, identity)) Require(TenantDatabaseName(*tenant, identity) == text);
  if (const auto id = LeaseId::Parse(text); id.ok()) Require(id->str() == text);
  if (const auto id = LeaseId::FromBytes(text); id.ok()) Require(LeaseId::Parse(id->str()).value() == *id);
  if (const auto domain = ParseDomain(text); domain.ok()) Require(ParseDomain(*domain).value() == *domain);
  if (const auto name = ParseDisplayName(text); name.ok()) Require(ParseDisplayName(*name).value() == *name);
  if (const auto glob = ParseTenantGlob(text); glob.ok()) Require(GlobMatches(*glob, *glob));
  const size_t half = size / 2;
  (void)GlobMatches(text.substr(0, half), text.substr(half));
  return 0;
}
