// Requests and answers over core NATS.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

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
// reconnection of its own.
class QueueResponder : public Responder, private Listener {
 public:
  using Handler = std::function<std::string(std::string_view request)>;
  static absl::StatusOr<std::unique_ptr<Responder>> Open(std::shared_ptr<Connection> connection,
                                                         const std::string& subject, const std::string& queue,
                                                         Handler handler);
  ~QueueResponder() override;

 private:
  QueueResponder(std::shared_ptr<Connection> connection, std::string subject, std::string queue, Handler handler)
      : connection_(std::move(connection)),
        subject_(std::move(subject)),
        queue_(std::move(queue)),
        handler_(std::move(handler)) {}
  absl::Status Listen(const std::shared_ptr<Link>& link) override;
  // Returns when the handler is not running and will not run again.
  void Stop();
  void SetComplete(bool complete);
  static void OnRequest(natsConnection* nats, natsSubscription*, natsMsg* message, void* self);
  static void OnComplete(void* self);

  const std::shared_ptr<Connection> connection_;
  const std::string subject_;
  const std::string queue_;
  const Handler handler_;
  std::shared_ptr<Link> link_;  // of the subscription
  NatsSubscriptionPtr subscription_;
  absl::Mutex mu_;
  bool complete_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::jetstream
