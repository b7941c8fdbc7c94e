#include "services/provisioner/overview/instance_calls.h"

#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/status/error.h"
#include "common/telemetry/level.h"
#include "common/version/version.h"
#include "services/provisioner/overview/databases.h"
#include "services/provisioner/steps/answer.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kReadySpares = "SELECT count(*) FROM leasehold.spares WHERE state = 'ready'";
constexpr std::string_view kOutdatedSecrets =
    "SELECT count(*) FROM leasehold.tenants WHERE desired <> 'absent' AND database_id IS NOT NULL AND role_key <> $1";

absl::StatusOr<v1::LogLevel> LogLevelAfter(const v1::LogLevelRequest& request) {
  if (request.level() != v1::LOG_LEVEL_UNSPECIFIED) {
    LH_ASSIGN_OR_RETURN(const Level level, LevelOf(request.level()));
    ChangeLogLevel(level);
  }
  return ToProto(CurrentLogLevel());
}

}  // namespace

std::string InstanceCalls::Answer(std::string_view call) {
  return AnswerTo<v1::InstanceCall, v1::InstanceAnswer>(
      call, "an InstanceCall", "looking at the instance",
      [this](const v1::InstanceCall& parsed, v1::InstanceAnswer& answer) { return Fill(parsed, answer); });
}

absl::Status InstanceCalls::Fill(const v1::InstanceCall& call, v1::InstanceAnswer& answer) {
  switch (call.call_case()) {
    case v1::InstanceCall::kStatus: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_status(), Status(call.status()));
      return absl::OkStatus();
    }
    case v1::InstanceCall::kInstance: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_instance(), LookAt(*parts_.central.Take(), parts_.instance, call.instance()));
      return absl::OkStatus();
    }
    case v1::InstanceCall::kLogLevel: {
      LH_ASSIGN_OR_RETURN(const v1::LogLevel level, LogLevelAfter(call.log_level()));
      answer.set_log_level(level);
      return absl::OkStatus();
    }
    case v1::InstanceCall::CALL_NOT_SET:
      break;
  }
  return InvalidField("call", "", "a call that this provisioner knows");
}

absl::StatusOr<v1::ProvisionerStatus> InstanceCalls::Status(const v1::ProvisionerStatusRequest& request) {
  v1::ProvisionerStatus status;
  status.set_version(std::string(Version()));
  status.set_commit(std::string(Commit()));
  *status.mutable_start_time() = FromTime(options_.start_time);
  status.set_spares_min(options_.min_spares);
  status.set_spares_max(options_.max_spares);
  LH_ASSIGN_OR_RETURN(const pqxx::result spares, parts_.central.Take()->ExecAlone(kReadySpares));
  status.set_spares_ready(spares[0][0].as<int>());
  status.set_role_key(parts_.instance.KeyFingerprint());
  if (request.count_outdated_secrets() && parts_.compared()) {
    LH_ASSIGN_OR_RETURN(const pqxx::result outdated,
                        parts_.central.Take()->ExecAlone(kOutdatedSecrets, {status.role_key()}));
    status.set_outdated_secrets(outdated[0][0].as<int64_t>());
  }
  LH_ASSIGN_OR_RETURN(std::vector<StoredRun> newest, parts_.runs.Newest(1));
  if (newest.empty()) return status;
  *status.mutable_run() = std::move(newest.front().run);
  status.mutable_run()->clear_files();
  status.mutable_run()->clear_findings();
  return status;
}

}  // namespace leasehold::provisioner
