// Requests and answers over core NATS.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/jetstream/connection.h"
#include "common/jetstream/handles.h"
#include "common/jetstream/jetstream.h"

namespace leasehold::jetstream {

// As Client::Request.
absl::StatusOr<std::string> SendRequest(const Connection& connection, const std::string& subject,
                                        std::string_view payload, absl::Duration patience);
absl::StatusOr<std::string> SendRequest(const Connection& connection, const std::string& subject,
                                        std::string_view payload, absl::Duration patience, const SecondTry& second);

// As Client::Respond. nats.c calls the handler on the subscription's own thread, and renews the subscription after a
// reconnection.
class QueueResponder : public Responder {
 public:
  using Handler = std::function<std::string(std::string_view request)>;
  static absl::StatusOr<std::unique_ptr<Responder>> Open(std::shared_ptr<Connection> connection,
                                                         const std::string& subject, const std::string& queue,
                                                         Handler handler);
  ~QueueResponder() override;

 private:
  QueueResponder(std::shared_ptr<Connection> connection, Handler handler)
      : connection_(std::move(connection)), handler_(std::move(handler)) {}
  static void OnRequest(natsConnection* nats, natsSubscription*, natsMsg* message, void* self);
  static void OnComplete(void* self);

  const std::shared_ptr<Connection> connection_;
  const Handler handler_;
  NatsSubscriptionPtr subscription_;
  absl::Mutex mu_;
  bool complete_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::jetstream
