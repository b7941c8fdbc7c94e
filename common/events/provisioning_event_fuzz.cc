// As tenant_event_fuzz.cc, for what provisioners report.
#include <google/protobuf/util/message_differencer.h>

#include "absl/log/absl_check.h"
#include "common/events/events.h"
#include "common/events/fuzz_message.h"
#include "common/status/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using leasehold::ReasonOf;
  namespace events = leasehold::events;
  const events::FuzzMessage message = events::ParseFuzzMessage(data, size);
  const auto event = events::DecodeProvisioningEvent(message.subject, message.headers, message.payload);
  if (!event.ok()) {
    ABSL_CHECK_EQ(ReasonOf(event.status()), leasehold::v1::REASON_MALFORMED_EVENT);
    return 0;
  }
  leasehold::v1::EventEnvelope envelope;
  envelope.set_id("1");
  envelope.set_source("fuzz");
  const std::string what = message.subject.substr(message.subject.rfind('.') + 1);
  const events::Encoded encoded = events::EncodeProvisioningEvent(envelope, what, *event);
  ABSL_CHECK_EQ(encoded.subject, message.subject);
  const auto again = events::DecodeProvisioningEvent(encoded.subject, encoded.headers, encoded.payload);
  ABSL_CHECK(again.ok()) << again.status();
  ABSL_CHECK(google::protobuf::util::MessageDifferencer::Equals(*event, *again));
  return 0;
}
