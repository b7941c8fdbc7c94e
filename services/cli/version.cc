// leasehold version
#include <google/protobuf/struct.pb.h>

#include <iostream>

#include "common/version/version.h"
#include "services/cli/json.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddVersion(CLI::App& app, Command& command) {
  CLI::App* verb = app.add_subcommand("version", "Show this program's version");
  verb->callback([&command] {
    command.needs_gateway = false;
    command.run = [&command]() -> absl::StatusOr<int> {
      if (command.json) {
        google::protobuf::Struct version;
        (*version.mutable_fields())["version"].set_string_value(std::string(Version()));
        (*version.mutable_fields())["commit"].set_string_value(std::string(Commit()));
        std::cout << ToJson(version);
      } else {
        std::cout << VersionLine("leasehold") << '\n';
      }
      return kDone;
    };
  });
}

}  // namespace leasehold::cli
