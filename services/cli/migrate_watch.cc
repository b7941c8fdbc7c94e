#include "services/cli/migrate_watch.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <set>

#include "absl/base/no_destructor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "services/cli/json.h"
#include "services/cli/progress.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"
#include "services/cli/show_migration.h"

namespace leasehold::cli {
namespace {

// What the handler writes: it may call next to nothing.
std::string& Farewell() {
  static absl::NoDestructor<std::string> text;
  return *text;
}

void TellAndEnd(int signal) {
  (void)!write(STDERR_FILENO, Farewell().data(), Farewell().size());
  (void)raise(signal);  // once the handler, which is for one signal, has returned
}

constexpr absl::Duration kGatewayPatience = absl::Minutes(1);

int Ended(const v1::MigrationRun& run) { return run.done() + run.failed() + run.skipped(); }

class Screen {
 public:
  explicit Screen(const Command& command) : command_(command) {}

  void Show(const v1::MigrationEvent& event) {
    if (command_.json) {
      std::cout << ToJsonLine(event) << std::flush;
      return;
    }
    for (const v1::MigrationTask& task : event.tasks()) {
      if (task.state() != v1::MIGRATION_TASK_STATE_FAILED || !told_.insert(task.database()).second) continue;
      Clear();
      std::cerr << command_.terminal.PaintError(Colour::kRed, FailureLine(task)) << std::endl;
    }
    rate_.See(event.run(), absl::Now());
    std::string line = MigrationLine(event.run(), rate_.per_second(), command_.terminal.columns);
    if (command_.terminal.err) {
      Clear();
      std::cerr << line << std::flush;
      drawn_ = true;
    } else if (event.run().wave() != wave_) {
      wave_ = event.run().wave();
      std::cerr << line << std::endl;
    }
  }

  void End() {
    if (drawn_) std::cerr << std::endl;
    drawn_ = false;
  }

 private:
  void Clear() {
    if (drawn_) std::cerr << "\r\033[K";
    drawn_ = false;
  }

  const Command& command_;
  MigrationRate rate_;
  std::set<std::string> told_;
  bool drawn_ = false;
  int wave_ = -1;
};

}  // namespace

TellsAtInterrupt::TellsAtInterrupt(const std::string& run) {
  Farewell() = absl::StrCat("\nrun ", run, " goes on; leasehold migrate watch ", run,
                            " follows it, leasehold migrate cancel ", run, " ends it\n");
  struct sigaction action{};
  action.sa_handler = TellAndEnd;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &before_);
}

TellsAtInterrupt::~TellsAtInterrupt() { sigaction(SIGINT, &before_, nullptr); }

void MigrationRate::See(const v1::MigrationRun& run, absl::Time now) {
  const int ended = Ended(run);
  if (first_time_ == absl::InfiniteFuture() || ended < first_ended_) {
    first_time_ = now;
    first_ended_ = ended;
  }
  const double seconds = absl::ToDoubleSeconds(now - first_time_);
  if (seconds >= 0.2) per_second_ = (ended - first_ended_) / seconds;
}

std::string MigrationLine(const v1::MigrationRun& run, double rate, int columns) {
  const int ended = Ended(run);
  std::string line = absl::StrFormat("%s %s  %s %d/%d", Word(run.spec().kind()), run.id(), Bar(ended, run.total(), 20),
                                     ended, run.total());
  if (run.waves() > 1) absl::StrAppend(&line, "  wave ", std::max(1, run.wave()), "/", run.waves());
  if (rate > 0) {
    absl::StrAppend(&line, absl::StrFormat("  %.0f/s", rate));
    const int left = run.total() - ended;
    if (left > 0)
      absl::StrAppend(&line, "  ", ShortDuration(absl::Ceil(absl::Seconds(left / rate), absl::Seconds(1))), " left");
  }
  if (run.failed() > 0) absl::StrAppend(&line, "  ", run.failed(), " failed");
  if (run.state() == v1::MIGRATION_RUN_STATE_RUNNING && !run.message().empty()) {
    absl::StrAppend(&line, "  ", run.message());
  }
  const size_t room = static_cast<size_t>(std::max(20, columns - 1));
  if (DisplayWidth(line) > room) line.resize(room);
  return line;
}

absl::StatusOr<v1::MigrationRun> FollowRun(const Command& command, GatewayClient& client, const std::string& id) {
  v1::GetMigrationRunRequest request;
  request.set_id(id);
  const TellsAtInterrupt at_interrupt(id);
  Screen screen(command);
  v1::MigrationEvent event;
  bool seen = false;
  absl::Time silent_since = absl::Now();
  while (true) {
    grpc::ClientContext context;
    const absl::Time begun = absl::Now();
    const auto stream = client.migrations().WatchMigrationRun(&context, request);
    while (stream->Read(&event)) {
      seen = true;
      silent_since = absl::Now();
      screen.Show(event);
    }
    const grpc::Status end = stream->Finish();
    if (end.ok() && seen && event.run().state() != v1::MIGRATION_RUN_STATE_RUNNING) {
      screen.End();
      return event.run();
    }
    const bool interrupted = end.ok() || end.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!seen || !interrupted || absl::Now() - silent_since > kGatewayPatience) {
      screen.End();
      return seen ? client.StreamEnd(end) : client.ToStatus(end, absl::Now() - begun);
    }
    absl::SleepFor(absl::Milliseconds(500));
  }
}

}  // namespace leasehold::cli
