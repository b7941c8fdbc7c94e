// Migrations as people read them.
#pragma once

#include <string>
#include <vector>

#include "google/protobuf/repeated_ptr_field.h"
#include "leasehold/v1/migration.pb.h"
#include "services/cli/show.h"

namespace leasehold::cli {

std::string Word(v1::MigrationKind kind);
std::string Word(v1::MigrationRunState state);
std::string Word(v1::MigrationTaskState state);

// Counts, the newest run, and the databases that are behind or differ; `all`: every database.
std::string ShowMigrationStatus(const v1::MigrationStatus& status, bool all, const View& view);
std::string ShowPlan(const v1::MigrationPlan& plan, const View& view);
std::string ShowRuns(const google::protobuf::RepeatedPtrField<v1::MigrationRun>& runs, const View& view);
// What became of it, in one line, then who failed, and what was found; what is the same in several databases once.
std::string ShowRun(const v1::MigrationRun& run, const std::vector<v1::MigrationTask>& tasks, const View& view);
// "tenant_acme_identity: 0003_x.sql line 5, statement 3 (23505): could not create unique index
// "x": CREATE UNIQUE INDEX …"
std::string FailureLine(const v1::MigrationTask& task);

}  // namespace leasehold::cli
