// A whole local stack: PostgreSQL servers, NATS and Leasehold's daemons as children of this process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/config/config.h"
#include "common/daemon/readiness.h"
#include "services/cli/stack/bootstrap.h"
#include "services/cli/stack/keeper.h"
#include "services/cli/stack/ports.h"
#include "services/cli/stack/run_lock.h"
#include "services/cli/stack/secrets.h"

namespace leasehold::stack {

struct StackOptions {
  std::string config_path;
  std::string state_dir;
  PortMode ports = PortMode::kFixed;
  bool restart = true;
  bool fresh = false;     // remove the data of former runs first
  bool durable = true;    // false: fsync off, for what may be lost with the machine
  bool tls = false;       // between all of them but for HTTP, with certificates made for it
  bool insecure = false;  // what the daemons are told
  std::string program;    // of this process; the daemons are looked for beside it, then on PATH
};

class Supervisor {
 public:
  // `say`: lines for people, from any thread, whole lines at a time.
  Supervisor(StackOptions options, Environment env, std::function<void(const std::string&)> say);
  ~Supervisor();  // stops what runs

  // Blocks until the stack is stopped or has failed to start; when it returns nothing runs. OK after RequestStop() of a
  // stack that had come up, CANCELLED of one that had not. Once.
  absl::Status Run();

  // Any thread.
  void RequestStop();
  // SIGKILL to everything; Run() returns soon.
  void Kill();

 private:
  absl::Status Up();
  absl::Status Prepare();
  absl::Status StartServers();
  absl::Status StartDaemons();
  // Starts all at once and waits until all are ready; the first failure otherwise.
  absl::Status Launch(std::vector<std::unique_ptr<Component>> components);
  // A PostgreSQL server, and what is on it.
  struct Server {
    std::string name;
    int port = 0;
    int connections = 0;
    bool tls = false;
    std::vector<Bootstrap> contents{};
  };
  absl::StatusOr<Bootstrap> MakeBootstrap(const Server& server, const std::string& service, const std::string& login,
                                          const std::string& database);
  absl::StatusOr<std::vector<Server>> PlanServers();
  absl::StatusOr<std::unique_ptr<Component>> MakePostgres(const Server& server);
  std::unique_ptr<Component> MakeDaemon(const std::string& name, const std::string& program, const HostPort& address,
                                        const HostPort& http, HttpFiles http_files,
                                        std::vector<std::string> environment) const;
  absl::StatusOr<std::string> FindDaemon(const std::string& name) const;
  void SayUp(absl::Duration took);
  std::string StopCommand() const;  // for people
  void Down();
  void StopThose(const std::function<bool(const std::string& name)>& chosen);
  std::vector<Keeper*> Keepers();
  void Changed(const std::string& news);
  void PublishState(const std::string& state);
  std::string PathOf(const std::string& name) const;
  // Of dev certificates; empty: none are used.
  std::string Certificates() const { return options_.tls ? PathOf("certs") : ""; }

  const StackOptions options_;
  const Environment env_;
  const std::function<void(const std::string&)> say_;

  v1::Config config_;  // as the user wrote it
  v1::Config effective_;
  Ports ports_;
  std::string gateway_program_;
  std::string provisioner_program_;
  std::unique_ptr<SecretFolder> secrets_;
  std::unique_ptr<RunLock> lock_;

  // Taken before mu_.
  absl::Mutex state_file_mu_;
  std::string state_ ABSL_GUARDED_BY(state_file_mu_) = "starting";

  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  int changes_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::unique_ptr<Keeper>> keepers_ ABSL_GUARDED_BY(mu_);  // only ever grows
};

}  // namespace leasehold::stack
