// The gateway as the command line sees it: blocking calls that answer in absl::Status.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/telemetry/trace.h"
#include "common/tls/credentials.h"
#include "leasehold/v1/audit.grpc.pb.h"
#include "leasehold/v1/backup.grpc.pb.h"
#include "leasehold/v1/doctor.grpc.pb.h"
#include "leasehold/v1/instance.grpc.pb.h"
#include "leasehold/v1/lease.grpc.pb.h"
#include "leasehold/v1/log.grpc.pb.h"
#include "leasehold/v1/migration.grpc.pb.h"
#include "leasehold/v1/operation.grpc.pb.h"
#include "leasehold/v1/policy.grpc.pb.h"
#include "leasehold/v1/pool.grpc.pb.h"
#include "leasehold/v1/status.grpc.pb.h"
#include "leasehold/v1/tenant.grpc.pb.h"

namespace leasehold::cli {

// Where the gateway is, and how it is spoken to.
struct GatewayTarget {
  std::string address;                                            // host:port as the user typed it
  std::shared_ptr<const tls::Credentials> credentials = nullptr;  // null: in clear
  std::string token_file = {};                                    // shown with each call; empty: none
  Trace trace = {};                                               // which the calls belong to
};

class GatewayClient {
 public:
  // Connects at the first call; a host that is silent for `connect_patience` does not answer.
  explicit GatewayClient(GatewayTarget target, absl::Duration connect_patience = absl::Seconds(5));
  explicit GatewayClient(std::string address, absl::Duration connect_patience = absl::Seconds(5))
      : GatewayClient(GatewayTarget{.address = std::move(address)}, connect_patience) {}

  v1::TenantService::StubInterface& tenants() { return *tenants_; }
  v1::LeaseService::StubInterface& leases() { return *leases_; }
  v1::OperationService::StubInterface& operations() { return *operations_; }
  v1::BackupService::StubInterface& backups() { return *backups_; }
  v1::MigrationService::StubInterface& migrations() { return *migrations_; }
  v1::PoolService::StubInterface& pools() { return *pools_; }
  v1::DoctorService::StubInterface& doctor() { return *doctor_; }
  v1::LogService::StubInterface& logs() { return *logs_; }
  v1::PolicyService::StubInterface& policy() { return *policy_; }
  v1::AuditService::StubInterface& audit() { return *audit_; }
  v1::InstanceService::StubInterface& instances() { return *instances_; }
  v1::StatusService::StubInterface& status() { return *status_; }

  // One call:  client.Call(client.tenants(), &v1::TenantService::StubInterface::GetTenant, request)
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request, absl::Duration patience = kPatience) {
    grpc::ClientContext context;
    context.set_deadline(Deadline(patience));
    Response response;
    const absl::Time begun = absl::Now();
    const grpc::Status answer = (stub.*method)(&context, request, &response);
    absl::Status status = ToStatus(answer, absl::Now() - begun);
    if (!status.ok()) return status;
    return response;
  }

  // How long a call that answers "at once" may take.
  static constexpr absl::Duration kPatience = absl::Seconds(30);
  static std::chrono::system_clock::time_point Deadline(absl::Duration patience);

  // How a call went that began `waited` ago and was not answered before: the server's message and detail; UNAVAILABLE
  // and what to do if nobody serves at the address.
  absl::Status ToStatus(const grpc::Status& status, absl::Duration waited) const;
  // How a stream ended that had been answered: the same, but the gateway went away.
  absl::Status StreamEnd(const grpc::Status& status) const;

 private:
  const std::string address_;
  const std::shared_ptr<const tls::Credentials> credentials_;
  std::unique_ptr<v1::TenantService::StubInterface> tenants_;
  std::unique_ptr<v1::LeaseService::StubInterface> leases_;
  std::unique_ptr<v1::OperationService::StubInterface> operations_;
  std::unique_ptr<v1::BackupService::StubInterface> backups_;
  std::unique_ptr<v1::MigrationService::StubInterface> migrations_;
  std::unique_ptr<v1::PoolService::StubInterface> pools_;
  std::unique_ptr<v1::DoctorService::StubInterface> doctor_;
  std::unique_ptr<v1::LogService::StubInterface> logs_;
  std::unique_ptr<v1::PolicyService::StubInterface> policy_;
  std::unique_ptr<v1::AuditService::StubInterface> audit_;
  std::unique_ptr<v1::InstanceService::StubInterface> instances_;
  std::unique_ptr<v1::StatusService::StubInterface> status_;
};

}  // namespace leasehold::cli
