#include "common/jetstream/message.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status/view.h"

namespace leasehold::jetstream {
namespace {

Headers ReadHeaders(natsMsg* message) {
  Headers headers;
  const char** keys = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(message, &keys, &count) != NATS_OK) return headers;  // NOT_FOUND: it has none
  for (int i = 0; i < std::min(count, kMaxHeaders); ++i) {
    const char* value = nullptr;
    if (natsMsgHeader_Get(message, keys[i], &value) != NATS_OK || value == nullptr) continue;
    std::string_view name_view(keys[i]);
    std::string_view value_view(value);
    if (name_view.size() + value_view.size() > kMaxHeaderBytes) continue;
    headers.emplace(name_view, value_view);
  }
  std::free(static_cast<void*>(keys));
  return headers;
}

}  // namespace

Trace TraceOf(const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (absl::EqualsIgnoreCase(name, AbslView(kTraceparent))) return ParseTraceparent(value);
  }
  return {};
}

TakenMessage::TakenMessage(std::shared_ptr<Connection> connection, NatsMsgPtr message)
    : connection_(std::move(connection)), message_(std::move(message)), headers_(ReadHeaders(message_.get())) {
  jsMsgMetaData* raw = nullptr;
  if (natsMsg_GetMetaData(&raw, message_.get()) == NATS_OK) {
    JsMsgMetaDataPtr meta(raw);
    stream_sequence_ = meta->Sequence.Stream;
    deliveries_ = meta->NumDelivered;
    stored_time_ = absl::FromUnixNanos(meta->Timestamp);
  }
}

std::string_view TakenMessage::subject() const { return natsMsg_GetSubject(message_.get()); }

std::string_view TakenMessage::payload() const {
  const char* data = natsMsg_GetData(message_.get());
  if (data == nullptr) return {};
  return {data, static_cast<size_t>(natsMsg_GetDataLength(message_.get()))};
}

void TakenMessage::Ack() { Reply("+ACK"); }

void TakenMessage::Nak(absl::Duration delay) {
  if (delay <= absl::ZeroDuration()) return Reply("-NAK");
  Reply(absl::StrCat("-NAK {\"delay\":", absl::ToInt64Nanoseconds(delay), "}"));
}

void TakenMessage::Term() { Reply("+TERM"); }

void TakenMessage::InProgress() { Reply("+WPI"); }

// natsMsg_Ack() and its kin go through the subscription that the message came by, which may be gone. An answer given
// while the connection is down is buffered and sent after the reconnection; a lost one means redelivery.
void TakenMessage::Reply(const std::string& answer) {
  const char* reply = natsMsg_GetReply(message_.get());
  if (reply == nullptr) return;
  natsConnection_Publish(connection_->link()->nats(), reply, answer.data(), static_cast<int>(answer.size()));
}

}  // namespace leasehold::jetstream
