// A message of no server, which remembers what became of it. Tests only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/jetstream/jetstream.h"

namespace leasehold::events {

class FakeMessage : public jetstream::Message {
 public:
  FakeMessage(std::string subject, std::string payload) : subject_(std::move(subject)), payload_(std::move(payload)) {}
  std::string_view subject() const override { return subject_; }
  std::string_view payload() const override { return payload_; }
  const jetstream::Headers& headers() const override { return headers_; }
  uint64_t stream_sequence() const override { return 7; }
  uint64_t deliveries() const override { return times_delivered; }
  absl::Time stored_time() const override { return stored; }
  void Ack() override { fate = "ack"; }
  void Nak(absl::Duration) override { fate = "nak"; }
  void Term() override { fate = "term"; }
  void InProgress() override {}

  std::string fate;
  uint64_t times_delivered = 1;
  absl::Time stored = absl::UnixEpoch();

 private:
  std::string subject_;
  std::string payload_;
  jetstream::Headers headers_;
};

}  // namespace leasehold::events
