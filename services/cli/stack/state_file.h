// <state-dir>/stack.json: what runs, for `leasehold stack status` and for tests.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace leasehold::stack {

struct ComponentState {
  std::string name;   // "gateway", "provisioner/identity", "postgres/identity", "postgres/registry", "nats"
  std::string state;  // starting, ready, waiting (to be started again), ended, stopped
  pid_t pid = 0;      // 0 when it does not run
  std::string address;
  absl::Time up_since = absl::InfinitePast();  // of this pid
  int restarts = 0;
};

struct StackState {
  std::string state;  // starting, up, stopping, down
  pid_t pid = 0;      // of the supervisor
  std::vector<ComponentState> components;
};

// {"state":"up","pid":1,"components":[{"name":…,"state":…,"pid":…,"address":…,"upSince":…,"restarts":…}]}
std::string ToJson(const StackState& state);
absl::StatusOr<StackState> ParseStackState(const std::string& json);

absl::Status WriteStackState(const std::string& state_dir, const StackState& state);
absl::StatusOr<StackState> ReadStackState(const std::string& state_dir);

}  // namespace leasehold::stack
