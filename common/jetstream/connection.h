// One connection to NATS, kept up for ever, shared by everything that was made from it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/jetstream/handles.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/options.h"

namespace leasehold::jetstream {

// The longest that a request to JetStream may take.
inline constexpr absl::Duration kRequestTimeout = absl::Seconds(2);

// Where answers to a client of this name come: "provisioner/core" has _INBOX.provisioner-core.>, so that NATS can keep
// its user from others' answers.
std::string InboxPrefix(std::string_view name);

// Any thread, except that Close() and the destructor must not run inside `on_state`.
class Connection {
 public:
  static absl::StatusOr<std::shared_ptr<Connection>> Open(Client::Options options, const Security& security = {});
  ~Connection();

  // Sends what is buffered, ends the connection and returns when `on_state` is not running and will not run again.
  void Close();

  bool connected() const;
  // Rises with each connection made; lets watchers learn that they may have missed something.
  uint64_t epoch() const;
  // Waits for a connection. NATS_UNAVAILABLE if there is none in time, or after Close(); for a moment after a loss it
  // does not wait.
  absl::Status AwaitConnected(absl::Duration wait) const;
  absl::Status CheckConnected() const { return AwaitConnected(absl::ZeroDuration()); }

  natsConnection* nats() const { return nats_.get(); }
  jsCtx* jetstream() const { return jetstream_.get(); }
  // A subject that only this client's answers come to, behind InboxPrefix().
  absl::StatusOr<std::string> NewInbox() const;

 private:
  Connection(std::function<void(const absl::Status&)> on_state, std::string inbox_prefix)
      : on_state_(std::move(on_state)), inbox_prefix_(std::move(inbox_prefix)) {}
  absl::Status Dial(const Client::Options& options, const Security& security);
  static absl::Status Secure(natsOptions* nats, const std::string& url, const Security& security);

  static void OnUp(natsConnection*, void* self);
  static void OnDown(natsConnection*, void* self);
  static void OnClosed(natsConnection*, void* self);
  void Changed(bool up) ABSL_EXCLUSIVE_LOCKS_REQUIRED(report_mu_);

  NatsConnectionPtr nats_;
  JsCtxPtr jetstream_;

  // Held while `on_state_` runs, so that states are reported in the order in which they came about.
  absl::Mutex report_mu_;
  const std::function<void(const absl::Status&)> on_state_;
  const std::string inbox_prefix_;

  mutable absl::Mutex mu_ ABSL_ACQUIRED_AFTER(report_mu_);
  bool up_ ABSL_GUARDED_BY(mu_) = false;
  bool dialled_ ABSL_GUARDED_BY(mu_) = false;  // nats.c will call OnClosed
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace leasehold::jetstream
