#include "services/cli/verbs.h"

int main(int argc, char** argv) {
  using namespace leasehold;
  const Environment env = ProcessEnvironment();
  cli::Command command(env, cli::Terminal::Detect(env));

  CLI::App app(cli::kAbout, "leasehold");
  cli::ConfigureRoot(app, command);
  cli::AddCommands(app, command);
  return cli::Execute(app, command, {argv + 1, argv + argc});
}
