// leasehold keys list|rotate|prune: on the files that a configuration names
#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/secret/key_ring.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/key_files.h"
#include "services/cli/key_needs.h"
#include "services/cli/stack/files.h"
#include "services/cli/table.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using google::protobuf::Struct;

// Daemons look at the files each second, and take up what two looks have seen.
constexpr absl::Duration kSettle = absl::Seconds(5);
constexpr absl::Duration kLeastSettle = absl::Seconds(2);

struct Flags {
  std::string config;
  bool signing = false;
  std::vector<std::string> services;
  absl::Duration settle = kSettle;
  bool force = false;
};

struct Chosen {
  v1::Config config;
  bool signing = false;
  std::vector<v1::ServiceConfig> services;

  const std::string& signing_file() const { return config.leases().signing_keys_file(); }
};

absl::StatusOr<Chosen> Choose(const Environment& env, const Flags& flags) {
  Chosen chosen;
  LH_ASSIGN_OR_RETURN(chosen.config, LoadConfig(flags.config, env));
  const bool all = !flags.signing && flags.services.empty();
  chosen.signing = all || flags.signing;
  if (all) chosen.services.assign(chosen.config.services().begin(), chosen.config.services().end());
  for (const std::string& name : flags.services) {
    LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(name));
    LH_ASSIGN_OR_RETURN(v1::ServiceConfig found, FindService(chosen.config, service));
    chosen.services.push_back(std::move(found));
  }
  return chosen;
}

using Edit = std::function<absl::StatusOr<Secret>(std::string_view)>;

// What `edit` makes of a file takes its place as a whole, for whoever reads it meanwhile.
absl::Status Change(const std::string& path, const Edit& edit) {
  LH_ASSIGN_OR_RETURN(const Secret text, ReadSecretFile(path));
  const absl::StatusOr<Secret> edited = edit(text.reveal());
  if (!edited.ok()) {
    return absl::Status(edited.status().code(), absl::StrCat("'", path, "': ", edited.status().message()));
  }
  std::error_code unresolved;
  const std::filesystem::path file = std::filesystem::canonical(path, unresolved);
  if (unresolved) return absl::FailedPreconditionError(absl::StrCat("'", path, "': ", unresolved.message()));
  return stack::ReplaceFileAtomically(file, edited->reveal());
}

absl::Status ChangeSigning(const Chosen& chosen, const Edit& edit) {
  return chosen.signing ? Change(chosen.signing_file(), edit) : absl::OkStatus();
}

absl::Status ChangeRoles(const Chosen& chosen, const Edit& edit) {
  for (const v1::ServiceConfig& service : chosen.services) {
    LH_RETURN_IF_ERROR(Change(service.instance().role_key_file(), edit));
  }
  return absl::OkStatus();
}

std::string StateOf(const SigningKeyLine& key) {
  if (key.signs) return "signs";
  if (key.next) return "signs next";
  if (key.retired == absl::InfiniteFuture()) return "verifies";
  return absl::StrCat("verifies, signed until ",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", key.retired, absl::UTCTimeZone()));
}

// {"id":2,"state":"VERIFIES","signedUntil":"…"}
Struct JsonOf(const SigningKeyLine& key) {
  Struct json;
  (*json.mutable_fields())["id"].set_number_value(key.id);
  (*json.mutable_fields())["state"].set_string_value(key.signs ? "SIGNS" : key.next ? "SIGNS_NEXT" : "VERIFIES");
  if (key.retired != absl::InfiniteFuture()) {
    (*json.mutable_fields())["signedUntil"].set_string_value(TimeJson(key.retired));
  }
  return json;
}

// {"fingerprint":"…","state":"GIVEN_TO_ROLES"}
Struct JsonOf(const RoleKey& key, std::string_view state) {
  Struct json;
  (*json.mutable_fields())["fingerprint"].set_string_value(key.Fingerprint());
  (*json.mutable_fields())["state"].set_string_value(std::string(state));
  return json;
}

// The same as a table and for programs, so that neither has what the other lacks.
class Listing {
 public:
  explicit Listing(const Command& command) : command_(command) {}

  absl::Status AddSigning(const std::string& path) {
    LH_ASSIGN_OR_RETURN(const Secret text, ReadSecretFile(path));
    LH_ASSIGN_OR_RETURN(const std::vector<SigningKeyLine> keys, ListSigningKeys(text.reveal()));
    Struct& json = *(*json_.mutable_fields())["leases"].mutable_struct_value();
    (*json.mutable_fields())["file"].set_string_value(path);
    for (const SigningKeyLine& key : keys) {
      table_.AddRow({"leases", absl::StrCat(key.id), StateOf(key), command_.paths.In(path)});
      AddTo((*json.mutable_fields())["keys"], JsonOf(key));
    }
    return absl::OkStatus();
  }

  absl::Status AddRoles(const v1::ServiceConfig& service) {
    const std::string& path = service.instance().role_key_file();
    LH_ASSIGN_OR_RETURN(const RoleKeys keys, RoleKeys::ReadFile(path));
    const std::string whose = absl::StrCat("roles of ", service.name());
    Struct json;
    (*json.mutable_fields())["service"].set_string_value(service.name());
    (*json.mutable_fields())["file"].set_string_value(path);
    table_.AddRow({whose, keys.current().Fingerprint(), "given to roles", command_.paths.In(path)});
    AddTo((*json.mutable_fields())["keys"], JsonOf(keys.current(), "GIVEN_TO_ROLES"));
    if (const auto other = keys.other()) {
      table_.AddRow({whose, other->Fingerprint(), "tried by gateways", command_.paths.In(path)});
      AddTo((*json.mutable_fields())["keys"], JsonOf(*other, "TRIED_BY_GATEWAYS"));
    }
    AddTo((*json_.mutable_fields())["roles"], std::move(json));
    return absl::OkStatus();
  }

  std::string Render() const { return command_.json ? ToJson(json_) : table_.Render(command_.terminal); }

 private:
  static void AddTo(google::protobuf::Value& list, Struct element) {
    *list.mutable_list_value()->add_values()->mutable_struct_value() = std::move(element);
  }

  const Command& command_;
  Table table_{{"KEYS OF", "KEY", "STATE", "FILE"}};
  Struct json_;
};

absl::StatusOr<int> List(const Command& command, const Chosen& chosen, const Flags& /*flags*/) {
  Listing listing(command);
  if (chosen.signing) LH_RETURN_IF_ERROR(listing.AddSigning(chosen.signing_file()));
  for (const v1::ServiceConfig& service : chosen.services) LH_RETURN_IF_ERROR(listing.AddRoles(service));
  std::cout << listing.Render();
  return kDone;
}

// What a person is told as it happens. A program gets what List() prints, once all is done.
void Say(const Command& command, const std::string& line) {
  if (!command.json) std::cout << line << std::endl;
}

absl::StatusOr<int> Rotate(const Command& command, const Chosen& chosen, const Flags& flags) {
  LH_RETURN_IF_ERROR(ChangeRoles(chosen, &WithNextRoleKey));
  LH_RETURN_IF_ERROR(ChangeSigning(chosen, &WithNextSigningKey));
  Say(command, absl::StrCat("new keys are in the files; they are used in ", absl::FormatDuration(flags.settle),
                            ", when all gateways know them"));
  absl::SleepFor(flags.settle);
  LH_RETURN_IF_ERROR(ChangeRoles(chosen, &WithOtherRoleKeyCurrent));
  for (const v1::ServiceConfig& service : chosen.services) {
    Say(command, absl::StrCat("roles of ", service.name(),
                              ": their passwords are renewed by the new key; then `leasehold keys prune`",
                              " takes the other one away"));
  }
  LH_RETURN_IF_ERROR(
      ChangeSigning(chosen, [](std::string_view text) { return WithNextKeySigning(text, absl::Now()); }));
  if (chosen.signing) {
    Say(command, "leases: the new key signs; those before it verify until `leasehold keys prune`");
  }
  return command.json ? List(command, chosen, flags) : kDone;
}

// A key that some role's password is by must stay: gateways could not log in any more.
absl::Status CheckNobodyNeedsOthers(const Command& command, const Chosen& chosen) {
  std::map<std::string, std::string> keys;  // by service
  for (const v1::ServiceConfig& service : chosen.services) {
    LH_ASSIGN_OR_RETURN(const RoleKeys held, RoleKeys::ReadFile(service.instance().role_key_file()));
    if (held.other()) keys[service.name()] = held.current().Fingerprint();
  }
  if (keys.empty()) return absl::OkStatus();
  constexpr char kForce[] = "; --force takes the key away all the same";
  GatewayClient client(command.gateway);
  v1::GetStatusRequest request;
  request.set_count_outdated_secrets(true);
  const absl::StatusOr<v1::GetStatusResponse> status =
      client.Call(client.status(), &v1::StatusService::StubInterface::GetStatus, request);
  if (!status.ok()) {
    return absl::Status(status.status().code(),
                        absl::StrCat("provisioners are asked through the gateway whether they need the other key: ",
                                     status.status().message(), kForce));
  }
  for (const auto& [name, key] : keys) {
    const auto found = std::ranges::find(status->services(), name, &v1::ServiceOverview::service);
    const std::string why =
        found == status->services().end() ? "the gateway does not know this service" : WhyOtherKeyIsNeeded(*found, key);
    if (!why.empty()) return absl::FailedPreconditionError(absl::StrCat("roles of ", name, ": ", why, kForce));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Prune(const Command& command, const Chosen& chosen, const Flags& flags) {
  if (!flags.force) LH_RETURN_IF_ERROR(CheckNobodyNeedsOthers(command, chosen));
  LH_RETURN_IF_ERROR(ChangeRoles(chosen, &WithoutOtherRoleKey));
  for (const v1::ServiceConfig& service : chosen.services) {
    Say(command, absl::StrCat("roles of ", service.name(), ": one key"));
  }
  const absl::Duration kept = ToDuration(chosen.config.leases().max_ttl());
  LH_RETURN_IF_ERROR(
      ChangeSigning(chosen, [kept](std::string_view text) { return WithoutRetiredKeys(text, absl::Now(), kept); }));
  if (chosen.signing) {
    Say(command, absl::StrCat("leases: without the keys that have not signed for ", absl::FormatDuration(kept)));
  }
  return command.json ? List(command, chosen, flags) : kDone;
}

using Work = absl::StatusOr<int> (*)(const Command&, const Chosen&, const Flags&);

CLI::App* AddVerb(CLI::App& group, Command& command, const std::string& name, const std::string& about, Work work,
                  const std::shared_ptr<Flags>& flags) {
  CLI::App* verb = group.add_subcommand(name, about);
  verb->add_option("--config", flags->config, "The configuration file")->required()->type_name("FILE");
  verb->add_flag("--signing", flags->signing, "Only the keys that sign leases, and what --roles names");
  verb->add_option("--roles", flags->services, "Only the key of this service's roles; may be repeated")
      ->type_name("SERVICE");
  verb->callback([flags, work, &command] {
    if (flags->settle < kLeastSettle) {
      UsageError(absl::StrCat("--settle is '", absl::FormatDuration(flags->settle),
                              "'; allowed: ", absl::FormatDuration(kLeastSettle),
                              " or more, in which all daemons take a changed file up"));
    }
    const bool roles = !flags->signing || !flags->services.empty();
    command.needs_gateway = work == &Prune && roles && !flags->force;
    command.run = [flags, work, &command]() -> absl::StatusOr<int> {
      LH_ASSIGN_OR_RETURN(const Chosen chosen, Choose(command.env, *flags));
      // Of two at once, the second waits.
      const int fd = open(flags->config.c_str(), O_RDONLY | O_CLOEXEC);
      const absl::Cleanup unlock = [fd] { close(fd); };
      if (flock(fd, LOCK_EX) != 0) return absl::FailedPreconditionError(absl::StrCat("cannot lock ", flags->config));
      return work(command, chosen, *flags);
    };
  });
  return verb;
}

}  // namespace

void AddKeys(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "keys", "Replace the keys of leases and roles while everything runs");
  AddVerb(*group, command, "list", "Show which keys there are; never the keys", &List, std::make_shared<Flags>());
  const auto flags = std::make_shared<Flags>();
  CLI::App* rotate =
      AddVerb(*group, command, "rotate", "Make new keys; the ones before them go on working", &Rotate, flags);
  AddDuration(*rotate, "--settle", flags->settle, "How long gateways are given to read a new key before it is used");
  const auto pruned = std::make_shared<Flags>();
  CLI::App* prune = AddVerb(*group, command, "prune", "Take away the keys that nothing needs any more", &Prune, pruned);
  prune->add_flag("--force", pruned->force,
                  "Also a key that roles may have passwords by, without asking their provisioners");
}

}  // namespace leasehold::cli
