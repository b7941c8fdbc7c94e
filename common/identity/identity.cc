#include "common/identity/identity.h"

#include <algorithm>
#include <ranges>

#include "absl/strings/ascii.h"
#include "common/status/error.h"
#include "common/status/utf8.h"

namespace leasehold {
namespace {

constexpr size_t kMaxTenantBytes = 36;
constexpr size_t kMaxServiceBytes = 16;
constexpr size_t kMaxDomainBytes = 253;
constexpr size_t kMaxLabelBytes = 63;
constexpr size_t kMaxNameCharacters = 200;
constexpr size_t kMaxGlobBytes = 64;
constexpr std::string_view kServiceSuffix = "-service";

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsLowerOrDigit(char c) { return IsLower(c) || (c >= '0' && c <= '9'); }
bool IsLowerDigitOrDash(char c) { return IsLowerOrDigit(c) || c == '-'; }

// `[a-z0-9]([a-z0-9-]*[a-z0-9])?` of at most `max_bytes`: tenant ids and DNS labels.
bool IsLabel(std::string_view text, size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes && IsLowerOrDigit(text.front()) && IsLowerOrDigit(text.back()) &&
         std::ranges::all_of(text, IsLowerDigitOrDash);
}

}  // namespace

absl::StatusOr<TenantId> TenantId::Parse(std::string_view text) {
  if (!IsLabel(text, kMaxTenantBytes)) {
    return InvalidField("tenant", text, "1 to 36 of a-z, 0-9 and -, with no - at either end");
  }
  return TenantId(std::string(text));
}

absl::StatusOr<ServiceName> ServiceName::Parse(std::string_view text) {
  std::string_view name = text;
  while (name.ends_with(kServiceSuffix)) name.remove_suffix(kServiceSuffix.size());
  if (name.empty() || name.size() > kMaxServiceBytes || !IsLower(name.front()) ||
      !std::ranges::all_of(name, IsLowerDigitOrDash)) {
    return InvalidField("service", text,
                        "a letter a-z, then up to 15 of a-z, 0-9 and -; a trailing -service is dropped");
  }
  return ServiceName(std::string(name));
}

std::string TenantDatabaseName(const TenantId& tenant, const ServiceName& service) {
  std::string name;
  name.reserve(63);
  return name.append("tenant_").append(tenant.str()).append("_").append(service.str());
}

std::string TenantReadOnlyRole(const TenantId& tenant, const ServiceName& service) {
  return TenantDatabaseName(tenant, service) + "_ro";
}

std::string CentralRole(const ServiceName& service) { return service.str() + "_central"; }

std::string CentralReadOnlyRole(const ServiceName& service) { return CentralRole(service) + "_ro"; }

std::optional<TenantId> TenantOfDatabase(std::string_view database, const ServiceName& service) {
  constexpr std::string_view kPrefix = "tenant_";
  const std::string suffix = "_" + service.str();
  if (!database.starts_with(kPrefix) || !database.ends_with(suffix)) return std::nullopt;
  if (database.size() < kPrefix.size() + suffix.size()) return std::nullopt;  // they overlap
  database.remove_prefix(kPrefix.size());
  database.remove_suffix(suffix.size());
  absl::StatusOr<TenantId> tenant = TenantId::Parse(database);
  if (!tenant.ok()) return std::nullopt;
  return *std::move(tenant);
}

absl::StatusOr<std::string> ParseDomain(std::string_view text) {
  std::string domain = absl::AsciiStrToLower(AbslView(text));
  const auto is_label = [](const auto& part) { return IsLabel(std::string_view(part), kMaxLabelBytes); };
  if (domain.empty() || domain.size() > kMaxDomainBytes ||
      !std::ranges::all_of(std::views::split(domain, '.'), is_label)) {
    return InvalidField("domain", text,
                        "a DNS name of at most 253 bytes: labels of 1 to 63 of a-z, 0-9 and -, joined by dots");
  }
  return domain;
}

absl::StatusOr<std::string> ParseDisplayName(std::string_view text) {
  constexpr std::string_view kAllowed = "1 to 200 characters of UTF-8 without control characters";
  size_t characters = 0;
  for (std::string_view rest = text; !rest.empty(); ++characters) {
    const Utf8Character c = DecodeUtf8(rest);
    if (c.bytes == 0 || IsControl(c.code_point) || characters == kMaxNameCharacters) {
      return InvalidField("name", text, kAllowed);
    }
    rest.remove_prefix(c.bytes);
  }
  if (characters == 0) return InvalidField("name", text, kAllowed);
  return std::string(text);
}

absl::StatusOr<std::string> ParseTenantGlob(std::string_view text) {
  if (text.empty() || text.size() > kMaxGlobBytes ||
      !std::ranges::all_of(text, [](char c) { return IsLowerDigitOrDash(c) || c == '*'; })) {
    return InvalidField("switch_to", text, "1 to 64 of a-z, 0-9, - and *, where * stands for any run of characters");
  }
  return std::string(text);
}

bool GlobMatches(std::string_view glob, std::string_view text) {
  // Only the last `*` ever needs a second try: what an earlier one could take besides, the last one can take too.
  size_t g = 0;
  size_t t = 0;
  size_t after_star = std::string_view::npos;
  size_t retry = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      after_star = ++g;
      retry = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g, ++t;
    } else if (after_star != std::string_view::npos) {
      g = after_star;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace leasehold
