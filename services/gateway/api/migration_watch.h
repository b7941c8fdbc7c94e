// One WatchMigrationRun call: the run now, each change of it with the databases that came to an end, and its end.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "leasehold/v1/migration.pb.h"
#include "services/gateway/api/migration_asker.h"
#include "services/gateway/api/stream.h"
#include "services/gateway/lease/timer.h"

namespace leasehold::gateway {

// Until the next look at a run, which was `run` at the last of `looks`: short at the beginning, when it may be a small
// one, and towards the end that its pace so far lets expect, so that whoever waits for it hears soon; else a tenth of a
// second.
absl::Duration PauseBeforeLook(const v1::MigrationRun& run, int looks);

// Lives as long as the call; looks as often as PauseBeforeLook() says. A provisioner that does not answer for a while
// is waited for: the run goes on when it is back.
class MigrationWatch : public std::enable_shared_from_this<MigrationWatch> {
 public:
  static grpc::ServerWriteReactor<v1::MigrationEvent>* Start(MigrationAsker& asker, Timer& timer,
                                                             const v1::GetMigrationRunRequest& request);

 private:
  MigrationWatch(MigrationAsker& asker, Timer& timer, std::string service, std::string run,
                 std::shared_ptr<Feed<v1::MigrationEvent>> feed)
      : asker_(asker), timer_(timer), service_(std::move(service)), run_(std::move(run)), feed_(std::move(feed)) {}

  void Submit();
  void Look();  // on the executor
  // True: there is more to ask for at once.
  absl::StatusOr<bool> LookOnce();

  MigrationAsker& asker_;
  Timer& timer_;
  const std::string service_;
  const std::string run_;
  const std::shared_ptr<Feed<v1::MigrationEvent>> feed_;
  // Of the one look that runs.
  google::protobuf::Timestamp seen_{};
  std::optional<absl::Time> sent_{};             // when the run that was sent last had changed
  bool more_ = false;                            // there are more ended databases than were sent
  absl::Duration pause_ = absl::ZeroDuration();  // before the next
  int looks_ = 0;
  int silent_ = 0;
  bool over_ = false;
};

}  // namespace leasehold::gateway
