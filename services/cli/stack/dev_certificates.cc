#include "services/cli/stack/dev_certificates.h"

#include <algorithm>
#include <filesystem>
#include <format>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "common/status/error.h"
#include "common/tls/authority.h"
#include "common/tls/credentials.h"
#include "services/cli/stack/files.h"

namespace leasehold::stack {
namespace {

namespace fs = std::filesystem;

// Clocks of one machine's containers differ.
constexpr absl::Duration kSkew = absl::Minutes(5);
constexpr absl::Duration kTooOld = absl::Hours(24);
constexpr size_t kMostHostBytes = 253;

std::string PathOf(const std::string& folder, std::string_view name, std::string_view kind) {
  return std::format("{}/{}.{}", folder, name, kind);
}

std::vector<std::string> Names() {
  std::vector<std::string> names = {"ca"};
  names.insert(names.end(), std::begin(kDevIdentities), std::end(kDevIdentities));
  return names;
}

absl::Status CheckHosts(const std::vector<std::string>& hosts) {
  for (const std::string& host : hosts) {
    const bool good = !host.empty() && host.size() <= kMostHostBytes && std::ranges::all_of(host, [](unsigned char c) {
      return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == ':' || c == '*';
    });
    if (!good) return InvalidField("--host", host, "a DNS name or an address");
  }
  return absl::OkStatus();
}

absl::Status CheckAbsent(const std::string& folder) {
  for (const std::string& name : Names()) {
    for (const char* kind : {"crt", "key"}) {
      const std::string path = PathOf(folder, name, kind);
      if (fs::exists(fs::symlink_status(path))) {
        return absl::FailedPreconditionError(std::format("{} is there already; --force makes new ones of all", path));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Write(const std::string& folder, std::string_view name, const tls::Identity& identity) {
  LH_RETURN_IF_ERROR(WriteFileAtomically(PathOf(folder, name, "key"), identity.key_pem.reveal(), 0600));
  return WriteFileAtomically(PathOf(folder, name, "crt"), identity.certificate_pem, 0644);
}

bool AreFresh(const std::string& folder) {
  return std::ranges::all_of(kDevIdentities, [&folder](const char* name) {
    const auto read = tls::Credentials::Read({.certificate = {.field = "", .path = PathOf(folder, name, "crt")},
                                              .key = {.field = "", .path = PathOf(folder, name, "key")},
                                              .ca = {.field = "", .path = PathOf(folder, "ca", "crt")}},
                                             absl::Now() + kTooOld);
    return read.ok();
  });
}

}  // namespace

absl::Status MakeDevCertificates(const DevCertificates& options) {
  LH_RETURN_IF_ERROR(CheckHosts(options.hosts));
  if (!options.overwrite) LH_RETURN_IF_ERROR(CheckAbsent(options.folder));
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error) {
    return absl::FailedPreconditionError(std::format("cannot make the folder {}: {}", options.folder, error.message()));
  }
  const absl::Time begin = absl::Now() - kSkew;
  const absl::Time end = absl::Now() + options.valid;
  LH_ASSIGN_OR_RETURN(tls::Authority authority, tls::Authority::Make("Leasehold development CA", begin, end));
  LH_RETURN_IF_ERROR(Write(options.folder, "ca", authority.own()));
  for (const std::string name : kDevIdentities) {
    const bool serves = name != "client";
    LH_ASSIGN_OR_RETURN(const tls::Identity identity,
                        authority.Issue({.common_name = name,
                                         .hosts = serves ? options.hosts : std::vector<std::string>(),
                                         .uris = {"spiffe://leasehold.local/" + name},
                                         .begin = begin,
                                         .end = end}));
    LH_RETURN_IF_ERROR(Write(options.folder, name, identity));
  }
  return absl::OkStatus();
}

absl::Status EnsureDevCertificates(DevCertificates options) {
  if (AreFresh(options.folder)) return absl::OkStatus();
  options.overwrite = true;
  return MakeDevCertificates(options);
}

}  // namespace leasehold::stack
