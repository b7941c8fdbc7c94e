#include "services/provisioner/provisioner.h"

#include <filesystem>
#include <format>
#include <system_error>
#include <utility>

#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/folder.h"

namespace leasehold::provisioner {
namespace {

// Beside the workers: events, reports, passes.
constexpr int kMoreConnections = 3;

absl::StatusOr<Secret> ReadPassword(const v1::ServiceConfig& service, const Environment& environment) {
  if (const auto password = environment("DB_PASSWORD")) return Secret(*password);
  if (!service.instance().password_file().empty()) return ReadSecretFile(service.instance().password_file());
  return Secret();  // trust, peer or a certificate
}

absl::StatusOr<RoleKey> ReadRoleKey(const v1::ServiceConfig& service) {
  const std::string& file = service.instance().role_key_file();
  if (file.empty()) {
    return InvalidField(std::format("services[{}].instance.role_key_file", service.name()), "",
                        "a file with 64 hex digits");
  }
  return RoleKey::ReadFile(file);
}

absl::StatusOr<Migrations> ReadKind(const v1::ServiceConfig& service, std::string_view kind) {
  if (service.migrations().empty()) return Migrations();
  if (std::error_code error; !std::filesystem::is_directory(service.migrations(), error)) {
    return InvalidField(std::format("services.{}.migrations", service.name()), service.migrations(),
                        "a folder that exists, or none for empty schemas");
  }
  return ReadMigrations(std::format("{}/{}", service.migrations(), kind));
}

}  // namespace

absl::StatusOr<Provisioner::Settings> Provisioner::Read(const v1::Config& config, const v1::ServiceConfig& service,
                                                        const Environment& environment) {
  LH_ASSIGN_OR_RETURN(const ServiceName name, ServiceName::Parse(service.name()));
  LH_ASSIGN_OR_RETURN(Secret password, ReadPassword(service, environment));
  LH_ASSIGN_OR_RETURN(RoleKey role_key, ReadRoleKey(service));
  LH_ASSIGN_OR_RETURN(Migrations tenant, ReadKind(service, "tenant"));
  LH_ASSIGN_OR_RETURN(Migrations central, ReadKind(service, "central"));
  LH_ASSIGN_OR_RETURN(HostPort http, ParseHostPort("http_listen", service.http_listen()));
  const v1::ProvisionerConfig& limits = config.provisioner();
  return Settings{
      .service = name,
      .instance = {.service = name,
                   .config = service.instance(),
                   .password = std::move(password),
                   .role_key = std::move(role_key)},
      .reconciler = {.resync_interval = ToDuration(limits.resync_interval()),
                     .min_backoff = ToDuration(limits.min_backoff()),
                     .max_backoff = ToDuration(limits.max_backoff()),
                     .parallelism = limits.parallelism(),
                     .tenant_migrations = std::move(tenant),
                     .central_migrations = std::move(central)},
      .gateway = limits.gateway(),
      .replicas = config.nats().replicas(),
      .http = std::move(http),
  };
}

absl::StatusOr<std::unique_ptr<Provisioner>> Provisioner::Make(const v1::Config& config,
                                                               const v1::ServiceConfig& service,
                                                               const Environment& environment) {
  LH_ASSIGN_OR_RETURN(Settings settings, Read(config, service, environment));
  std::unique_ptr<Provisioner> provisioner(new Provisioner(std::move(settings)));
  LH_RETURN_IF_ERROR(provisioner->endpoint_.Start(provisioner->http_));
  LH_RETURN_IF_ERROR(provisioner->Connect(config.nats().url()));
  return provisioner;
}

Provisioner::Provisioner(Settings settings)
    : http_(settings.http),
      replicas_(settings.replicas),
      health_(clock_),
      endpoint_(health_, metrics_),
      instance_(std::move(settings.instance)),
      central_(instance_.AsLogin(instance_.central_database()), settings.reconciler.parallelism + kMoreConnections),
      records_(central_, clock_),
      desired_(settings.gateway, settings.service),
      instance_health_(health_, "instance", [this] { reconciler_.RequestPass(); }),
      gateway_health_(health_, "gateway"),
      nats_health_(health_, "nats", [this] { reconciler_.RequestPass(); }),
      reconciler_(std::move(settings.reconciler), {.instance = instance_,
                                                   .central = central_,
                                                   .records = records_,
                                                   .desired = desired_,
                                                   .instance_health = instance_health_,
                                                   .gateway_health = gateway_health_,
                                                   .clock = clock_,
                                                   .metrics = metrics_,
                                                   .on_status = [this] { reporter_->Wake(); }}) {
  // Without the gateway a provisioner still does its work.
  for (const char* component : {"instance", "nats"}) health_.Require(component);
}

absl::Status Provisioner::Connect(const std::string& nats_url) {
  const ServiceName& service = instance_.service();
  LH_ASSIGN_OR_RETURN(nats_, jetstream::Client::Connect({
                                 .url = nats_url,
                                 .name = std::format("provisioner/{}", service.str()),
                                 .on_state = [this](const absl::Status& status) { nats_health_.Note(status); },
                             }));
  reporter_ = std::make_unique<StatusReporter>(*nats_, records_, service, metrics_);
  events_ = std::make_unique<TenantEvents>(
      *nats_, service, replicas_,
      [this](const TenantId& id, const Desire& desire) { return reconciler_.Want(id, desire); }, metrics_);
  return absl::OkStatus();
}

Provisioner::~Provisioner() { Stop(absl::InfiniteDuration()); }

absl::Status Provisioner::Start() {
  reconciler_.Start();
  reporter_->Start();
  events_->Start();
  return absl::OkStatus();
}

bool Provisioner::Stop(absl::Duration patience) {
  if (events_ != nullptr) events_->Stop();
  if (!reconciler_.Stop(patience)) return false;
  if (reporter_ != nullptr) reporter_->Stop();
  endpoint_.Stop();
  nats_.reset();
  return true;
}

}  // namespace leasehold::provisioner
