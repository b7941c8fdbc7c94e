// Where a provisioner learns what the registry wants.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "absl/status/statusor.h"
#include "common/identity/identity.h"
#include "leasehold/v1/provisioner.grpc.pb.h"
#include "services/provisioner/archive/backup_source.h"

namespace leasehold::provisioner {

class DesiredSource {
 public:
  virtual ~DesiredSource() = default;
  // All of the service's tenants. Blocks; one thread at a time.
  virtual absl::StatusOr<std::vector<v1::DesiredTenant>> ListDesired() = 0;
  // All that the last pass of `provisioner` found amiss. Blocks; one thread at a time.
  virtual absl::Status ReportFindings(const std::string& provisioner, const std::vector<v1::Finding>& findings) = 0;
  // Why it could make none. Blocks; one thread at a time.
  virtual absl::Status ReportTrouble(const std::string& provisioner, const std::string& trouble) = 0;
};

// The gateway's ProvisionerService. REGISTRY_UNAVAILABLE while it does not answer, after a second of trying.
class GatewayDesired : public DesiredSource, public BackupSource {
 public:
  // `address`: host:port, named in errors. `token_file`: shown to the gateway; empty for none.
  GatewayDesired(const std::string& address, ServiceName service, const std::string& token_file = "");
  absl::StatusOr<std::vector<v1::DesiredTenant>> ListDesired() override;
  absl::Status ReportFindings(const std::string& provisioner, const std::vector<v1::Finding>& findings) override;
  absl::Status ReportTrouble(const std::string& provisioner, const std::string& trouble) override;
  absl::StatusOr<std::vector<v1::BackupWork>> ListBackupWork() override;

 private:
  absl::Status Report(const v1::ReportFindingsRequest& request);
  // REGISTRY_UNAVAILABLE if nobody answers soon.
  absl::Status AwaitChannel();

  const std::string address_;
  const ServiceName service_;
  const std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ProvisionerService::Stub> stub_;
};

}  // namespace leasehold::provisioner
