#include "services/gateway/api/migration_watch.h"

#include <algorithm>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(100);
constexpr absl::Duration kShortestPause = absl::Milliseconds(20);
// Looks in a row without an answer, ten seconds each or a pause: then the caller hears it.
constexpr int kMostSilent = 300;
constexpr int kPageSize = 500;

}  // namespace

absl::Duration PauseBeforeLook(const v1::MigrationRun& run, int looks) {
  const int ended = run.done() + run.failed() + run.skipped();
  absl::Duration pause = kShortestPause / 4 * looks;
  if (ended > 0) {
    const absl::Duration so_far = ToTime(run.update_time()) - ToTime(run.create_time());
    pause = std::min(pause, so_far / ended * (run.total() - ended) / 2);
  }
  return std::clamp(pause, kShortestPause, kPause);
}

grpc::ServerWriteReactor<v1::MigrationEvent>* MigrationWatch::Start(MigrationAsker& asker, Timer& timer,
                                                                    const v1::GetMigrationRunRequest& request) {
  auto feed = Feed<v1::MigrationEvent>::Start();
  absl::StatusOr<std::string> service = MigrationAsker::ServiceOf(request.id());
  if (!service.ok()) {
    feed->Close(service.status());
    return feed->reactor();
  }
  std::shared_ptr<MigrationWatch>(new MigrationWatch(asker, timer, *std::move(service), request.id(), feed))->Submit();
  return feed->reactor();
}

void MigrationWatch::Submit() {
  if (!asker_.executor().Submit([self = shared_from_this()] { self->Look(); })) {
    feed_->Close(Error(v1::REASON_SHUTTING_DOWN, "the gateway is overloaded or shutting down"));
  }
}

void MigrationWatch::Look() {
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) more = LookOnce();
  const bool silent = ReasonOf(more.status()) == v1::REASON_INSTANCE_UNAVAILABLE ||
                      ReasonOf(more.status()) == v1::REASON_NATS_UNAVAILABLE;
  silent_ = silent ? silent_ + 1 : 0;
  // The first look finds out whether there is such a run at all.
  if (!more.ok() && (!silent || !sent_.has_value() || silent_ > kMostSilent)) {
    feed_->Close(more.status());
    return;
  }
  if (over_) return;
  timer_.After(silent ? kPause : pause_, [self = shared_from_this()] { self->Submit(); });
}

absl::StatusOr<bool> MigrationWatch::LookOnce() {
  v1::MigrationCall call;
  call.mutable_get()->set_id(run_);
  LH_ASSIGN_OR_RETURN(v1::MigrationAnswer got, asker_.Ask(service_, call));
  // Whatever comes to an end changes the run with it.
  const absl::Time changed = ToTime(got.run().update_time());
  pause_ = PauseBeforeLook(got.run(), ++looks_);
  if (sent_ == changed && !more_) return false;
  v1::ListMigrationTasksRequest& tasks = *call.mutable_tasks();
  tasks.set_id(run_);
  tasks.set_page_size(kPageSize);
  *tasks.mutable_ended_after() = seen_;
  LH_ASSIGN_OR_RETURN(v1::MigrationAnswer ended, asker_.Ask(service_, call));

  v1::MigrationEvent event;
  *event.mutable_run() = std::move(*got.mutable_run());
  event.mutable_tasks()->Swap(ended.mutable_tasks()->mutable_tasks());
  more_ = event.tasks_size() >= kPageSize || !ended.tasks().next_page_token().empty();
  if (event.tasks_size() > 0) seen_ = event.tasks(event.tasks_size() - 1).update_time();
  over_ = !more_ && event.run().state() != v1::MIGRATION_RUN_STATE_RUNNING;
  sent_ = changed;
  // Nobody reads any more: that is an end too.
  if (!feed_->Send(std::move(event))) over_ = true;
  if (over_) feed_->Close(absl::OkStatus());
  return more_;
}

}  // namespace leasehold::gateway
