// Leasehold's one error currency: absl::Status with an ErrorDetail payload. Libraries that throw or return codes are
// converted where they are called; gRPC, SQL and exit codes are made at the borders (grpc.h, sqlstate.h).
//
// A Status made here is safe to show to a stranger: its message speaks of the caller's input and of Leasehold's own
// nouns. A Status without ErrorDetail is not: the borders show ClientText(), and whoever stands at the border logs the
// original.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/status/view.h"
#include "leasehold/v1/error.pb.h"

namespace leasehold {

using v1::Reason;

// The canonical code that belongs to a reason; the table is the one in error.proto.
absl::StatusCode CodeOf(Reason reason);

// `message`: one sentence for people, starting in lower case, without a final dot.
absl::Status Error(Reason reason, std::string_view message);

// REASON_INVALID_FIELD: "<field> is '<value>'; allowed: <allowed>". `value` is cut to 100 bytes and made printable.
absl::Status InvalidField(std::string_view field, std::string_view value, std::string_view allowed);

// Adds how long to wait before trying again.
absl::Status WithRetryAfter(absl::Status status, absl::Duration wait);

// Replaces field by "<prefix>.<field>" or, if there is none, by prefix.
absl::Status WithFieldPrefix(absl::Status status, std::string_view prefix);

// Replaces field: "tenant" of TenantId::Parse becomes "id" in a request that calls it so.
absl::Status WithField(absl::Status status, std::string_view field);

std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status);

// REASON_UNSPECIFIED for OK. Without detail: REASON_DEADLINE_EXCEEDED for that code, else REASON_INTERNAL.
Reason ReasonOf(const absl::Status& status);

// "INVALID_FIELD" for REASON_INVALID_FIELD.
std::string_view ReasonName(Reason reason);

// Attaches a complete detail in place of the present one; for the gRPC border and tests.
absl::Status WithDetail(absl::Status status, const v1::ErrorDetail& detail);

// True if a stranger may read the message: OK, or made here. False means: log it, for ClientText() will not tell.
bool ClientSafe(const absl::Status& status);

// What a stranger may read: the message of a Status made here, else "internal error" ("cancelled" and "deadline
// exceeded" for these two codes). Lives as long as `status`.
std::string_view ClientText(const absl::Status& status);

// `text` with control characters and bytes that are not UTF-8 as \xNN, cut to `max_bytes` (then "…" follows).
std::string Printable(std::string_view text, size_t max_bytes = 100);

}  // namespace leasehold

// The usual pair; both return from the enclosing function on error. Their variables have names of their own each time,
// so that one may stand in a lambda inside another.
#define LH_CONCAT_INNER(a, b) a##b
#define LH_CONCAT(a, b) LH_CONCAT_INNER(a, b)

#define LH_RETURN_IF_ERROR(expr) LH_RETURN_IF_ERROR_INNER(LH_CONCAT(lh_status_, __COUNTER__), expr)
#define LH_RETURN_IF_ERROR_INNER(name, expr)      \
  do {                                            \
    if (absl::Status name = (expr); !name.ok()) { \
      return name;                                \
    }                                             \
  } while (false)

#define LH_ASSIGN_OR_RETURN(lhs, expr) LH_ASSIGN_OR_RETURN_INNER(LH_CONCAT(lh_statusor_, __COUNTER__), lhs, expr)
#define LH_ASSIGN_OR_RETURN_INNER(name, lhs, expr) \
  auto name = (expr);                              \
  if (!name.ok()) return std::move(name).status(); \
  lhs = *std::move(name)
