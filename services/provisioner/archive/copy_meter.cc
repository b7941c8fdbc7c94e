#include "services/provisioner/archive/copy_meter.h"

#include <algorithm>
#include <utility>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

constexpr absl::Duration kTellEvery = absl::Seconds(1);

}  // namespace

absl::StatusOr<int64_t> SizeOf(postgres::Connection& connection, const std::string& database) {
  LH_ASSIGN_OR_RETURN(const pqxx::result size, connection.ExecAlone("SELECT pg_database_size($1::name)", {database}));
  return size[0][0].as<int64_t>();
}

CopyMeter::CopyMeter(postgres::Connection& central, const Clock& clock, std::string database, const Tell& tell)
    : central_(central), clock_(clock), database_(std::move(database)), tell_(tell) {}

void CopyMeter::Begin(int64_t original_bytes) {
  const absl::StatusOr<int64_t> size = SizeOf(central_, database_);
  if (!size.ok()) return;
  empty_bytes_ = *size;
  total_ = std::max<int64_t>(0, original_bytes - *size);
}

void CopyMeter::Look() {
  const absl::Time now = clock_.Now();
  if (now < look_at_) return;
  look_at_ = now + kTellEvery;
  if (const auto bytes = CopiedBytes()) tell_({.bytes = *bytes, .total = total_});
}

void CopyMeter::End() {
  if (const auto bytes = CopiedBytes()) tell_({.bytes = *bytes, .total = *bytes});
}

std::optional<int64_t> CopyMeter::CopiedBytes() {
  if (!empty_bytes_.has_value()) return std::nullopt;
  const absl::StatusOr<int64_t> size = SizeOf(central_, database_);
  if (!size.ok()) return std::nullopt;
  return std::max<int64_t>(0, *size - *empty_bytes_);
}

}  // namespace leasehold::provisioner
