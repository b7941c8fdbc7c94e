#include "common/jetstream/nats_status.h"

#include <format>
#include <string>

#include "absl/time/time.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

bool IsUnavailable(natsStatus status, jsErrCode code) {
  switch (code) {
    case JSClusterNotAvailErr:
    case JSClusterNotLeaderErr:
    case JSStreamOfflineErr:
    case JSConsumerOfflineErr:
    case JSNotEnabledErr:
    case JSNotEnabledForAccountErr:
      return true;
    default:
      break;
  }
  switch (status) {
    case NATS_IO_ERROR:
    case NATS_CONNECTION_CLOSED:
    case NATS_NO_SERVER:
    case NATS_STALE_CONNECTION:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_INSUFFICIENT_BUFFER:
    case NATS_TIMEOUT:
    case NATS_NOT_YET_CONNECTED:
    case NATS_DRAINING:
    case NATS_NO_RESPONDERS:
    case NATS_MISSED_HEARTBEAT:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::Status NatsUnavailable() {
  return WithRetryAfter(Error(v1::REASON_NATS_UNAVAILABLE, "NATS does not answer"), absl::Seconds(1));
}

absl::Status ToStatus(natsStatus status, std::string_view doing, jsErrCode code) {
  if (status == NATS_OK) return absl::OkStatus();
  if (IsUnavailable(status, code)) return NatsUnavailable();
  natsStatus last = NATS_OK;
  const char* detail = nats_GetLastError(&last);
  std::string text = std::format("{}: {}", doing, natsStatus_GetText(status));
  if (last == status && detail != nullptr && *detail != '\0') text += std::format(": {}", detail);
  if (code != 0) text += std::format(" (JetStream error {})", static_cast<int>(code));
  if (status == NATS_NOT_FOUND || code == JSStreamNotFoundErr || code == JSConsumerNotFoundErr) {
    return absl::NotFoundError(text);
  }
  return absl::InternalError(text);
}

}  // namespace leasehold::jetstream
