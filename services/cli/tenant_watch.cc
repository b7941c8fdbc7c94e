// leasehold tenant watch
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/change.h"
#include "services/cli/json.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

View Now(const Command& command) { return {command.terminal, absl::Now()}; }

struct WatchFlags {
  std::string id;
  std::string service;
  std::string until_word;
  v1::TenantState until = v1::TENANT_STATE_UNSPECIFIED;
  absl::Duration timeout = absl::InfiniteDuration();
};

void ShowEvent(const Command& command, const v1::WatchTenantsResponse& event) {
  if (command.json) {
    std::cout << ToJsonLine(event);
  } else if (event.has_tenant()) {
    std::cout << TenantLine(event.tenant(), Now(command));
  } else if (event.has_removed()) {
    std::cout << event.removed() << " was purged\n";
  }
  std::cout.flush();
}

// One stream of a watch, from its beginning to its end.
struct Watched {
  bool reached = false;  // the state that was waited for
  bool purged = false;   // the one tenant that was watched
  bool answered = false;
  grpc::Status end;
};

Watched WatchOnce(const Command& command, GatewayClient& client, const WatchFlags& flags, absl::Time deadline) {
  v1::WatchTenantsRequest request;
  request.set_id(flags.id);
  request.set_service(flags.service);
  grpc::ClientContext context;
  if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
  const auto stream = client.tenants().WatchTenants(&context, request);
  Watched watched;
  v1::WatchTenantsResponse event;
  while (!watched.reached && stream->Read(&event)) {
    watched.answered = true;
    ShowEvent(command, event);
    watched.reached = flags.until != v1::TENANT_STATE_UNSPECIFIED && event.tenant().state() == flags.until;
    watched.purged = event.has_removed() && event.removed() == flags.id;
  }
  if (watched.reached) context.TryCancel();
  watched.end = stream->Finish();
  return watched;
}

absl::StatusOr<int> Watch(const Command& command, const WatchFlags& flags) {
  constexpr absl::Duration kLookAgain = absl::Milliseconds(250);
  GatewayClient client(command.gateway);
  const bool waits = flags.until != v1::TENANT_STATE_UNSPECIFIED;
  const absl::Time begun = absl::Now();
  const absl::Time deadline = begun + flags.timeout;
  for (bool told = false;;) {
    const Watched watched = WatchOnce(command, client, flags, deadline);
    if (watched.reached) return kDone;
    if (watched.purged) {
      if (!waits) return kDone;
      return absl::NotFoundError(absl::StrCat("tenant ", flags.id, " was purged before it was ", Word(flags.until)));
    }
    if (absl::Now() >= deadline || watched.end.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      if (!waits) return kDone;
      return absl::DeadlineExceededError(
          absl::StrCat("tenant ", flags.id, " is not ", Word(flags.until), " after ", ShortDuration(flags.timeout)));
    }
    const absl::Status status =
        watched.answered ? client.StreamEnd(watched.end) : client.ToStatus(watched.end, absl::Now() - begun);
    // It may be on its way, announced by an event.
    if (!waits || ReasonOf(status) != v1::REASON_TENANT_NOT_FOUND) {
      LH_RETURN_IF_ERROR(status);
      return absl::UnavailableError("the gateway ended the watch");
    }
    if (!std::exchange(told, true)) std::cerr << "there is no tenant " << flags.id << " yet; waiting for it\n";
    absl::SleepFor(std::min(kLookAgain, deadline - absl::Now()));
  }
}

}  // namespace

void AddTenantWatch(CLI::App& group, Command& command) {
  auto flags = std::make_shared<WatchFlags>();
  CLI::App* app = group.add_subcommand("watch", "Show the present state, then each change as it happens, until Ctrl-C");
  app->add_option("ID", flags->id, "Only this tenant, until it is purged");
  app->add_option("--service", flags->service, "Only changes that concern this service");
  app->add_option("--until", flags->until_word, "End when the tenant is in this state; it need not exist yet")
      ->type_name("STATE");
  AddDuration(*app, "--timeout", flags->timeout, "End after this long; with --until that is a failure");
  app->callback([flags, &command] {
    if (!flags->until_word.empty()) {
      flags->until = ParseTenantState(flags->until_word);
      if (flags->id.empty()) UsageError("--until needs a tenant's ID");
    }
    command.run = [flags, &command] { return Watch(command, *flags); };
  });
}

}  // namespace leasehold::cli
