#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/jetstream/connection.h"
#include "common/jetstream/handles.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/streams.h"

namespace leasehold::jetstream {

// A durable, explicitly acknowledged pull consumer that is bound lazily, and anew whenever the server does not know it.
//
// It keeps a pull request open between one Fetch and the next, so that a message is on its way as soon as it is stored.
// nats.c's own fetch sends a request for each message, and the server ends each with another.
class DurablePullConsumer : public PullConsumer {
 public:
  DurablePullConsumer(std::shared_ptr<Connection> connection, std::shared_ptr<Streams> streams,
                      ConsumerOptions options);

  // Makes sure that stream and consumer exist on the server, and subscribes.
  absl::Status Bind();

  absl::StatusOr<std::vector<std::unique_ptr<Message>>> Fetch(int max, absl::Duration wait) override;

 private:
  absl::StatusOr<std::vector<std::unique_ptr<Message>>> FetchOnce(int max, absl::Duration wait);
  bool IsThere(const jsConsumerConfig& wanted) const;
  absl::Status AddConsumer();
  // Unless a request is open that the server still knows.
  absl::Status Request(int max);
  // What has come within `wait`: a message, or null for none.
  absl::StatusOr<NatsMsgPtr> Next(absl::Duration wait);

  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<Streams> streams_;
  const ConsumerOptions options_;
  const std::string request_subject_;
  std::shared_ptr<Link> link_;
  NatsSubscriptionPtr subscription_;  // of `inbox_`, on `link_`; null: not bound
  std::string inbox_;
  // The open request: how many messages it may still bring, until when, on which connection.
  int open_ = 0;
  absl::Time open_until_;
  uint64_t open_epoch_ = 0;
};

}  // namespace leasehold::jetstream
