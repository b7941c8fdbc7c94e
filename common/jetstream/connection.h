// The connection to NATS, kept up for ever, shared by everything that was made from it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/executor/worker_thread.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/link.h"
#include "common/jetstream/options.h"

namespace leasehold::jetstream {

// Where answers to a client of this name come: "provisioner/core" has _INBOX.provisioner-core.>, so that NATS can keep
// its user from others' answers.
std::string InboxPrefix(std::string_view name);

// What listens on a link for as long as it is there, and on the next one after that.
class Listener {
 public:
  virtual ~Listener() = default;
  // One call at a time.
  virtual absl::Status Listen(const std::shared_ptr<Link>& link) = 0;
};

// Any thread, except that Close() and the destructor must not run inside `on_state`.
//
// While there is no connection, a link that nats.c has given up, or whose certificates have been replaced since it was
// dialled, gives way to a new one. One that is up is left alone.
class Connection {
 public:
  static absl::StatusOr<std::shared_ptr<Connection>> Open(Client::Options options, const Security& security = {});
  ~Connection();

  // Sends what is buffered, ends the connection and returns when `on_state` is not running and will not run again.
  void Close();

  bool connected() const { return link()->connected(); }
  // Rises with each connection made; lets watchers learn that they may have missed something.
  uint64_t epoch() const;
  // Waits for a connection. NATS_UNAVAILABLE if there is none in time, or after Close(); for a moment after a loss it
  // does not wait.
  absl::Status AwaitConnected(absl::Duration wait) const;
  absl::Status CheckConnected() const { return AwaitConnected(absl::ZeroDuration()); }

  // What is made from a link keeps it.
  std::shared_ptr<Link> link() const;
  // A subject that only this client's answers come to, behind InboxPrefix().
  absl::StatusOr<std::string> NewInbox() const;

  // Lets it listen, until Remove().
  absl::Status Add(Listener& listener);
  void Remove(Listener& listener);

 private:
  Connection(Client::Options options, const Security& security)
      : options_(std::move(options)), security_(security), inbox_prefix_(InboxPrefix(options_.name)) {}
  absl::StatusOr<std::shared_ptr<Link>> Prepare();
  absl::Status DialFirst();
  void Keep();
  absl::Status Renew();
  void OnState(bool up);
  void Changed(bool up) ABSL_EXCLUSIVE_LOCKS_REQUIRED(report_mu_);

  const Client::Options options_;
  const Security security_;
  const std::string inbox_prefix_;

  // Held while `on_state` runs, so that states are reported in the order in which they came about.
  absl::Mutex report_mu_;

  absl::Mutex listeners_mu_;
  std::vector<Listener*> listeners_ ABSL_GUARDED_BY(listeners_mu_);

  mutable absl::Mutex mu_ ABSL_ACQUIRED_AFTER(report_mu_, listeners_mu_);
  std::shared_ptr<Link> link_ ABSL_GUARDED_BY(mu_);
  bool up_ ABSL_GUARDED_BY(mu_) = false;
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;

  std::string said_;  // of renewals that failed, in the log last; the keeper's own
  WorkerThread keeper_;
};

}  // namespace leasehold::jetstream
