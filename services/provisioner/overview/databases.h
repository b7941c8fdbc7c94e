// An instance's databases with their sizes, sessions and transactions: what people ask pg_database and
// pg_stat_activity by hand.
#pragma once

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/instance.pb.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// `central`: as the login, to any database. One transaction that only reads, of at most eight seconds: sizes take about
// as long as there are files. INVALID_FIELD for a limit or an order that there is not, or what is no tenant's id.
absl::StatusOr<v1::Instance> LookAt(postgres::Connection& central, const Instance& instance,
                                    const v1::ListInstancesRequest& request);

}  // namespace leasehold::provisioner
