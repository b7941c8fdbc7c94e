#include "services/cli/key_needs.h"

#include "absl/strings/str_cat.h"
#include "common/status/error.h"

namespace leasehold::cli {

std::string WhyOtherKeyIsNeeded(const v1::ServiceOverview& service, const std::string& current) {
  if (!service.has_provisioner()) {
    return "its provisioner does not answer, so nobody says whose passwords are by the new key";
  }
  const v1::ProvisionerStatus& provisioner = service.provisioner();
  if (provisioner.role_key().empty()) {
    return absl::StrCat("its provisioner (", provisioner.version(),
                        ") is too old to say whose passwords are by the new key");
  }
  if (provisioner.role_key() != current) {
    return absl::StrCat("its provisioner gives roles their passwords by key ", Printable(provisioner.role_key()),
                        ", and the file's first key is ", current);
  }
  if (!provisioner.has_outdated_secrets()) {
    return "its provisioner has not looked at all tenants since it took up the new key";
  }
  if (provisioner.outdated_secrets() == 0) return "";
  return absl::StrCat(provisioner.outdated_secrets(), provisioner.outdated_secrets() == 1 ? " tenant" : " tenants",
                      " may have passwords by the other key still; they are renewed by the provisioner's passes");
}

}  // namespace leasehold::cli
