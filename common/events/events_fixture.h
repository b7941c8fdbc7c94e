// What the tests of events have in common.
#pragma once

#include <gtest/gtest.h>

#include "common/status/error.h"
#include "leasehold/v1/event.pb.h"

namespace leasehold::events {

inline v1::ErrorDetail Refusal(const absl::Status& status) {
  EXPECT_EQ(ReasonOf(status), v1::REASON_MALFORMED_EVENT) << status;
  return DetailOf(status).value_or(v1::ErrorDetail());
}

inline v1::EventEnvelope Envelope() {
  v1::EventEnvelope envelope;
  envelope.set_id("acme.3");
  envelope.set_source("leasehold-gateway");
  envelope.mutable_time()->set_seconds(1'767'225'600);
  envelope.mutable_time()->set_nanos(123'000'000);
  envelope.set_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  return envelope;
}

}  // namespace leasehold::events
