#include "tests/stack/stack.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/config/config.h"
#include "common/jetstream/options.h"
#include "common/rpc/channel_credentials.h"
#include "common/tls/live_credentials.h"
#include "tests/stack/command.h"
#include "tests/stack/outputs.h"

namespace leasehold::testing {
namespace {

constexpr char kConfig[] = LEASEHOLD_TEST_CONFIG;
constexpr char kBinaries[] = LEASEHOLD_BINARIES;

[[noreturn]] void Fatal(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::abort();
}

std::unique_ptr<tls::LiveCredentials> OpenCredentials(const std::string& ca, const std::string& certificate,
                                                      const std::string& key) {
  auto credentials = tls::LiveCredentials::Open({.role = tls::Role::kClient,
                                                 .certificate = {"LEASEHOLD_CERT", certificate},
                                                 .key = {"LEASEHOLD_KEY", key},
                                                 .ca = {"LEASEHOLD_CA", ca}},
                                                absl::Now());
  if (!credentials.ok()) Fatal(credentials.status().ToString());
  return *std::move(credentials);
}

}  // namespace

bool Eventually(const std::function<bool()>& condition, absl::Duration patience) {
  const absl::Time end = absl::Now() + patience;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return true;
}

bool Soak() { return std::getenv("LEASEHOLD_SOAK") != nullptr; }

std::vector<std::string> Chosen(const std::vector<std::string>& cases, size_t stride) {
  std::vector<std::string> chosen;
  for (size_t i = 0; i < cases.size(); i += Soak() ? 1 : stride) chosen.push_back(cases[i]);
  return chosen;
}

Stack::Stack(std::vector<std::string> environment, const std::string& config,
             const std::vector<std::string>& arguments) {
  const std::string log = state_dir() + "/stack.log";
  std::vector<std::string> argv = {absl::StrCat(kBinaries, "/leasehold"),
                                   "stack",
                                   "up",
                                   "--config",
                                   config.empty() ? std::string(kConfig) : config,
                                   "--state-dir",
                                   state_dir(),
                                   "--ports",
                                   "auto"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto process = localserver::ChildProcess::Start({
      .argv = std::move(argv),
      .environment = std::move(environment),
      .log_path = log,
      .working_dir = "",
      .user = "",
  });
  if (!process.ok()) Fatal(process.status().ToString());
  process_ = *std::move(process);
  const std::string env = state_dir() + "/stack.env";
  if (!Eventually([&] { return std::filesystem::exists(env) || !process_->Running(); }, absl::Seconds(90)) ||
      !std::filesystem::exists(env)) {
    Fatal(absl::StrCat("the stack did not start:\n", Slurp(log)));
  }
  for (absl::string_view line : absl::StrSplit(Slurp(env), '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> entry = absl::StrSplit(line, absl::MaxSplits('=', 1));
    env_[entry.first] = absl::StrReplaceAll(entry.second, {{"'", ""}, {"\"", ""}});
  }
  channel_ = grpc::CreateChannel(Env("LEASEHOLD_GATEWAY"), rpc::ChannelCredentials(ReadCredentials().get()));
  tenants_ = v1::TenantService::NewStub(channel_);
  leases_ = v1::LeaseService::NewStub(channel_);
  operations_ = v1::OperationService::NewStub(channel_);
  backups_ = v1::BackupService::NewStub(channel_);
  doctor_ = v1::DoctorService::NewStub(channel_);
  jetstream::Security security;
  if (env_.contains("LEASEHOLD_CA")) {
    security.certificates = OpenCredentials(Env("LEASEHOLD_CA"), Env("LEASEHOLD_CERT"), Env("LEASEHOLD_KEY"));
  }
  auto nats = jetstream::Connect({.url = Env("LEASEHOLD_NATS"), .name = "test"}, security);
  if (!nats.ok()) Fatal(nats.status().ToString());
  nats_ = *std::move(nats);
}

Stack::~Stack() {
  nats_.reset();
  process_->Stop(SIGTERM, absl::Seconds(30));
  if (process_->exit_status() != 0) Fatal(absl::StrCat("the stack ended badly:\n", Log()));
}

std::string Stack::EnvOr(const std::string& name, const std::string& otherwise) const {
  const auto it = env_.find(name);
  return it == env_.end() ? otherwise : it->second;
}

// Of a stack with TLS; null of one without.
std::shared_ptr<const tls::Credentials> Stack::ReadCredentials() const {
  if (!env_.contains("LEASEHOLD_CA")) return nullptr;
  return OpenCredentials(Env("LEASEHOLD_CA"), Env("LEASEHOLD_CERT"), Env("LEASEHOLD_KEY"))->Get();
}

const std::string& Stack::Env(const std::string& name) const {
  auto it = env_.find(name);
  if (it == env_.end()) Fatal(absl::StrCat("stack.env has no ", name));
  return it->second;
}

pid_t Stack::PidOf(const std::string& component) const {
  google::protobuf::Struct state;
  const std::string text = Slurp(state_dir() + "/stack.json");
  if (!google::protobuf::util::JsonStringToMessage(text, &state).ok()) return 0;
  for (const auto& entry : state.fields().at("components").list_value().values()) {
    const auto& fields = entry.struct_value().fields();
    if (fields.at("name").string_value() == component) return static_cast<pid_t>(fields.at("pid").number_value());
  }
  Fatal(absl::StrCat("the stack has no component ", component, ": ", text));
}

pid_t Stack::Signal(const std::string& component, int signal) {
  pid_t pid = 0;
  if (!Eventually([&] { return (pid = PidOf(component)) > 0; })) Fatal(component + " does not run");
  kill(pid, signal);
  return pid;
}

pid_t Stack::Kill(const std::string& component) { return Signal(component, SIGKILL); }

void Stack::SignalAll(const std::string& component, int signal) {
  const pid_t pid = Signal(component, signal);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string stat = Slurp(entry.path() / "stat");
    // "pid (name) state parent …"
    const size_t end = stat.rfind(')');
    pid_t child = 0, parent = 0;
    char state = 0;
    if (end == std::string::npos || std::sscanf(stat.c_str(), "%d", &child) != 1) continue;
    if (std::sscanf(stat.c_str() + end + 1, " %c %d", &state, &parent) == 2 && parent == pid) kill(child, signal);
  }
}

Stack::WithoutSupervisor::WithoutSupervisor(Stack& stack) : stack_(stack) { stack_.process_->Signal(SIGSTOP); }
Stack::WithoutSupervisor::~WithoutSupervisor() { stack_.process_->Signal(SIGCONT); }

std::string Stack::Log() const { return Slurp(state_dir() + "/stack.log"); }

void Stack::AwaitAgain(const std::string& component, pid_t old) {
  if (!Eventually([&] {
        const pid_t now = PidOf(component);
        return now > 0 && now != old;
      })) {
    Fatal(component + " was not started again");
  }
  AwaitReady();
}

void Stack::AwaitReady() {
  // Through this program's own channel, which may still hold the connection of a gateway that was killed.
  v1::ListTenantsResponse response;
  if (!Eventually([&] { return tenants_->ListTenants(Deadline().get(), {}, &response).ok(); }, absl::Seconds(60))) {
    Fatal("the gateway does not answer");
  }
}

void Stack::PublishRaw(const std::string& subject, const std::string& payload) {
  if (!Eventually([&] { return nats_->Publish(subject, payload, {}, "").ok(); })) Fatal("NATS does not answer");
}

void Stack::PublishCreated(const std::string& id, const std::string& event_id, const std::string& domain) {
  PublishRaw(absl::StrCat("tenants.", id, ".created"),
             absl::StrCat(R"({"specversion":"1.0","id":")", event_id,
                          R"(","source":"identity-service","type":"leasehold.tenant.created.v1","subject":")", id,
                          R"(","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{"id":")", id,
                          R"(","name":")", id, R"( Inc","domain":")", domain, R"(","isActive":true,"settings":{}}})"));
}

std::string Stack::CreateTenant(const std::string& id) {
  v1::CreateTenantRequest request;
  request.mutable_tenant()->set_id(id);
  v1::TenantChange change;
  const grpc::Status status = tenants_->CreateTenant(Deadline().get(), request, &change);
  if (!status.ok()) Fatal(absl::StrCat("CreateTenant ", id, ": ", status.error_message()));
  if (!AwaitState(id, v1::TENANT_STATE_ACTIVE)) Fatal(absl::StrCat(id, " did not become ACTIVE"));
  return id;
}

v1::TenantState Stack::StateOf(const std::string& id) {
  v1::GetTenantRequest request;
  request.set_id(id);
  v1::Tenant tenant;
  return tenants_->GetTenant(Deadline().get(), request, &tenant).ok() ? tenant.state() : v1::TENANT_STATE_UNSPECIFIED;
}

bool Stack::AwaitState(const std::string& id, v1::TenantState state, absl::Duration patience) {
  return Eventually([&] { return StateOf(id) == state; }, patience);
}

v1::AcquireLeaseResponse Stack::Acquire(const std::string& tenant, const std::string& service,
                                        const LeaseOptions& options) {
  v1::AcquireLeaseRequest request;
  if (options.connection.empty()) {
    request.set_tenant(tenant);
  } else {
    request.set_connection(options.connection);
  }
  request.set_service(service);
  request.set_access(options.read_only ? v1::ACCESS_READ_ONLY : v1::ACCESS_READ_WRITE);
  *request.mutable_ttl() = FromDuration(options.ttl);
  for (const std::string& glob : options.switch_to) request.add_switch_to(glob);
  request.set_holder(options.holder);
  v1::AcquireLeaseResponse response;
  const grpc::Status status = leases_->AcquireLease(Deadline().get(), request, &response);
  if (!status.ok()) Fatal(absl::StrCat("AcquireLease ", tenant, " ", service, ": ", status.error_message()));
  return response;
}

std::string Stack::InstanceDsn(const std::string& service, const std::string& database) const {
  const std::string& dsn = Env(absl::StrCat("LEASEHOLD_PG_", absl::AsciiStrToUpper(service)));
  return absl::StrCat(dsn.substr(0, dsn.rfind('/') + 1), database);
}

std::string Stack::OnInstance(const std::string& service, const std::string& sql, const std::string& database) {
  pqxx::connection connection(InstanceDsn(service, database));
  pqxx::nontransaction work(connection);
  const pqxx::result rows = work.exec(sql);
  return rows.empty() || rows.columns() == 0 ? "" : std::string(rows[0][0].view());
}

int Stack::DatabasesOf(const std::string& id) {
  int count = 0;
  for (const char* service : {"alpha", "beta"}) {
    count += std::stoi(OnInstance(
        service, absl::StrCat("SELECT count(*) FROM pg_database WHERE datname = 'tenant_", id, "_", service, "'")));
  }
  return count;
}

int Stack::Strays(const std::string& service) {
  return std::stoi(OnInstance(
      service,
      "SELECT count(*) FROM (SELECT datname AS name FROM pg_database UNION ALL SELECT rolname FROM pg_roles) AS n "
      "WHERE (starts_with(name, 'leasehold_new_') OR starts_with(name, 'leasehold_drop_')) AND NOT EXISTS (SELECT FROM "
      "(SELECT database_id FROM leasehold.spares "
      "UNION SELECT database_id FROM leasehold.tenants) AS k "
      "WHERE name IN ('leasehold_new_' || database_id, 'leasehold_new_' || database_id || '_ro'))",
      service + "_central"));
}

Stack::Output Stack::Run(const std::vector<std::string>& arguments) {
  return RunLeasehold(state_dir(),
                      {absl::StrCat("LEASEHOLD_GATEWAY=", Env("LEASEHOLD_GATEWAY")),
                       absl::StrCat("LEASEHOLD_CA=", EnvOr("LEASEHOLD_CA", "")),
                       absl::StrCat("LEASEHOLD_CERT=", EnvOr("LEASEHOLD_CERT", "")),
                       absl::StrCat("LEASEHOLD_KEY=", EnvOr("LEASEHOLD_KEY", ""))},
                      arguments);
}

Stack& SharedStack() {
  static auto* const stack = [] {
    static Stack instance;  // stopped at exit, after the last test
    return &instance;
  }();
  return *stack;
}

std::string FreshTenantId(const std::string& prefix) {
  static std::atomic<int> next = 0;
  return absl::StrCat(prefix, "-", getpid(), "-", ++next);
}

absl::StatusOr<std::string> Value(pqxx::connection& connection, const std::string& sql) {
  try {
    pqxx::nontransaction work(connection);
    const pqxx::result rows = work.exec(sql);
    return rows.empty() || rows.columns() == 0 ? "" : std::string(rows[0][0].view());
  } catch (const pqxx::insufficient_privilege&) {
    return absl::InternalError("42501");  // libpqxx 7.10 forgets the SQLSTATE of this one
  } catch (const pqxx::sql_error& error) {
    return absl::InternalError(error.sqlstate());
  } catch (const pqxx::failure& error) {
    return absl::UnavailableError(error.what());
  }
}

std::string SqlStateOf(const std::function<void()>& work) {
  try {
    work();
    return "";
  } catch (const pqxx::sql_error& error) {
    return error.sqlstate();
  } catch (const pqxx::failure& error) {
    return absl::StrCat("lost: ", error.what());
  }
}

std::unique_ptr<grpc::ClientContext> Deadline(absl::Duration patience) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + patience));
  return context;
}

}  // namespace leasehold::testing
