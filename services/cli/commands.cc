// The whole command line, in the order in which --help lists it.
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddCommands(CLI::App& app, Command& command) {
  AddTenant(app, command);
  AddLease(app, command);
  AddPsql(app, command);
  AddOperation(app, command);
  AddBackup(app, command);
  AddMigrate(app, command);
  AddPolicy(app, command);
  AddToken(app, command);
  AddStatus(app, command);
  AddInstances(app, command);
  AddTop(app, command);
  AddPools(app, command);
  AddDoctor(app, command);
  AddAudit(app, command);
  AddKeys(app, command);
  AddLog(app, command);
  AddDevCerts(app, command);
  AddStack(app, command);
  AddCompletion(app, command);
  AddMan(app, command);
  AddVersion(app, command);
}

}  // namespace leasehold::cli
