#include "services/cli/stack/supervisor.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/config/encryption.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/cli/stack/dev_certificates.h"
#include "services/cli/stack/effective_config.h"
#include "services/cli/stack/files.h"
#include "services/cli/stack/state_folder.h"

namespace leasehold::stack {
namespace {

namespace fs = std::filesystem;

constexpr char kRegistry[] = "registry";

// A folder that PostgreSQL's user can pass through, whatever our umask is.
absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return absl::OkStatus();
  fs::create_directories(path, error);
  if (error) return absl::FailedPreconditionError(absl::StrCat("cannot make the folder ", path, ": ", error.message()));
  chmod(path.c_str(), 0755);
  return absl::OkStatus();
}

// PostgreSQL and NATS log beside their data; people look in log/.
void LinkLog(const std::string& link, const std::string& target) {
  std::error_code ignored;
  fs::remove(link, ignored);
  fs::create_symlink(target, link, ignored);
}

std::string LogName(std::string component) {
  std::ranges::replace(component, '/', '-');
  return absl::StrCat("log/", component, ".log");
}

}  // namespace

Supervisor::Supervisor(StackOptions options, Environment env, std::function<void(const std::string&)> say)
    : options_(std::move(options)), env_(std::move(env)), say_(std::move(say)) {}

Supervisor::~Supervisor() { Down(); }

absl::Status Supervisor::Run() {
  const absl::Time begin = absl::Now();
  absl::Status status = Up();
  if (status.ok()) {
    PublishState("up");
    SayUp(absl::Now() - begin);
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&stop_));
    }
    say_("stopping");
  }
  Down();
  if (status.ok()) say_("stopped");
  return status;
}

void Supervisor::RequestStop() {
  absl::MutexLock lock(&mu_);
  stop_ = true;
}

void Supervisor::Kill() {
  const std::vector<Keeper*> all = Keepers();
  // First of all of them: one that is killed must not be started again.
  for (Keeper* keeper : all) keeper->RequestStop();
  for (const Keeper* keeper : all) {
    const pid_t pid = keeper->state().pid;
    if (pid > 0) kill(-pid, SIGKILL);
  }
}

absl::Status Supervisor::Up() {
  LH_RETURN_IF_ERROR(Prepare());
  LH_RETURN_IF_ERROR(StartServers());
  LH_RETURN_IF_ERROR(StartDaemons());
  LH_ASSIGN_OR_RETURN(const std::string variables, StackEnv(ports_, *secrets_, Certificates()));
  return WriteFileAtomically(PathOf("stack.env"), variables, 0600);
}

absl::Status Supervisor::Prepare() {
  LH_RETURN_IF_ERROR(CheckStateFolder(options_.state_dir));
  LH_ASSIGN_OR_RETURN(config_,
                      LoadConfig(options_.config_path, env_, options_.tls ? TlsFiles::kToCome : TlsFiles::kNamed));
  LH_ASSIGN_OR_RETURN(ports_, PlanPorts(config_, options_.ports, env_, &localserver::FreePort));
  LH_ASSIGN_OR_RETURN(gateway_program_, FindDaemon("leasehold-gateway"));
  LH_ASSIGN_OR_RETURN(provisioner_program_, FindDaemon("leasehold-provisioner"));
  LH_RETURN_IF_ERROR(MakeFolder(options_.state_dir));
  LH_ASSIGN_OR_RETURN(RunLock lock, RunLock::Take(options_.state_dir, StopCommand()));
  lock_ = std::make_unique<RunLock>(std::move(lock));
  unlink(PathOf("stack.env").c_str());
  LH_RETURN_IF_ERROR(CheckFree(ports_));

  if (options_.fresh) LH_RETURN_IF_ERROR(RemoveData(options_.state_dir));
  // First of all: it marks the folder as a stack's.
  LH_ASSIGN_OR_RETURN(SecretFolder secrets, SecretFolder::Open(PathOf("secrets")));
  secrets_ = std::make_unique<SecretFolder>(std::move(secrets));
  if (options_.tls) LH_RETURN_IF_ERROR(EnsureDevCertificates({.folder = Certificates()}));
  LH_RETURN_IF_ERROR(MakeFolder(PathOf("pg")));
  LH_RETURN_IF_ERROR(MakeFolder(PathOf("log")));
  LH_ASSIGN_OR_RETURN(effective_, EffectiveConfig(config_, ports_, *secrets_, Certificates()));
  LH_RETURN_IF_ERROR(config::CheckEncryption(effective_));
  if (effective_.provisioner().backup_folder().empty()) {
    effective_.mutable_provisioner()->set_backup_folder(PathOf("backups"));
  }
  return WriteFileAtomically(PathOf("config.yaml"), ToYaml(effective_), 0644);
}

absl::StatusOr<Bootstrap> Supervisor::MakeBootstrap(const Server& server, const std::string& service,
                                                    const std::string& login, const std::string& database) {
  LH_ASSIGN_OR_RETURN(const Secret superuser, secrets_->Password(SuperuserSecret(server.name)));
  LH_ASSIGN_OR_RETURN(const Secret password, secrets_->Password(LoginSecret(service)));
  return Bootstrap{.port = server.port,
                   .superuser_password = superuser,
                   .login = login,
                   .login_password = password,
                   .manages_tenants = service != kRegistry,
                   .database = database};
}

absl::StatusOr<std::vector<Supervisor::Server>> Supervisor::PlanServers() {
  constexpr int kUsualConnections = 100;
  // Who makes a database has one connection to the central database and two into the new one. Beside the workers:
  // events, reports and passes, and the keeper of the spares.
  constexpr int kProvisionersOwn = 3;
  constexpr int kThreads = 2;
  constexpr int kClaims = 4;
  constexpr int kForPeople = 20;  // psql, superusers, autovacuum's launcher
  std::vector<Server> servers = {{.name = kRegistry, .port = ports_.registry, .connections = kUsualConnections}};
  LH_ASSIGN_OR_RETURN(Bootstrap registry, MakeBootstrap(servers.front(), kRegistry, kLogin, kLogin));
  servers.front().contents.push_back(std::move(registry));
  for (const auto& service : effective_.services()) {
    const std::string& name = ServerOf(ports_, service.name());
    auto server = std::ranges::find(servers, name, &Server::name);
    if (server == servers.end()) {
      server = servers.insert(server, {.name = name, .port = ports_.instances.at(name), .connections = kForPeople});
    }
    const v1::InstanceConfig& instance = service.instance();
    server->connections +=
        instance.max_connections() + kProvisionersOwn * (effective_.provisioner().parallelism() + kThreads) + kClaims;
    // Only for who asks for it: encrypting takes the time of whoever would do without.
    server->tls = server->tls || (instance.sslmode() != "disable" && instance.sslmode() != "prefer");
    LH_ASSIGN_OR_RETURN(Bootstrap contents,
                        MakeBootstrap(*server, service.name(), instance.username(), instance.database()));
    server->contents.push_back(std::move(contents));
  }
  for (Server& server : servers) server.connections = std::max(kUsualConnections, server.connections);
  return servers;
}

absl::StatusOr<std::unique_ptr<Component>> Supervisor::MakePostgres(const Server& server) {
  const std::string name = absl::StrCat("postgres/", server.name);
  LinkLog(PathOf(LogName(name)), absl::StrCat("../pg/", server.name, ".log"));
  auto prepare = [contents = server.contents, secrets = PathOf("secrets")]() -> absl::Status {
    for (const Bootstrap& bootstrap : contents) {
      const absl::Status status = stack::Prepare(bootstrap);
      if (status.ok()) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("cannot prepare the server: ", std::string(StdView(status.message())),
                       "\n  if its data is older than ", secrets, ", start with --fresh (removes the data)"));
    }
    return absl::OkStatus();
  };
  return std::make_unique<PostgresComponent>(
      name,
      localserver::PostgresServer::Options{
          .data_dir = PathOf(absl::StrCat("pg/", server.name)),
          .port = server.port,
          .superuser_password = server.contents.front().superuser_password,
          // At its default of a minute autovacuum starts up to ten workers a second
          // as databases become hundreds, whether there is work in them or not.
          .settings = {absl::StrCat("max_connections=", server.connections), "autovacuum_naptime=10min"},
          .durable = options_.durable,
          .tls = server.tls || options_.tls,
          .certificate_file = options_.tls ? PathOf("certs/postgres.crt") : "",
          .key_file = options_.tls ? PathOf("certs/postgres.key") : ""},
      std::move(prepare));
}

absl::Status Supervisor::StartServers() {
  std::vector<std::unique_ptr<Component>> components;
  LinkLog(PathOf("log/nats.log"), "../nats.log");
  components.push_back(std::make_unique<NatsComponent>(
      localserver::NatsServer::Options{.data_dir = PathOf("nats"),
                                       .port = ports_.nats,
                                       .certificate_file = options_.tls ? PathOf("certs/nats.crt") : "",
                                       .key_file = options_.tls ? PathOf("certs/nats.key") : "",
                                       .client_ca_file = options_.tls ? PathOf("certs/ca.crt") : ""}));
  LH_ASSIGN_OR_RETURN(const std::vector<Server> servers, PlanServers());
  for (const Server& server : servers) {
    LH_ASSIGN_OR_RETURN(auto postgres, MakePostgres(server));
    components.push_back(std::move(postgres));
  }
  say_(absl::StrCat("starting ", servers.size(), " PostgreSQL servers and NATS in ", options_.state_dir));
  return Launch(std::move(components));
}

std::unique_ptr<Component> Supervisor::MakeDaemon(const std::string& name, const std::string& program,
                                                  const HostPort& address, const HostPort& http, HttpFiles http_files,
                                                  std::vector<std::string> environment) const {
  // Variables of the same names may be set for us and would count more than the file.
  environment.push_back(absl::StrCat("LEASEHOLD_GATEWAY=", ToText(ports_.grpc)));
  environment.push_back(absl::StrCat("LEASEHOLD_SQL=", ToText(ports_.sql)));
  environment.push_back(absl::StrCat("LEASEHOLD_HTTP=", ToText(ports_.http)));
  environment.push_back(absl::StrCat("LEASEHOLD_NATS=", effective_.nats().url()));
  std::vector<std::string> argv = {program, "--config", PathOf("config.yaml")};
  if (options_.insecure) argv.emplace_back("--insecure");
  return std::make_unique<DaemonComponent>(DaemonComponent::Options{.name = name,
                                                                    .address = ToText(address),
                                                                    .argv = std::move(argv),
                                                                    .environment = std::move(environment),
                                                                    .log_path = PathOf(LogName(name)),
                                                                    .http = http,
                                                                    .http_files = std::move(http_files)});
}

absl::Status Supervisor::StartDaemons() {
  std::vector<std::unique_ptr<Component>> daemons;
  const v1::GatewayConfig& gateway = effective_.gateway();
  daemons.push_back(MakeDaemon("gateway", gateway_program_, ports_.sql, ports_.http,
                               {.certificate = gateway.http_certificate_file(), .key = gateway.http_key_file()}, {}));
  const v1::ProvisionerConfig& provisioner = effective_.provisioner();
  const HttpFiles files{.certificate = provisioner.http_certificate_file(), .key = provisioner.http_key_file()};
  for (const auto& [service, http] : ports_.provisioners) {
    daemons.push_back(MakeDaemon(absl::StrCat("provisioner/", service), provisioner_program_, http, http, files,
                                 {absl::StrCat("SERVICE_NAME=", service)}));
  }
  return Launch(std::move(daemons));
}

absl::StatusOr<std::string> Supervisor::FindDaemon(const std::string& name) const {
  const std::string beside = fs::path(options_.program).replace_filename(name).string();
  if (access(beside.c_str(), X_OK) == 0) return beside;
  auto on_path = localserver::FindProgram(name);
  if (on_path.ok()) return on_path;
  return absl::FailedPreconditionError(absl::StrCat("the program ", name, " is neither beside leasehold (", beside,
                                                    ") nor on PATH; build or install it"));
}

absl::Status Supervisor::Launch(std::vector<std::unique_ptr<Component>> components) {
  std::vector<Keeper*> launched;
  {
    absl::MutexLock lock(&mu_);
    for (auto& component : components) {
      keepers_.push_back(std::make_unique<Keeper>(std::move(component), KeeperOptions{.restart = options_.restart},
                                                  [this](const std::string& news) { Changed(news); }));
      launched.push_back(keepers_.back().get());
    }
  }
  for (Keeper* keeper : launched) keeper->Start();
  for (;;) {
    int seen = 0;
    {
      absl::MutexLock lock(&mu_);
      if (stop_) return absl::CancelledError("stopped before all was ready");
      seen = changes_;
    }
    bool all = true;
    for (const Keeper* keeper : launched) {
      const auto started = keeper->started();
      all = all && started.has_value();
      if (started && !started->ok()) {
        return absl::FailedPreconditionError(absl::StrCat(keeper->state().name,
                                                          " did not start: ", std::string(StdView(started->message())),
                                                          "\n  all logs: ", PathOf("log")));
      }
    }
    if (all) return absl::OkStatus();
    const auto moved = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stop_ || changes_ != seen; };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&moved));
  }
}

void Supervisor::SayUp(absl::Duration took) {
  say_(absl::StrFormat("the stack is up after %.1f s", absl::ToDoubleSeconds(took)));
  say_(absl::StrCat("  gRPC       ", Reach(ports_.grpc)));
  say_(absl::StrCat("  SQL        ", Reach(ports_.sql)));
  say_(absl::StrCat("  HTTP       ", effective_.gateway().http_certificate_file().empty() ? "http" : "https", "://",
                    Reach(ports_.http), "/healthz"));
  say_(absl::StrCat("  NATS       ", effective_.nats().url()));
  say_(absl::StrCat("  variables  set -a; . ", PathOf("stack.env"), "; set +a"));
  say_(absl::StrCat("  stop       Ctrl-C, or: ", StopCommand()));
}

std::string Supervisor::StopCommand() const {
  return env_("LEASEHOLD_STOP_COMMAND").value_or(absl::StrCat("leasehold stack down --state-dir ", options_.state_dir));
}

void Supervisor::Down() {
  if (lock_ == nullptr) return;  // nothing was begun, or all is done
  unlink(PathOf("stack.env").c_str());
  PublishState("stopping");
  StopThose([](const std::string& name) { return name == "gateway" || absl::StartsWith(name, "provisioner/"); });
  StopThose([](const std::string& name) { return name == "nats"; });
  StopThose([](const std::string&) { return true; });
  PublishState("down");
  lock_.reset();
}

void Supervisor::StopThose(const std::function<bool(const std::string& name)>& chosen) {
  std::vector<Keeper*> those = Keepers();
  std::erase_if(those, [&](const Keeper* keeper) { return !chosen(keeper->state().name); });
  for (Keeper* keeper : those) keeper->RequestStop();
  for (Keeper* keeper : those) keeper->AwaitStop();
}

std::vector<Keeper*> Supervisor::Keepers() {
  absl::MutexLock lock(&mu_);
  std::vector<Keeper*> all;
  for (const auto& keeper : keepers_) all.push_back(keeper.get());
  return all;
}

void Supervisor::Changed(const std::string& news) {
  PublishState("");
  if (!news.empty()) say_(news);
  absl::MutexLock lock(&mu_);
  ++changes_;
}

void Supervisor::PublishState(const std::string& state) {
  absl::MutexLock lock(&state_file_mu_);
  if (!state.empty()) state_ = state;
  StackState now{.state = state_, .pid = getpid(), .components = {}};
  for (const Keeper* keeper : Keepers()) now.components.push_back(keeper->state());
  if (const absl::Status written = WriteStackState(options_.state_dir, now); !written.ok()) {
    say_(std::string(StdView(written.message())));
  }
}

std::string Supervisor::PathOf(const std::string& name) const { return absl::StrCat(options_.state_dir, "/", name); }

}  // namespace leasehold::stack
