// Values as the columns of the provisioner's records hold them.
#pragma once

#include <iterator>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

// `table`: pairs of a value and its text, which the column's CHECK lists too.
template <typename Table, typename Value>
std::string TextOf(const Table& table, Value value) {
  for (const auto& [v, text] : table) {
    if (v == value) return std::string(text);
  }
  return "";  // refused by the column's CHECK
}

template <typename Table>
auto ValueOf(const Table& table, std::string_view text) {
  for (const auto& [v, t] : table) {
    if (t == text) return v;
  }
  return std::begin(table)->first;
}

// A timestamptz parameter.
inline std::string Timestamp(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
}

// Selected as (extract(epoch FROM …) * 1000000)::bigint.
inline absl::Time TimeOf(const pqxx::field& field) { return absl::FromUnixMicros(field.as<int64_t>()); }

}  // namespace leasehold::provisioner
