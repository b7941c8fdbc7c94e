// The headers by which a collector knows its senders: an API key, a tenant of the collector's.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/environment.h"
#include "common/secret/secret.h"

namespace leasehold {

inline constexpr char kOtlpHeaders[] = "OTEL_EXPORTER_OTLP_HEADERS";

// Names as they were given; each once, whatever its case.
using OtlpHeaders = std::vector<std::pair<std::string, Secret>>;

// Lines `Name: value`; empty ones and those that begin with # count for nothing. At most 32 headers, names of 128 and
// values of 4096 printable bytes; none that HTTP needs for itself. INVALID_FIELD names the line, never the value.
absl::StatusOr<OtlpHeaders> ParseOtlpHeaderLines(std::string_view text);

// The text of OTEL_EXPORTER_OTLP_HEADERS: `name=value,name=value`, values percent-encoded. As above; names the member
// by its number.
absl::StatusOr<OtlpHeaders> ParseOtlpHeaderList(std::string_view text);

// `over`'s are added to `headers`, or take the place of those of the same name.
OtlpHeaders Merged(OtlpHeaders headers, const OtlpHeaders& over);

// The file that LEASEHOLD_OTLP_HEADERS_FILE names; empty: none.
std::string OtlpHeadersFile(const Environment& environment);

// Those of OTEL_EXPORTER_OTLP_HEADERS and of the file, which yields to them. INVALID_FIELD, or FAILED_PRECONDITION for
// a file that cannot be read.
absl::StatusOr<OtlpHeaders> ReadOtlpHeaders(const Environment& environment);

}  // namespace leasehold
