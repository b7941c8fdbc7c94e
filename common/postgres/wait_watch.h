// Notices when a program's statements get no answer though its server is well: they wait for what may never come.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/executor/worker_thread.h"
#include "common/postgres/postgres.h"

namespace leasehold::postgres {

class WaitWatch {
 public:
  struct Times {
    absl::Duration period = absl::Seconds(2);
    absl::Duration patience = absl::Seconds(5);  // with a wait, before it is told of
  };
  // Looks, over a connection of its own as `options` say, at the sessions in its database whose application_name has
  // the same first word as its own. `tell` runs on a thread of this, and may block: at each look with a sentence for
  // operators on what has been waited for the longest, a lock say, or a standby that is to confirm a commit; and once
  // with "" when there is nothing more of that kind. A server that does not answer is not its business.
  WaitWatch(ConnectOptions options, std::function<void(const std::string& what)> tell)
      : WaitWatch(std::move(options), std::move(tell), Times()) {}
  WaitWatch(ConnectOptions options, std::function<void(const std::string& what)> tell, Times times);

 private:
  void Look();

  Connection connection_;
  const std::function<void(const std::string&)> tell_;
  const absl::Duration patience_;
  bool told_ = false;
  WorkerThread thread_;  // the last: it uses the others
};

}  // namespace leasehold::postgres
