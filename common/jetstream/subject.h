// What may be put on the wire as a subject or a header: nats.c sends it as it is.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "common/jetstream/jetstream.h"

namespace leasehold::jetstream {

// INVALID_FIELD unless `subject` can be published to: non-empty tokens between dots, no blanks, no control characters,
// no wildcards; at most 512 bytes.
absl::Status CheckSubject(std::string_view subject);

// INVALID_FIELD unless each name is a token and no value holds a line break.
absl::Status CheckHeaders(const Headers& headers);

// INVALID_FIELD unless `name` is 1 to 64 letters, digits, `-` and `_`, as durables and buckets need it.
absl::Status CheckName(std::string_view field, std::string_view name);

// INVALID_FIELD unless `key` is 1 to 256 letters, digits and `-_.=/`, with no dot at either end and no two dots in a
// row.
absl::Status CheckKey(std::string_view key);

}  // namespace leasehold::jetstream
