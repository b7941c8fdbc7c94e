// The gateway as the command line sees it: blocking calls that answer in absl::Status.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "leasehold/v1/lease.grpc.pb.h"
#include "leasehold/v1/operation.grpc.pb.h"
#include "leasehold/v1/tenant.grpc.pb.h"

namespace leasehold::cli {

class GatewayClient {
 public:
  // `address`: host:port as the user typed it. Connects at the first call.
  explicit GatewayClient(std::string address);

  v1::TenantService::StubInterface& tenants() { return *tenants_; }
  v1::LeaseService::StubInterface& leases() { return *leases_; }
  v1::OperationService::StubInterface& operations() { return *operations_; }

  // One call:  client.Call(client.tenants(), &v1::TenantService::StubInterface::GetTenant, request)
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request, absl::Duration patience = kPatience) {
    grpc::ClientContext context;
    context.set_deadline(Deadline(patience));
    Response response;
    absl::Status status = ToStatus((stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  // How long a call that answers "at once" may take.
  static constexpr absl::Duration kPatience = absl::Seconds(30);
  static std::chrono::system_clock::time_point Deadline(absl::Duration patience);

  // The server's message and detail; a silent gateway is UNAVAILABLE with "the gateway at … does not answer (…)".
  absl::Status ToStatus(const grpc::Status& status) const;
  static bool DoesNotAnswer(const grpc::Status& status);

 private:
  const std::string address_;
  std::unique_ptr<v1::TenantService::StubInterface> tenants_;
  std::unique_ptr<v1::LeaseService::StubInterface> leases_;
  std::unique_ptr<v1::OperationService::StubInterface> operations_;
};

}  // namespace leasehold::cli
