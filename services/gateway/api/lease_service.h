// leasehold.v1.LeaseService over the lease room: fields are checked here, at the border.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/telemetry/metrics.h"
#include "leasehold/v1/config.pb.h"
#include "leasehold/v1/lease.grpc.pb.h"
#include "services/gateway/api/lease_hold.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/directory/directory.h"
#include "services/gateway/lease/acquisition.h"
#include "services/gateway/lease/book.h"
#include "services/gateway/lease/issuer.h"
#include "services/gateway/lease/services.h"
#include "services/gateway/lease/timer.h"
#include "services/gateway/lease/watchers.h"

namespace leasehold::gateway {

// Nothing blocks: with the tenant cached and ready a call is answered on the thread that brought it. What is given
// outlives it.
class LeaseService : public v1::LeaseService::CallbackService {
 public:
  struct Parts {
    LeaseIssuer& issuer;
    LeaseBook& book;
    LeaseWatchers& watchers;
    TenantDirectory& directory;
    Timer& timer;
    const KnownServices& services;
    // Asked before a lease is given out, prolonged or moved; none: nobody is.
    const AuditRecorder* audit = nullptr;
    // Asked before a held lease is renewed; none: nobody is.
    Rechecker* rechecker = nullptr;
  };
  LeaseService(const Parts& parts, const v1::LeasesConfig& config, Metrics& metrics);

  // Ends Hold streams (their leases are released) and calls that wait for a tenant with SHUTTING_DOWN, and refuses new
  // ones. Call before grpc::Server::Shutdown, which waits for them.
  void Shutdown();

  grpc::ServerUnaryReactor* AcquireLease(grpc::CallbackServerContext* context, const v1::AcquireLeaseRequest* request,
                                         v1::AcquireLeaseResponse* response) override;
  grpc::ServerUnaryReactor* RenewLease(grpc::CallbackServerContext* context, const v1::RenewLeaseRequest* request,
                                       v1::Lease* response) override;
  grpc::ServerUnaryReactor* SwitchLease(grpc::CallbackServerContext* context, const v1::SwitchLeaseRequest* request,
                                        v1::Lease* response) override;
  grpc::ServerUnaryReactor* ReleaseLease(grpc::CallbackServerContext* context, const v1::ReleaseLeaseRequest* request,
                                         v1::Lease* response) override;
  grpc::ServerUnaryReactor* GetLease(grpc::CallbackServerContext* context, const v1::GetLeaseRequest* request,
                                     v1::Lease* response) override;
  grpc::ServerUnaryReactor* ListLeases(grpc::CallbackServerContext* context, const v1::ListLeasesRequest* request,
                                       v1::ListLeasesResponse* response) override;
  grpc::ServerUnaryReactor* RevokeLeases(grpc::CallbackServerContext* context, const v1::RevokeLeasesRequest* request,
                                         v1::RevokeLeasesResponse* response) override;
  grpc::ServerWriteReactor<v1::AcquireLeaseResponse>* HoldLease(grpc::CallbackServerContext* context,
                                                                const v1::AcquireLeaseRequest* request) override;

 private:
  class AcquireCall;

  absl::Status Admit() const { return parts_.audit == nullptr ? absl::OkStatus() : parts_.audit->Admit(); }
  absl::Status Renew(const v1::RenewLeaseRequest& request, v1::Lease& response);
  absl::Status Release(const v1::ReleaseLeaseRequest& request, v1::Lease& response);
  absl::Status Get(const v1::GetLeaseRequest& request, v1::Lease& response) const;
  absl::Status List(const v1::ListLeasesRequest& request, v1::ListLeasesResponse& response) const;
  absl::Status Revoke(const v1::RevokeLeasesRequest& request, v1::RevokeLeasesResponse& response);
  // What of a switch needs no look-up; the tenant it leads to, nullopt for the named connection.
  struct SwitchTarget {
    LeaseId id;
    ServiceName service;
    std::optional<TenantId> tenant;
  };
  absl::StatusOr<SwitchTarget> CheckSwitch(const v1::SwitchLeaseRequest& request) const;
  absl::Status Switch(const SwitchTarget& target, v1::Lease& response);
  v1::Lease LeaseNow(const v1::LeaseRecord& record) const;

  Acquisition::Parts acquisition_parts() const { return {parts_.issuer, parts_.directory, parts_.timer}; }
  // Counts and logs how an acquisition went.
  void OnAcquired(const absl::StatusOr<LeaseIssuer::Issued>& issued);
  // False if no new calls are taken.
  bool Track(const std::shared_ptr<Acquisition>& acquisition);
  void Untrack(const Acquisition& acquisition);
  bool Track(const std::shared_ptr<LeaseHold>& hold);

  const Parts parts_;
  const absl::Duration default_ttl_;
  const absl::Duration max_ttl_;
  prometheus::Counter& acquired_;
  prometheus::Counter& repeated_;
  prometheus::Counter& refused_;
  prometheus::Counter& failed_;
  prometheus::Counter& principal_quota_;
  prometheus::Counter& tenant_quota_;
  prometheus::Counter& revocations_;
  absl::Mutex mu_;
  bool shutting_down_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<const Acquisition*, std::weak_ptr<Acquisition>> waiting_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<LeaseHold*, std::shared_ptr<LeaseHold>> holds_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
