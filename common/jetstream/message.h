#pragma once

#include <memory>
#include <string>

#include "common/jetstream/connection.h"
#include "common/jetstream/jetstream.h"

namespace leasehold::jetstream {

// Bounds on what is kept of a message's headers; headers beyond them are dropped.
inline constexpr int kMaxHeaders = 64;
inline constexpr size_t kMaxHeaderBytes = 4096;

// Stands on its own: neither the subscription nor the consumer needs to be there for an acknowledgement.
class TakenMessage : public Message {
 public:
  TakenMessage(std::shared_ptr<Connection> connection, NatsMsgPtr message);

  std::string_view subject() const override;
  std::string_view payload() const override;
  const Headers& headers() const override { return headers_; }
  uint64_t stream_sequence() const override { return stream_sequence_; }
  uint64_t deliveries() const override { return deliveries_; }
  absl::Time stored_time() const override { return stored_time_; }
  void Ack() override;
  void Nak(absl::Duration delay) override;
  void Term() override;
  void InProgress() override;

 private:
  void Reply(const std::string& answer);

  const std::shared_ptr<Connection> connection_;
  const NatsMsgPtr message_;
  Headers headers_;
  uint64_t stream_sequence_ = 0;
  uint64_t deliveries_ = 0;
  absl::Time stored_time_;
};

}  // namespace leasehold::jetstream
