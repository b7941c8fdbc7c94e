// Where a provisioner learns what the registry wants.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/identity/identity.h"
#include "common/tls/live_credentials.h"
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
  // `address`: host:port, named in errors. `credentials`: of the TLS connection, made anew when they change; null: in
  // clear. `token_file`: shown to the gateway; empty for none.
  GatewayDesired(const std::string& address, ServiceName service,
                 std::shared_ptr<const tls::LiveCredentials> credentials = nullptr, std::string token_file = "");
  absl::StatusOr<std::vector<v1::DesiredTenant>> ListDesired() override;
  absl::Status ReportFindings(const std::string& provisioner, const std::vector<v1::Finding>& findings) override;
  absl::Status ReportTrouble(const std::string& provisioner, const std::string& trouble) override;
  absl::StatusOr<std::vector<v1::BackupWork>> ListBackupWork() override;

 private:
  using Stub = v1::ProvisionerService::Stub;
  absl::Status Report(const v1::ReportFindingsRequest& request);
  std::shared_ptr<grpc::Channel> Channel();
  // Of a channel that is connected. REGISTRY_UNAVAILABLE if nobody answers soon.
  absl::StatusOr<std::unique_ptr<Stub>> AwaitStub();

  const std::string address_;
  const ServiceName service_;
  const std::shared_ptr<const tls::LiveCredentials> credentials_;
  const std::string token_file_;
  absl::Mutex mu_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mu_);
  uint64_t version_ ABSL_GUARDED_BY(mu_) = 0;  // of the credentials that it was made with
};

}  // namespace leasehold::provisioner
