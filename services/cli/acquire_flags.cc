#include "services/cli/acquire_flags.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/cli/command.h"
#include "services/cli/gateway_client.h"

namespace leasehold::cli {

void AcquireFlags::AddTo(CLI::App& app, Life life) {
  app.add_option("WHAT", what_, "TENANT SERVICE; SERVICE alone with --connection or --domain")
      ->required()
      ->expected(1, 100);  // Check() says more clearly which is too many
  std::string path;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) path = absl::StrCat(at->get_name(), " ", path);
  app.usage(absl::StrCat("Usage: ", path, "[OPTIONS] TENANT SERVICE"));
  app.add_option("--domain", domain_, "The tenant with this domain");
  app.add_option("--connection", connection_, "A named connection that belongs to no tenant: central");
  app.add_flag("--read-only", read_only_, "Refuse writes");
  app.add_flag("--session", session_, "Keep a server connection for each session (LISTEN, temporary tables)");
  AddDuration(app, "--ttl", ttl_,
              life == Life::kTtl ? "How long the lease lasts; the configured time (15m) if not given"
                                 : "How long the lease outlives a gateway that is killed (default 15s)");
  app.add_option("--switch-to", switch_to_,
                 "Tenants that sessions may switch to; '*' is any run of characters; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app.add_option("--holder", holder_, "Who asks, for people; user@host if not given");
  AddDuration(app, "--wait-ready", wait_ready_, "Wait up to this long for the tenant to be ready");
}

void AcquireFlags::Check() {
  if (what_.size() > 2)
    UsageError(absl::StrCat("there is no use for '", Printable(what_[2]), "'; give TENANT SERVICE"));
  const bool elsewhere = !domain_.empty() || !connection_.empty();
  if (!domain_.empty() && !connection_.empty()) UsageError("give one of TENANT, --domain and --connection");
  if (elsewhere && what_.size() == 2) {
    UsageError(absl::StrCat("with ", domain_.empty() ? "--connection" : "--domain", " give SERVICE alone, not TENANT"));
  }
  if (!elsewhere && what_.size() == 1) UsageError("SERVICE is missing (or give --connection or --domain)");
}

v1::AcquireLeaseRequest AcquireFlags::Request(const std::string& default_holder) const {
  v1::AcquireLeaseRequest request;
  request.set_request_id(NewRequestId());
  if (!domain_.empty()) {
    request.set_domain(domain_);
  } else if (!connection_.empty()) {
    request.set_connection(connection_);
  } else {
    request.set_tenant(what_.front());
  }
  request.set_service(what_.back());
  request.set_access(read_only_ ? v1::ACCESS_READ_ONLY : v1::ACCESS_READ_WRITE);
  request.set_session(session_);
  if (ttl_ != absl::InfiniteDuration()) *request.mutable_ttl() = FromDuration(ttl_);
  for (const auto& glob : switch_to_) request.add_switch_to(glob);
  request.set_holder(holder_.empty() ? default_holder : holder_);
  if (wait_ready_ != absl::ZeroDuration()) *request.mutable_wait_ready() = FromDuration(wait_ready_);
  return request;
}

absl::Duration AcquireFlags::Patience() const { return GatewayClient::kPatience + wait_ready_; }

std::string ThisUser() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found);
  return absl::StrCat(found == nullptr ? "somebody" : found->pw_name, "@", host.data()).substr(0, 128);
}

}  // namespace leasehold::cli
