#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <format>

#include "common/events/events.h"
#include "common/status/error.h"

namespace leasehold::events {
namespace {

constexpr size_t kMaxParkedBytes = 64 * 1024;
constexpr absl::Duration kRetryDelay = absl::Seconds(1);
constexpr std::string_view kDead = "provisioning.dead.";

}  // namespace

absl::Status Park(jetstream::Client& client, std::string_view consumer, std::string_view stream,
                  const absl::Status& reason, jetstream::Message& message) {
  // Parking what is parked would go on for ever, should a consumer be set up to read it.
  if (message.subject().starts_with(kDead)) {
    message.Term();
    return absl::OkStatus();
  }
  v1::ParkedEvent parked;
  parked.set_stream(std::string(stream));
  parked.set_subject(Printable(message.subject(), 512));
  parked.set_sequence(message.stream_sequence());
  parked.set_reason(std::string(ClientText(reason)));
  parked.set_payload(std::string(message.payload().substr(0, kMaxParkedBytes)));
  *parked.mutable_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
  // JSON, because people read it.
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(parked, &json).ok()) {
    message.Nak(kRetryDelay);
    return absl::InternalError("a parked event does not become JSON");
  }
  // The same message parked twice by the same consumer, after a lost answer or a crash, is stored once.
  absl::Status published =
      client.Publish(std::format("{}{}", kDead, consumer), json, {{"content-type", "application/json"}},
                     std::format("parked/{}/{}/{}", consumer, stream, message.stream_sequence()));
  if (!published.ok()) {
    message.Nak(kRetryDelay);
    return published;
  }
  message.Term();
  return absl::OkStatus();
}

}  // namespace leasehold::events
