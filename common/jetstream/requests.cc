#include "common/jetstream/requests.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/jetstream/nats_status.h"
#include "common/status/error.h"

namespace leasehold::jetstream {

absl::StatusOr<std::string> SendRequest(const Connection& connection, const std::string& subject,
                                        std::string_view payload, absl::Duration patience) {
  natsMsg* raw = nullptr;
  const natsStatus status =
      natsConnection_Request(&raw, connection.nats(), subject.c_str(), payload.data(), static_cast<int>(payload.size()),
                             absl::ToInt64Milliseconds(patience));
  const NatsMsgPtr answer(raw);
  if (status == NATS_NO_RESPONDERS) {
    return WithRetryAfter(Error(v1::REASON_NATS_UNAVAILABLE, absl::StrCat("nobody listens on ", subject)),
                          absl::Seconds(1));
  }
  LH_RETURN_IF_ERROR(ToStatus(status, absl::StrCat("request to ", subject)));
  return std::string(natsMsg_GetData(raw), static_cast<size_t>(natsMsg_GetDataLength(raw)));
}

absl::StatusOr<std::unique_ptr<Responder>> QueueResponder::Open(std::shared_ptr<Connection> connection,
                                                                const std::string& subject, const std::string& queue,
                                                                Handler handler) {
  std::unique_ptr<QueueResponder> responder(new QueueResponder(std::move(connection), std::move(handler)));
  natsSubscription* raw = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsConnection_QueueSubscribe(&raw, responder->connection_->nats(), subject.c_str(),
                                                            queue.c_str(), OnRequest, responder.get()),
                              absl::StrCat("listening on ", subject)));
  responder->subscription_.reset(raw);
  LH_RETURN_IF_ERROR(ToStatus(natsSubscription_SetOnCompleteCB(raw, OnComplete, responder.get()), "subscription"));
  return responder;
}

QueueResponder::~QueueResponder() {
  if (subscription_ == nullptr) return;
  (void)natsSubscription_Unsubscribe(subscription_.get());
  const absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&complete_));
}

void QueueResponder::OnRequest(natsConnection* nats, natsSubscription* /*subscription*/, natsMsg* message, void* self) {
  const NatsMsgPtr owned(message);
  const char* reply = natsMsg_GetReply(message);
  if (reply == nullptr) return;  // nobody waits for the answer
  const std::string answer = static_cast<QueueResponder*>(self)->handler_(
      {natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message))});
  (void)natsConnection_Publish(nats, reply, answer.data(), static_cast<int>(answer.size()));
}

void QueueResponder::OnComplete(void* self) {
  auto* const responder = static_cast<QueueResponder*>(self);
  const absl::MutexLock lock(&responder->mu_);
  responder->complete_ = true;
}

}  // namespace leasehold::jetstream
