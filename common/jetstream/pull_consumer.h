#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/jetstream/connection.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/streams.h"

namespace leasehold::jetstream {

// A durable, explicitly acknowledged pull consumer that is bound lazily, and anew whenever the server does not know it.
class DurablePullConsumer : public PullConsumer {
 public:
  DurablePullConsumer(std::shared_ptr<Connection> connection, std::shared_ptr<Streams> streams,
                      ConsumerOptions options);

  // Makes sure that stream and consumer exist on the server, and subscribes.
  absl::Status Bind();

  absl::StatusOr<std::vector<std::unique_ptr<Message>>> Fetch(int max, absl::Duration wait) override;

 private:
  absl::StatusOr<std::vector<std::unique_ptr<Message>>> FetchOnce(int max, absl::Duration wait);
  absl::Status AddConsumer();

  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<Streams> streams_;
  const ConsumerOptions options_;
  NatsSubscriptionPtr subscription_;  // null: not bound
};

}  // namespace leasehold::jetstream
