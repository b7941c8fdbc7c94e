// How far the filling of a database is, by what it takes on disk: pg_restore loads in one transaction, of which nobody
// else sees more than that. An empty database's size is left out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

struct Copied {
  bool operator==(const Copied&) const = default;
  int64_t bytes = 0;
  int64_t total = 0;  // what the original takes, as an estimate; 0: not known
};

// One copy. The connection's thread.
class CopyMeter {
 public:
  using Tell = std::function<void(const Copied&)>;

  // `central`: of a login that may connect to `database`, which is empty until Begin() has returned. `tell` must not
  // block. All but the name outlive this.
  CopyMeter(postgres::Connection& central, const Clock& clock, std::string database, const Tell& tell);

  // `original_bytes`: pg_database_size() of what is copied; 0: not known.
  void Begin(int64_t original_bytes);
  // Tells how far it is, about once a second however often it is called; nothing if that cannot be found out.
  void Look();
  // All is there: tells what it has come to.
  void End();

 private:
  std::optional<int64_t> CopiedBytes();

  postgres::Connection& central_;
  const Clock& clock_;
  const std::string database_;
  const Tell& tell_;
  std::optional<int64_t> empty_bytes_;
  int64_t total_ = 0;
  absl::Time look_at_ = absl::InfinitePast();
};

// pg_database_size().
absl::StatusOr<int64_t> SizeOf(postgres::Connection& connection, const std::string& database);

}  // namespace leasehold::provisioner
