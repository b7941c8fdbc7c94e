// What decodes is within its grammars, and comes back the same from encoding and decoding once more. What does not
// decode is MALFORMED_EVENT.
#include <google/protobuf/util/message_differencer.h>

#include "absl/log/absl_check.h"
#include "common/events/events.h"
#include "common/events/fuzz_message.h"
#include "common/identity/identity.h"
#include "common/status/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using leasehold::ReasonOf;
  namespace events = leasehold::events;
  const events::FuzzMessage message = events::ParseFuzzMessage(data, size);
  const auto event = events::DecodeTenantEvent(message.subject, message.headers, message.payload);
  if (!event.ok()) {
    ABSL_CHECK_EQ(ReasonOf(event.status()), leasehold::v1::REASON_MALFORMED_EVENT);
    ABSL_CHECK(!leasehold::DetailOf(event.status())->allowed().empty());
    return 0;
  }
  ABSL_CHECK(leasehold::TenantId::Parse(event->data.id()).ok());
  const events::Encoded encoded = events::EncodeTenantEvent(event->envelope, event->what, event->data);
  const auto again = events::DecodeTenantEvent(encoded.subject, encoded.headers, encoded.payload);
  ABSL_CHECK(again.ok()) << again.status();
  ABSL_CHECK(google::protobuf::util::MessageDifferencer::Equals(event->data, again->data));
  return 0;
}
