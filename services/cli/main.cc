#include "services/cli/verbs.h"

int main(int argc, char** argv) {
  using namespace leasehold;
  const Environment env = ProcessEnvironment();
  cli::Command command(env, cli::Terminal::Detect(env));

  CLI::App app("Leasehold: a database for every tenant in every service, and leases on them", "leasehold");
  cli::ConfigureRoot(app, command);
  cli::AddTenant(app, command);
  cli::AddLease(app, command);
  cli::AddPsql(app, command);
  cli::AddOperation(app, command);
  cli::AddBackup(app, command);
  cli::AddMigrate(app, command);
  cli::AddPolicy(app, command);
  cli::AddToken(app, command);
  cli::AddPools(app, command);
  cli::AddDoctor(app, command);
  cli::AddAudit(app, command);
  cli::AddKeys(app, command);
  cli::AddLog(app, command);
  cli::AddDevCerts(app, command);
  cli::AddStack(app, command);
  cli::AddVersion(app, command);
  return cli::Execute(app, command, {argv + 1, argv + argc});
}
