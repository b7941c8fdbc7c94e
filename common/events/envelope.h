// The CloudEvents 1.0 attributes, wherever they stand: members of a JSON object, or `ce-*` headers.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/jetstream/jetstream.h"
#include "leasehold/v1/event.pb.h"

namespace leasehold::events {

inline constexpr std::string_view kStructuredJson = "application/cloudevents+json";
inline constexpr std::string_view kProtobuf = "application/protobuf";

enum class Mode {
  kStructured,  // JSON, attributes and data in one object
  kBinary,      // protobuf data, attributes in headers
};
// Structured without any content-type and `ce-*` header too: publishers that speak bare NATS send no headers.
absl::StatusOr<Mode> ModeOf(const jetstream::Headers& headers);

// The attributes that Leasehold reads; extensions are ignored.
inline constexpr std::string_view kAttributes[] = {"specversion", "id",   "source",          "type",
                                                   "subject",     "time", "datacontenttype", "traceparent"};
struct Attributes {
  std::string_view prefix;  // of their names in refusals: "" or "ce-"
  std::map<std::string_view, std::string> values;
};

Attributes AttributesOf(const jetstream::Headers& headers);

// Checks what CloudEvents demands: specversion 1.0; id, source and type; a time that is one.
absl::StatusOr<v1::EventEnvelope> ReadEnvelope(const Attributes& attributes);

// The attributes of `envelope` as `ce-*` headers, and `content-type`.
jetstream::Headers BinaryHeaders(const v1::EventEnvelope& envelope);

// Refuses a type other than `type` and a subject attribute, if there is one, that is not `subject`.
absl::Status CheckAgreement(const v1::EventEnvelope& envelope, std::string_view type, std::string_view subject);

}  // namespace leasehold::events
