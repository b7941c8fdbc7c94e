#include "services/cli/waiting.h"

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"

namespace leasehold::cli {
namespace {

bool Ended(const v1::Operation& operation) {
  return operation.state() != v1::OPERATION_STATE_RUNNING && operation.state() != v1::OPERATION_STATE_UNSPECIFIED;
}

}  // namespace

absl::Status Verdict(const v1::Operation& operation) {
  if (operation.state() == v1::OPERATION_STATE_SUCCEEDED) return absl::OkStatus();
  const std::string what = absl::StrCat("operation ", operation.id(), " (", Word(operation.kind()), " ",
                                        operation.tenant(), ") ", Word(operation.state()));
  return absl::AbortedError(operation.message().empty() ? what : absl::StrCat(what, ": ", operation.message()));
}

void WaitFlags::AddTo(CLI::App& app) {
  app.add_flag("--wait", wait, "Wait until every service is done");
  AddTimeoutTo(app);
}

void WaitFlags::AddTimeoutTo(CLI::App& app) { AddDuration(app, "--timeout", timeout, "How long to wait (default 2m)"); }

absl::StatusOr<v1::Operation> WaitForOperation(GatewayClient& client, const std::string& id, absl::Duration timeout,
                                               Progress& progress) {
  const absl::Time begun = absl::Now();
  const absl::Time deadline = begun + timeout;
  v1::GetOperationRequest request;
  request.set_id(id);
  v1::Operation operation;
  bool seen = false;
  for (;;) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    auto stream = client.operations().WatchOperation(&context, request);
    while (stream->Read(&operation)) {
      seen = true;
      progress.Update(operation);
      if (Ended(operation)) break;
    }
    if (Ended(operation)) {
      context.TryCancel();
      (void)stream->Finish();
      progress.Finish();
      return operation;
    }
    const grpc::Status status = stream->Finish();
    if (absl::Now() >= deadline || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      progress.Finish();
      if (!seen) return client.ToStatus(status, absl::Now() - begun);
      return absl::DeadlineExceededError(absl::StrCat("operation ", id, " still runs after ", ShortDuration(timeout),
                                                      " (", operation.done(), "/", operation.total(), " services done",
                                                      operation.message().empty() ? "" : ": ", operation.message(),
                                                      "); it goes on: leasehold operation wait ", id));
    }
    const bool interrupted = status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!seen || !interrupted) {
      progress.Finish();
      return seen ? client.StreamEnd(status) : client.ToStatus(status, absl::Now() - begun);
    }
    absl::SleepFor(std::min(absl::Milliseconds(500), deadline - absl::Now()));
  }
}

}  // namespace leasehold::cli
