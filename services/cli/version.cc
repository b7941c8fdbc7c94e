// leasehold version
#include <google/protobuf/struct.pb.h>

#include <iostream>

#include "services/cli/json.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {

void AddVersion(CLI::App& app, Command& command) {
  CLI::App* verb = app.add_subcommand("version", "Show this program's version");
  verb->callback([&command] {
    command.run = [&command]() -> absl::StatusOr<int> {
      if (command.json) {
        google::protobuf::Struct version;
        (*version.mutable_fields())["version"].set_string_value(LEASEHOLD_VERSION);
        std::cout << ToJson(version);
      } else {
        std::cout << "leasehold " LEASEHOLD_VERSION "\n";
      }
      return kDone;
    };
  });
}

}  // namespace leasehold::cli
