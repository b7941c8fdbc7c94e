// A connection of nats.c's, as it was when it was dialled: with the certificates and the password of that moment.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/jetstream/handles.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/options.h"

namespace leasehold::jetstream {

// The longest that a request to JetStream may take.
inline constexpr absl::Duration kRequestTimeout = absl::Seconds(2);

// nats.c reconnects it for ever, with two exceptions: it never looks at changed certificates, and it closes a
// connection whose credentials a server has refused twice in a row. Then there has to be a new one. Any thread.
class Link {
 public:
  // `on_state`: up or down, on nats.c's thread for these, one call at a time; none after Close().
  static absl::StatusOr<std::shared_ptr<Link>> Prepare(const Client::Options& options, const std::string& inbox_prefix,
                                                       const Security& security, std::function<void(bool)> on_state);

  // Once; true: it is up, false: nats.c keeps trying. An error: it is closed.
  absl::StatusOr<bool> Dial();
  // Returns when `on_state` is not running and will not run again. Not from `on_state`.
  void Close();

  bool connected() const;
  // It will never be up again.
  bool closed() const;
  // There are newer certificates than its own.
  bool outdated() const;

  // Null before Dial(). What nats.c calls on a closed connection fails.
  natsConnection* nats() const { return nats_.get(); }
  jsCtx* jetstream() const { return jetstream_.get(); }

 private:
  Link(const Security& security, std::function<void(bool)> on_state)
      : certificates_(security.certificates), on_state_(std::move(on_state)) {}
  absl::Status Configure(const Client::Options& options, const std::string& inbox_prefix);
  absl::Status Secure(const std::string& url, const Security& security);

  static void OnUp(natsConnection*, void* self);
  static void OnDown(natsConnection*, void* self);
  static void OnClosed(natsConnection*, void* self);

  const std::shared_ptr<const tls::LiveCredentials> certificates_;
  const std::function<void(bool)> on_state_;
  uint64_t version_ = 0;  // of the certificates
  NatsOptionsPtr options_;
  NatsConnectionPtr nats_;
  JsCtxPtr jetstream_;

  mutable absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::jetstream
