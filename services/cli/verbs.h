// The verbs of the command line; each is in the file of its name.
#pragma once

#include "services/cli/command.h"

namespace leasehold::cli {

inline constexpr char kAbout[] = "Leasehold: a database for every tenant in every service, and leases on them";

// All of them.
void AddCommands(CLI::App& app, Command& command);

void AddTenant(CLI::App& app, Command& command);
void AddLease(CLI::App& app, Command& command);
void AddPsql(CLI::App& app, Command& command);
void AddOperation(CLI::App& app, Command& command);
void AddBackup(CLI::App& app, Command& command);
void AddMigrate(CLI::App& app, Command& command);
void AddPolicy(CLI::App& app, Command& command);
void AddStatus(CLI::App& app, Command& command);
void AddInstances(CLI::App& app, Command& command);
void AddTop(CLI::App& app, Command& command);
void AddPools(CLI::App& app, Command& command);
void AddDoctor(CLI::App& app, Command& command);
void AddAudit(CLI::App& app, Command& command);
void AddKeys(CLI::App& app, Command& command);
void AddLog(CLI::App& app, Command& command);
void AddDevCerts(CLI::App& app, Command& command);
void AddStack(CLI::App& app, Command& command);
void AddToken(CLI::App& app, Command& command);
void AddCompletion(CLI::App& app, Command& command);
void AddMan(CLI::App& app, Command& command);
void AddVersion(CLI::App& app, Command& command);

// `tenant watch`, which AddTenant puts under `tenant`.
void AddTenantWatch(CLI::App& group, Command& command);

// `lease hold`, which AddLease puts under `lease`.
void AddLeaseHold(CLI::App& group, Command& command);

}  // namespace leasehold::cli
