// CloudEvents 1.0 over NATS: JSON in structured mode, protobuf in binary mode with ce-* headers. Decoding is bounded:
// at most 512 KiB, JSON depth 32; anything else is MALFORMED_EVENT with field, value and what is allowed, never a
// crash.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/jetstream/jetstream.h"
#include "leasehold/v1/event.pb.h"

namespace leasehold::events {

// Room for 64 settings of 4 KiB in protobuf; NATS itself takes 1 MiB.
inline constexpr size_t kMaxEventBytes = 512 * 1024;
inline constexpr std::string_view kTypePrefix = "leasehold.tenant.";

struct TenantEvent {
  v1::EventEnvelope envelope;
  v1::TenantEvent data;  // id, name, domain and settings checked against their grammars
  std::string what;      // created, updated, suspended, resumed, deleted
  // Of the message's header `traceparent`, else of the envelope. An event that came without a valid one begins a trace:
  // the same one wherever it is read.
  Trace trace{};
};

// `subject`: tenants.<id>.<what>; its id and verb must agree with the event's.
absl::StatusOr<TenantEvent> DecodeTenantEvent(std::string_view subject, const jetstream::Headers& headers,
                                              std::string_view payload);
absl::StatusOr<v1::ProvisioningEvent> DecodeProvisioningEvent(std::string_view subject,
                                                              const jetstream::Headers& headers,
                                                              std::string_view payload);

struct Encoded {
  std::string subject;
  jetstream::Headers headers;
  std::string payload;
  std::string message_id;  // envelope.id
};

// The envelope's traceparent is the message's header `traceparent` too.
//
// Structured JSON, so that people and other services can read what the gateway says; in binary mode if that came to
// more than kMaxEventBytes. `what`: created, updated, … Type and subject of `envelope` are set from `what` and `data`.
Encoded EncodeTenantEvent(const v1::EventEnvelope& envelope, std::string_view what, const v1::TenantEvent& data);
// Binary mode; `what`: ready, failed, closed, removed; backup or copying, if `data` speaks of that.
Encoded EncodeProvisioningEvent(const v1::EventEnvelope& envelope, std::string_view what,
                                const v1::ProvisioningEvent& data);

// Parks a message that cannot be understood: publishes it with the reason on `provisioning.dead.<consumer>` (the
// service's name, or "registry") as the JSON of a ParkedEvent, then Term()s it; Nak()s it if publishing failed. Blocks.
// The caller counts and logs. What is parked already is only Term()ed.
absl::Status Park(jetstream::Client& client, std::string_view consumer, std::string_view stream,
                  const absl::Status& reason, jetstream::Message& message);

}  // namespace leasehold::events
