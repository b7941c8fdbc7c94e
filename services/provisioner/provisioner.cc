#include "services/provisioner/provisioner.h"

#include <filesystem>
#include <format>
#include <system_error>
#include <utility>

#include "absl/time/clock.h"
#include "common/bearer/bearer.h"
#include "common/events/instance_subject.h"
#include "common/events/migration_subject.h"
#include "common/secret/key_ring.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/tls/credentials.h"
#include "common/version/version.h"
#include "services/provisioner/migrations/folder.h"

namespace leasehold::provisioner {
namespace {

// Beside the workers: events, reports, passes, two for backups, two for migration runs and calls about them, one for
// calls about the instance.
constexpr int kMoreConnections = 8;

absl::StatusOr<Secret> ReadPassword(const v1::ServiceConfig& service, const Environment& environment) {
  if (const auto password = environment("DB_PASSWORD")) return Secret(*password);
  if (!service.instance().password_file().empty()) return ReadSecretFile(service.instance().password_file());
  return Secret();  // trust, peer or a certificate
}

// What roles are to be given; what some may have by the other key, only those need to know who log in as them.
absl::StatusOr<RoleKey> ReadRoleKey(const v1::ServiceConfig& service) {
  const std::string& file = service.instance().role_key_file();
  if (file.empty()) {
    return InvalidField(std::format("services[{}].instance.role_key_file", service.name()), "",
                        "a file with 64 hex digits, or with two such lines: the current key and another");
  }
  LH_ASSIGN_OR_RETURN(const RoleKeys keys, RoleKeys::ReadFile(file));
  return keys.current();
}

// libpq reads it with each connection, and says little of what is wrong with it.
absl::Status CheckCa(const v1::ServiceConfig& service) {
  if (service.instance().ca_file().empty()) return absl::OkStatus();
  return tls::Credentials::Read({.role = tls::Role::kClient,
                                 .ca = {.field = std::format("services[{}].instance.ca_file", service.name()),
                                        .path = service.instance().ca_file()}},
                                absl::Now())
      .status();
}

absl::StatusOr<Migrations> ReadKind(const v1::ServiceConfig& service, std::string_view kind) {
  if (service.migrations().empty()) return Migrations();
  if (std::error_code error; !std::filesystem::is_directory(service.migrations(), error)) {
    return InvalidField(std::format("services[{}].migrations", service.name()), service.migrations(),
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
  LH_RETURN_IF_ERROR(CheckCa(service));
  LH_ASSIGN_OR_RETURN(const SharedMigrations tenant, ReadKind(service, "tenant"));
  LH_ASSIGN_OR_RETURN(const SharedMigrations central, ReadKind(service, "central"));
  const NewcomerFiles newcomers(tenant);
  LH_ASSIGN_OR_RETURN(HostPort http, ParseHostPort("http_listen", service.http_listen()));
  const v1::ProvisionerConfig& limits = config.provisioner();
  if (!limits.token_file().empty())
    LH_RETURN_IF_ERROR(CheckTokenMayGo(limits.gateway(), !limits.gateway_ca_file().empty()));
  const bool automatic = limits.migrate() == "automatic";
  Rollout::Options rollout{.library = {service.migrations(), tenant, central},
                           .parallelism = limits.parallelism(),
                           .automatic = automatic,
                           .retention = {.time = ToDuration(limits.run_retention()), .most = limits.max_runs()}};
  SpareKeeper::Options spares{.min_spares = limits.min_spares(),
                              .max_spares = limits.max_spares(),
                              .min_backoff = ToDuration(limits.min_backoff()),
                              .max_backoff = ToDuration(limits.max_backoff()),
                              .tenant_migrations = newcomers};
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
                     .tenant_migrations = newcomers,
                     .central_migrations = central,
                     .backup_folder = limits.backup_folder(),
                     .migrates_in_place = false,
                     .keeps_central = !automatic},
      .backups = {.folder = limits.backup_folder(),
                  .resync_interval = ToDuration(limits.resync_interval()),
                  .min_backoff = ToDuration(limits.min_backoff()),
                  .max_backoff = ToDuration(limits.max_backoff())},
      .spares = std::move(spares),
      .rollout = std::move(rollout),
      .gateway = limits.gateway(),
      .token_file = limits.token_file(),
      .replicas = config.nats().replicas(),
      .http = std::move(http),
  };
}

absl::StatusOr<std::unique_ptr<Provisioner::Renewed>> Provisioner::ReadCertificates(
    const v1::ProvisionerConfig& config) {
  auto renewed = std::make_unique<Renewed>();
  if (!config.gateway_ca_file().empty()) {
    const tls::Options options{
        .role = tls::Role::kClient,
        .certificate = {.field = "provisioner.certificate_file", .path = config.certificate_file()},
        .key = {.field = "provisioner.key_file", .path = config.key_file()},
        .ca = {.field = "provisioner.gateway_ca_file", .path = config.gateway_ca_file()}};
    LH_ASSIGN_OR_RETURN(renewed->gateway, renewed->watcher.Watch("gateway", options));
  }
  if (!config.http_certificate_file().empty()) {
    const tls::Options options{
        .role = tls::Role::kServer,
        .certificate = {.field = "provisioner.http_certificate_file", .path = config.http_certificate_file()},
        .key = {.field = "provisioner.http_key_file", .path = config.http_key_file()},
        .ca = {.field = "provisioner.http_client_ca_file", .path = config.http_client_ca_file()}};
    LH_ASSIGN_OR_RETURN(renewed->http, renewed->watcher.Watch("http", options));
  }
  return renewed;
}

absl::StatusOr<std::unique_ptr<Provisioner>> Provisioner::Make(const v1::Config& config,
                                                               const v1::ServiceConfig& service,
                                                               const Environment& environment,
                                                               std::function<void()> on_new_role_key) {
  LH_ASSIGN_OR_RETURN(Settings settings, Read(config, service, environment));
  LH_ASSIGN_OR_RETURN(auto renewed, ReadCertificates(config.provisioner()));
  LH_ASSIGN_OR_RETURN(const jetstream::Security nats_security,
                      jetstream::ReadSecurity(config.nats(), environment, renewed->watcher));
  std::unique_ptr<Provisioner> provisioner(new Provisioner(std::move(settings), std::move(renewed)));
  LH_ASSIGN_OR_RETURN(
      provisioner->spans_,
      SpanExport::Start(config.tracing(),
                        {.service = std::format("leasehold-provisioner-{}", provisioner->instance_.service().str()),
                         .instance = provisioner->instance_.process(),
                         .version = std::string(Version())},
                        environment, provisioner->metrics_));
  LH_RETURN_IF_ERROR(provisioner->WatchRoleKey(service.instance().role_key_file(), std::move(on_new_role_key)));
  LH_RETURN_IF_ERROR(provisioner->endpoint_.Start(provisioner->http_));
  LH_RETURN_IF_ERROR(provisioner->Connect(config.nats().url(), nats_security));
  return provisioner;
}

absl::Status Provisioner::Check(const v1::Config& config, const v1::ServiceConfig& service,
                                const Environment& environment) {
  LH_RETURN_IF_ERROR(Read(config, service, environment).status());
  LH_ASSIGN_OR_RETURN(const auto renewed, ReadCertificates(config.provisioner()));
  LH_RETURN_IF_ERROR(ReadOtlpHeaders(environment).status());
  return jetstream::ReadSecurity(config.nats(), environment, renewed->watcher).status();
}

Provisioner::Provisioner(Settings settings, std::unique_ptr<Renewed> renewed)
    : renewed_(std::move(renewed)),
      http_(settings.http),
      replicas_(settings.replicas),
      metrics_(renewed_->metrics),
      health_(clock_),
      own_metrics_(AddDaemonMetrics(health_, metrics_)),
      endpoint_(health_, metrics_, {}, renewed_->http),
      instance_(std::move(settings.instance)),
      central_(instance_.AsLogin(instance_.central_database()), settings.reconciler.parallelism + kMoreConnections,
               &clock_),
      records_(central_, clock_),
      desired_(settings.gateway, settings.service, renewed_->gateway, settings.token_file),
      instance_health_(health_, "instance", [this] { reconciler_.RequestPass(); }),
      gateway_health_(health_, "gateway"),
      nats_health_(health_, "nats", [this] { reconciler_.RequestPass(); }),
      reconciler_(
          std::move(settings.reconciler),
          {.instance = instance_,
           .central = central_,
           .records = records_,
           .desired = desired_,
           .instance_health = instance_health_,
           .gateway_health = gateway_health_,
           .clock = clock_,
           .metrics = metrics_,
           .on_status = [this] { reporter_->Wake(); },
           .on_settled = [this](TenantRecord status) { reporter_->Report(std::move(status)); },
           .on_copying = [this](const TenantId& id, const v1::CopyStatus& copy) { reporter_->Report(id, copy); },
           .on_prepared = [this] { StartReaders(); },
           .on_claim = OnClaim(settings.spares)}),
      backups_(std::move(settings.backups),
               {.instance = instance_,
                .central = central_,
                .tenants = records_,
                .source = desired_,
                .clock = clock_,
                .metrics = metrics_,
                .report = [this](const BackupRecord& record) { return ReportBackup(record); }}),
      spares_(std::move(settings.spares),
              {.instance = instance_,
               .clock = clock_,
               .metrics = metrics_,
               .await_quiet = [this](absl::Duration patience) { return reconciler_.AwaitQuiet(patience); }}),
      rollout_(std::move(settings.rollout), {.instance = instance_,
                                             .central = central_,
                                             .clock = clock_,
                                             .metrics = metrics_,
                                             .on_status = [this] { reporter_->Wake(); }}),
      migration_calls_(rollout_),
      instance_calls_({.start_time = clock_.Now(),
                       .min_spares = spares_.options().min_spares,
                       .max_spares = spares_.options().max_spares},
                      {.instance = instance_, .central = central_, .runs = rollout_.store(), .compared = [this] {
                         return reconciler_.compared();
                       }}) {
  // Without the gateway a provisioner still does its work.
  for (const char* component : {"instance", "nats"}) health_.Require(component);
}

std::function<void(bool)> Provisioner::OnClaim(const SpareKeeper::Options& options) {
  if (options.max_spares == 0) return nullptr;
  return [this](bool found) { spares_.Claimed(found); };
}

absl::Status Provisioner::WatchRoleKey(const std::string& path, std::function<void()> on_new_role_key) {
  return renewed_->role_key.WatchSecret(
      std::format("role key of {}", instance_.service().str()), path,
      [known = instance_.KeyFingerprint(), on_new = std::move(on_new_role_key)](std::string_view text) -> absl::Status {
        LH_ASSIGN_OR_RETURN(const RoleKeys keys, RoleKeys::Parse(text));
        if (keys.current().Fingerprint() != known) on_new();
        return absl::OkStatus();
      });
}

absl::Status Provisioner::Connect(const std::string& nats_url, const jetstream::Security& security) {
  const ServiceName& service = instance_.service();
  LH_ASSIGN_OR_RETURN(
      nats_, jetstream::Connect({.url = nats_url,
                                 .name = std::format("provisioner/{}", service.str()),
                                 .on_state = [this](const absl::Status& status) { nats_health_.Note(status); }},
                                security));
  reporter_ =
      std::make_unique<StatusReporter>(*nats_, records_, service, metrics_, [this](const absl::Status& refused) {
        if (refused.ok()) {
          reconciler_.RequestPass();
        } else {
          (void)desired_.ReportTrouble(instance_.process(), std::string(ClientText(refused)));
        }
      });
  events_ = std::make_unique<TenantEvents>(
      *nats_, service, replicas_,
      [this](const TenantId& id, const Desire& desire) {
        if (desire.backup) backups_.Wake();
        return reconciler_.Want(id, desire);
      },
      [this] { reconciler_.RequestPass(); }, metrics_);
  return absl::OkStatus();
}

Provisioner::~Provisioner() { Stop(absl::InfiniteDuration()); }

absl::Status Provisioner::ReportBackup(const BackupRecord& record) {
  return PublishBackup(*nats_, instance_.service(), record.tenant, record.status_version,
                       StatusOf(record, instance_.service()));
}

absl::Status Provisioner::Start() {
  renewed_->watcher.Start();
  renewed_->role_key.Start();
  reconciler_.Start();
  spares_.Start();
  events_->Start();
  LH_ASSIGN_OR_RETURN(migration_responder_,
                      nats_->Respond(MigrationSubject(instance_.service()), "provisioners",
                                     [this](std::string_view call) { return migration_calls_.Answer(call); }));
  LH_ASSIGN_OR_RETURN(second_migration_responder_,
                      nats_->Respond(MigrationSubjectOfAll(instance_.service()), /*queue=*/"",
                                     [this](std::string_view call) { return migration_calls_.Answer(call); }));
  LH_ASSIGN_OR_RETURN(instance_responder_,
                      nats_->Respond(InstanceSubject(instance_.service()), "provisioners",
                                     [this](std::string_view call) { return instance_calls_.Answer(call); }));
  LH_ASSIGN_OR_RETURN(second_instance_responder_,
                      nats_->Respond(InstanceSubjectOfAll(instance_.service()), /*queue=*/"",
                                     [this](std::string_view call) { return instance_calls_.Answer(call); }));
  return absl::OkStatus();
}

void Provisioner::StartReaders() {
  const absl::MutexLock lock(&mu_);
  if (stopping_) return;
  backups_.Start();
  rollout_.Start();
  reporter_->Start();
}

bool Provisioner::Stop(absl::Duration patience) {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  migration_responder_.reset();
  second_migration_responder_.reset();
  instance_responder_.reset();
  second_instance_responder_.reset();
  if (events_ != nullptr) events_->Stop();
  backups_.Stop();
  spares_.RequestStop();
  rollout_.RequestStop();
  if (!reconciler_.Stop(patience) || !spares_.Stop(patience) || !rollout_.Stop(patience)) return false;
  if (reporter_ != nullptr) reporter_->Stop();
  endpoint_.Stop();
  nats_.reset();
  return true;
}

}  // namespace leasehold::provisioner
