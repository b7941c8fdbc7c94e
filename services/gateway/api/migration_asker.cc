#include "services/gateway/api/migration_asker.h"

#include <format>

#include "common/events/migration_subject.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/gateway/api/ask_provisioner.h"

namespace leasehold::gateway {
namespace {

constexpr int kThreads = 4;
constexpr size_t kCallIdBytes = 16;
constexpr absl::Duration kPatience = absl::Seconds(10);
// Then the others are asked too: NATS goes on choosing one that stands still until it misses its pings, minutes later.
constexpr absl::Duration kPatienceWithOne = absl::Seconds(2);

}  // namespace

MigrationAsker::MigrationAsker(jetstream::Client& nats, const KnownServices& services, const AuditRecorder* audit)
    : nats_(nats), services_(services), audit_(audit), executor_("migrations", kThreads) {}

absl::StatusOr<v1::MigrationAnswer> MigrationAsker::Ask(std::string_view service, const v1::MigrationCall& call) {
  LH_ASSIGN_OR_RETURN(const ServiceName name, ServiceName::Parse(service));
  LH_RETURN_IF_ERROR(services_.Check(name));
  const bool changes = call.has_start() || call.has_cancel() || call.has_resume();
  if (changes && audit_ != nullptr) LH_RETURN_IF_ERROR(audit_->Admit());
  v1::MigrationCall named = call;
  if (changes) named.set_id(RandomHex(kCallIdBytes));
  return AskProvisioner<v1::MigrationAnswer>(nats_,
                                             {.service = name,
                                              .subject = MigrationSubject(name),
                                              .subject_of_all = MigrationSubjectOfAll(name),
                                              .patience = kPatience,
                                              .patience_with_one = kPatienceWithOne},
                                             named);
}

absl::StatusOr<std::string> MigrationAsker::ServiceOf(std::string_view run) {
  const size_t dot = run.rfind('.');
  if (dot == std::string_view::npos || !ServiceName::Parse(run.substr(0, dot)).ok()) {
    return Error(
        v1::REASON_OPERATION_NOT_FOUND,
        std::format("there is no run {}; the id of one is <service>.<number>, e.g. identity.7", Printable(run)));
  }
  return std::string(run.substr(0, dot));
}

}  // namespace leasehold::gateway
