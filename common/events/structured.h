// JSON in structured mode.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/events/envelope.h"
#include "leasehold/v1/event.pb.h"

namespace leasehold::events {

inline constexpr int kMaxJsonDepth = 32;

struct StructuredEvent {
  Attributes attributes;
  v1::TenantEvent data;  // types are right, grammars are unchecked
};

// Bounded before it is parsed. Unknown members are ignored; a known one of the wrong type is refused by its name.
absl::StatusOr<StructuredEvent> ParseStructured(std::string_view payload);

std::string WriteStructured(const v1::EventEnvelope& envelope, const v1::TenantEvent& data);

}  // namespace leasehold::events
