#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <array>
#include <format>
#include <ranges>
#include <utility>
#include <vector>

#include "common/events/envelope.h"
#include "common/events/events.h"
#include "common/events/refusal.h"
#include "common/identity/identity.h"
#include "common/status/error.h"

namespace leasehold::events {
namespace {

constexpr size_t kMaxMessageBytes = 4096;
constexpr std::string_view kBackup = "backup";
constexpr std::string_view kCopying = "copying";

constexpr std::array<std::pair<std::string_view, v1::ServiceState>, 6> kVerbs = {{
    {"ready", v1::SERVICE_STATE_READY},
    {"failed", v1::SERVICE_STATE_FAILED},
    {"closed", v1::SERVICE_STATE_CLOSED},
    {"removed", v1::SERVICE_STATE_REMOVED},
    {kBackup, v1::SERVICE_STATE_UNSPECIFIED},   // speaks of a backup instead
    {kCopying, v1::SERVICE_STATE_UNSPECIFIED},  // of a copy
}};

std::string TypeOf(std::string_view what) { return std::format("leasehold.provisioning.{}.v1", what); }

struct Subject {
  ServiceName service;
  TenantId tenant;
  std::string_view what;
  v1::ServiceState state;
};

absl::StatusOr<Subject> ParseSubject(std::string_view subject) {
  constexpr std::string_view kAllowed = "provisioning.<service>.<id>.ready|failed|closed|removed|backup|copying";
  std::vector<std::string_view> tokens;
  for (const auto token : std::views::split(subject, '.')) tokens.emplace_back(token.begin(), token.end());
  if (tokens.size() != 4 || tokens[0] != "provisioning") return Malformed("subject", subject, kAllowed);
  const auto verb = std::ranges::find(kVerbs, tokens[3], &decltype(kVerbs)::value_type::first);
  if (verb == kVerbs.end()) return Malformed("subject", subject, kAllowed);
  auto service = ServiceName::Parse(tokens[1]);
  LH_RETURN_IF_ERROR(AsMalformed(service.status(), "subject"));
  auto tenant = TenantId::Parse(tokens[2]);
  LH_RETURN_IF_ERROR(AsMalformed(tenant.status(), "subject"));
  return Subject{.service = *service, .tenant = *tenant, .what = verb->first, .state = verb->second};
}

absl::Status CheckEqual(std::string_view field, std::string_view value, std::string_view expected) {
  if (value == expected) return absl::OkStatus();
  return Malformed(field, value, std::format("{}, as the subject says", expected));
}

bool IsHex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

absl::Status CheckStatus(const Subject& subject, const v1::ServiceStatus& status) {
  LH_RETURN_IF_ERROR(CheckEqual("data.status.service", status.service(), subject.service.str()));
  LH_RETURN_IF_ERROR(
      CheckEqual("data.status.state", v1::ServiceState_Name(status.state()), v1::ServiceState_Name(subject.state)));
  if (status.generation() < 0) {
    return Malformed("data.status.generation", std::format("{}", status.generation()), "0 and up");
  }
  if (!status.database().empty()) {
    LH_RETURN_IF_ERROR(
        CheckEqual("data.status.database", status.database(), TenantDatabaseName(subject.tenant, subject.service)));
  }
  const std::string& database_id = status.database_id();
  if (!database_id.empty() && (database_id.size() != 16 || !IsHex(database_id)))
    return Malformed("data.status.database_id", database_id, "16 hex digits, or empty");
  if (!status.message().empty()) {
    LH_RETURN_IF_ERROR(CheckLine("data.status.message", status.message(), kMaxMessageBytes));
  }
  return absl::OkStatus();
}

absl::Status CheckBackup(const Subject& subject, const v1::BackupStatus& status) {
  LH_RETURN_IF_ERROR(CheckEqual("data.backup.service", status.service(), subject.service.str()));
  if (status.state() == v1::BACKUP_STATE_UNSPECIFIED || !v1::BackupState_IsValid(status.state())) {
    return Malformed("data.backup.state", std::format("{}", static_cast<int>(status.state())), "a state of a backup");
  }
  const std::string prefix = subject.tenant.str() + ".";
  const std::string_view generation =
      std::string_view(status.backup()).substr(std::min(prefix.size(), status.backup().size()));
  if (!status.backup().starts_with(prefix) || generation.empty() || generation.size() > 19 ||
      generation.front() == '0' || !std::ranges::all_of(generation, [](char c) { return c >= '0' && c <= '9'; })) {
    return Malformed("data.backup.backup", status.backup(), "<the subject's tenant>.<generation>");
  }
  const std::string& digest = status.manifest_sha256();
  if (!digest.empty() && (digest.size() != 64 || !IsHex(digest))) {
    return Malformed("data.backup.manifest_sha256", digest, "64 hex digits, or empty");
  }
  if (status.bytes() < 0 || status.attempts() < 0) {
    return Malformed("data.backup", std::format("{} bytes, {} attempts", status.bytes(), status.attempts()),
                     "0 and up");
  }
  return status.message().empty() ? absl::OkStatus()
                                  : CheckLine("data.backup.message", status.message(), kMaxMessageBytes);
}

absl::Status CheckCopy(const Subject& subject, const v1::CopyStatus& status) {
  LH_RETURN_IF_ERROR(CheckEqual("data.copy.service", status.service(), subject.service.str()));
  if (status.generation() < 1) {
    return Malformed("data.copy.generation", std::format("{}", status.generation()), "1 and up");
  }
  if (status.bytes() < 0 || status.total_bytes() < 0) {
    return Malformed("data.copy", std::format("{} of {} bytes", status.bytes(), status.total_bytes()), "0 and up");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::ProvisioningEvent> DecodeProvisioningEvent(std::string_view subject,
                                                              const jetstream::Headers& headers,
                                                              std::string_view payload) {
  if (payload.size() > kMaxEventBytes) {
    return Malformed("event", std::format("{} bytes", payload.size()), std::format("at most {} bytes", kMaxEventBytes));
  }
  LH_ASSIGN_OR_RETURN(const Subject route, ParseSubject(subject));
  LH_ASSIGN_OR_RETURN(const Mode mode, ModeOf(headers));
  if (mode != Mode::kBinary) return Malformed("content-type", kStructuredJson, kProtobuf);
  LH_ASSIGN_OR_RETURN(const v1::EventEnvelope envelope, ReadEnvelope(AttributesOf(headers)));
  LH_RETURN_IF_ERROR(CheckAgreement(envelope, TypeOf(route.what), route.tenant.str()));
  v1::ProvisioningEvent event;
  const google::protobuf::LogSilencer quiet;  // a stranger's bytes do not write our log
  if (!event.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Malformed("data", payload, "the bytes of a leasehold.v1.ProvisioningEvent");
  }
  event.DiscardUnknownFields();
  LH_RETURN_IF_ERROR(CheckEqual("data.tenant", event.tenant(), route.tenant.str()));
  if (route.what == kBackup) {
    event.clear_status();
    event.clear_copy();
    LH_RETURN_IF_ERROR(CheckBackup(route, event.backup()));
  } else if (route.what == kCopying) {
    event.clear_status();
    event.clear_backup();
    LH_RETURN_IF_ERROR(CheckCopy(route, event.copy()));
  } else {
    event.clear_backup();
    event.clear_copy();
    LH_RETURN_IF_ERROR(CheckStatus(route, event.status()));
  }
  return event;
}

Encoded EncodeProvisioningEvent(const v1::EventEnvelope& envelope, std::string_view what,
                                const v1::ProvisioningEvent& data) {
  v1::EventEnvelope own = envelope;
  own.set_type(TypeOf(what));
  own.set_subject(data.tenant());
  const std::string& service = data.has_backup() ? data.backup().service()
                               : data.has_copy() ? data.copy().service()
                                                 : data.status().service();
  return {.subject = std::format("provisioning.{}.{}.{}", service, data.tenant(), what),
          .headers = BinaryHeaders(own),
          .payload = data.SerializeAsString(),
          .message_id = own.id()};
}

}  // namespace leasehold::events
