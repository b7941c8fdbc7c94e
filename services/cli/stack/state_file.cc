#include "services/cli/stack/state_file.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "services/cli/stack/files.h"

namespace leasehold::stack {
namespace {

using google::protobuf::Struct;

std::string PathOf(const std::string& state_dir) { return absl::StrCat(state_dir, "/stack.json"); }

void Set(Struct& object, const char* key, const std::string& value) {
  (*object.mutable_fields())[key].set_string_value(value);
}
void Set(Struct& object, const char* key, double value) { (*object.mutable_fields())[key].set_number_value(value); }

std::string Text(const Struct& object, const char* key) {
  const auto found = object.fields().find(key);
  return found == object.fields().end() ? "" : found->second.string_value();
}
int Number(const Struct& object, const char* key) {
  const auto found = object.fields().find(key);
  return found == object.fields().end() ? 0 : static_cast<int>(found->second.number_value());
}

}  // namespace

std::string ToJson(const StackState& state) {
  Struct root;
  Set(root, "state", state.state);
  Set(root, "pid", state.pid);
  auto& list = *(*root.mutable_fields())["components"].mutable_list_value();
  for (const ComponentState& component : state.components) {
    Struct& entry = *list.add_values()->mutable_struct_value();
    Set(entry, "name", component.name);
    Set(entry, "state", component.state);
    Set(entry, "pid", component.pid);
    Set(entry, "address", component.address);
    if (component.up_since != absl::InfinitePast()) {
      Set(entry, "upSince", absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", component.up_since, absl::UTCTimeZone()));
    }
    Set(entry, "restarts", component.restarts);
  }
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string text;
  (void)google::protobuf::util::MessageToJsonString(root, &text, options);
  return text;
}

absl::StatusOr<StackState> ParseStackState(const std::string& json) {
  Struct root;
  if (!google::protobuf::util::JsonStringToMessage(json, &root).ok()) {
    return absl::DataLossError("stack.json is not what leasehold stack writes");
  }
  StackState state{.state = Text(root, "state"), .pid = Number(root, "pid"), .components = {}};
  const auto list = root.fields().find("components");
  if (list == root.fields().end()) return state;
  for (const auto& value : list->second.list_value().values()) {
    const Struct& entry = value.struct_value();
    ComponentState component{.name = Text(entry, "name"),
                             .state = Text(entry, "state"),
                             .pid = Number(entry, "pid"),
                             .address = Text(entry, "address"),
                             .restarts = Number(entry, "restarts")};
    std::string ignored;
    absl::ParseTime(absl::RFC3339_full, Text(entry, "upSince"), &component.up_since, &ignored);
    state.components.push_back(std::move(component));
  }
  return state;
}

absl::Status WriteStackState(const std::string& state_dir, const StackState& state) {
  return WriteFileAtomically(PathOf(state_dir), ToJson(state), 0644);
}

absl::StatusOr<StackState> ReadStackState(const std::string& state_dir) {
  std::ifstream file(PathOf(state_dir));
  if (!file) return absl::NotFoundError(absl::StrCat("there is no stack in ", state_dir));
  std::stringstream text;
  text << file.rdbuf();
  return ParseStackState(text.str());
}

}  // namespace leasehold::stack
