// A whole stack for multi-process tests: started by `leasehold stack up` on free ports in a folder of its own, so that
// what the tests meet is what users run.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <pqxx/pqxx>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/jetstream/jetstream.h"
#include "common/localserver/localserver.h"
#include "common/tls/credentials.h"
#include "leasehold/v1/backup.grpc.pb.h"
#include "leasehold/v1/doctor.grpc.pb.h"
#include "leasehold/v1/lease.grpc.pb.h"
#include "leasehold/v1/operation.grpc.pb.h"
#include "leasehold/v1/tenant.grpc.pb.h"

namespace leasehold::testing {

// Polls until `condition` holds; false after `patience`. For conditions of other processes, which cannot be waited on.
bool Eventually(const std::function<bool()>& condition, absl::Duration patience = absl::Seconds(30));

// Whether to take the time for everything: LEASEHOLD_SOAK is set, as `./dev test -L soak` does.
bool Soak();
// All of `cases`, or without Soak() each `stride`th.
std::vector<std::string> Chosen(const std::vector<std::string>& cases, size_t stride);

class Stack {
 public:
  // Aborts the test program with the stack's log if it does not come up. `environment`: "K=V" for all its daemons;
  // `config`: empty for the one of stack/. `arguments`: more for `leasehold stack up`; with "--tls" all of this speaks
  // TLS.
  explicit Stack(std::vector<std::string> environment = {}, const std::string& config = "",
                 const std::vector<std::string>& arguments = {});
  ~Stack();

  // A line of stack.env, e.g. "LEASEHOLD_SQL".
  const std::string& Env(const std::string& name) const;
  std::string EnvOr(const std::string& name, const std::string& otherwise) const;
  const std::string& state_dir() const { return directory_.path(); }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  v1::TenantService::Stub& tenants() { return *tenants_; }
  v1::LeaseService::Stub& leases() { return *leases_; }
  v1::OperationService::Stub& operations() { return *operations_; }
  v1::BackupService::Stub& backups() { return *backups_; }
  v1::DoctorService::Stub& doctor() { return *doctor_; }
  jetstream::Client& nats() { return *nats_; }

  // Components as `leasehold stack status` names them: "gateway", "provisioner/alpha", "postgres/alpha", "nats".
  pid_t PidOf(const std::string& component) const;
  // Returns the pid that was sent the signal. If it ends, the supervisor starts it again.
  pid_t Signal(const std::string& component, int signal);
  pid_t Kill(const std::string& component);  // SIGKILL
  // To it and its child processes: what PostgreSQL needs to stand still.
  void SignalAll(const std::string& component, int signal);
  // Waits until it runs under another pid than `old`, and the gateway is ready.
  void AwaitAgain(const std::string& component, pid_t old);
  void KillAndAwait(const std::string& component) { AwaitAgain(component, Kill(component)); }
  void AwaitReady();
  // What ends meanwhile is not started again before the end of the object's life.
  class WithoutSupervisor {
   public:
    explicit WithoutSupervisor(Stack& stack);
    ~WithoutSupervisor();
    WithoutSupervisor(const WithoutSupervisor&) = delete;
    WithoutSupervisor& operator=(const WithoutSupervisor&) = delete;

   private:
    Stack& stack_;
  };
  // What the supervisor has said so far.
  std::string Log() const;

  // TenantCreated as another service would publish it; `id` may be anything.
  void PublishCreated(const std::string& id, const std::string& event_id, const std::string& domain = "");
  void PublishRaw(const std::string& subject, const std::string& payload);

  // What bears a name that only provisioners give, and that no record of a spare or a tenant knows: how many databases
  // and roles of a service's instance.
  int Strays(const std::string& service);

  std::string CreateTenant(const std::string& id);  // and waits until it is ACTIVE; returns id
  bool AwaitState(const std::string& id, v1::TenantState state, absl::Duration patience = absl::Seconds(30));
  v1::TenantState StateOf(const std::string& id);  // UNSPECIFIED if there is none

  struct LeaseOptions {
    bool read_only = false;
    std::string connection;
    std::vector<std::string> switch_to;
    absl::Duration ttl = absl::Minutes(5);
    std::string holder;
  };
  v1::AcquireLeaseResponse Acquire(const std::string& tenant, const std::string& service, const LeaseOptions& options);
  v1::AcquireLeaseResponse Acquire(const std::string& tenant, const std::string& service) {
    return Acquire(tenant, service, LeaseOptions{});
  }

  // For a superuser's connection to a service's instance.
  std::string InstanceDsn(const std::string& service, const std::string& database = "postgres") const;
  // One value over such a connection.
  std::string OnInstance(const std::string& service, const std::string& sql, const std::string& database = "postgres");
  // Of all services: how many databases tenant_<id>_* exist.
  int DatabasesOf(const std::string& id);

  // Runs the command line against this stack; stdout, stderr and the exit code.
  struct Output {
    int exit_code = 0;
    std::string out;
    std::string err;
  };
  Output Run(const std::vector<std::string>& arguments);

 private:
  std::shared_ptr<const tls::Credentials> ReadCredentials() const;
  localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::ChildProcess> process_;
  std::map<std::string, std::string> env_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TenantService::Stub> tenants_;
  std::unique_ptr<v1::LeaseService::Stub> leases_;
  std::unique_ptr<v1::OperationService::Stub> operations_;
  std::unique_ptr<v1::BackupService::Stub> backups_;
  std::unique_ptr<v1::DoctorService::Stub> doctor_;
  std::unique_ptr<jetstream::Client> nats_;
};

// One stack for all tests of a program.
Stack& SharedStack();

// A tenant id that no other test uses.
std::string FreshTenantId(const std::string& prefix = "t");

// The one value of the one row; the SQLSTATE on failure.
absl::StatusOr<std::string> Value(pqxx::connection& connection, const std::string& sql);
std::string SqlStateOf(const std::function<void()>& work);  // "" if it does not throw

std::unique_ptr<grpc::ClientContext> Deadline(absl::Duration patience = absl::Seconds(20));

}  // namespace leasehold::testing
