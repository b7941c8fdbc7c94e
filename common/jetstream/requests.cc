#include "common/jetstream/requests.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/jetstream/nats_status.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::jetstream {
namespace {

absl::Status NobodyListens(std::string_view subject) {
  return WithRetryAfter(Error(v1::REASON_NATS_UNAVAILABLE, absl::StrCat("nobody listens on ", AbslView(subject))),
                        absl::Seconds(1));
}

// With the thread's trace. `reply` may be null.
absl::StatusOr<NatsMsgPtr> MessageTo(const std::string& subject, const char* reply, std::string_view payload) {
  natsMsg* raw = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(
      natsMsg_Create(&raw, subject.c_str(), reply, payload.data(), static_cast<int>(payload.size())), "request"));
  NatsMsgPtr message(raw);
  if (const std::string trace = ToTraceparent(CurrentTrace()); !trace.empty()) {
    LH_RETURN_IF_ERROR(ToStatus(natsMsgHeader_Set(raw, kTraceparent.data(), trace.c_str()), "header"));
  }
  return message;
}

Trace TraceOfRequest(natsMsg* message) {
  const char* value = nullptr;
  if (natsMsgHeader_Get(message, kTraceparent.data(), &value) != NATS_OK || value == nullptr) return {};
  return ParseTraceparent(value);
}

std::string DataOf(natsMsg* message) {
  return std::string(natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message)));
}

}  // namespace

absl::StatusOr<std::string> SendRequest(const Connection& connection, const std::string& subject,
                                        std::string_view payload, absl::Duration patience) {
  LH_ASSIGN_OR_RETURN(const NatsMsgPtr request, MessageTo(subject, nullptr, payload));
  const std::shared_ptr<Link> link = connection.link();
  natsMsg* raw = nullptr;
  const natsStatus status =
      natsConnection_RequestMsg(&raw, link->nats(), request.get(), absl::ToInt64Milliseconds(patience));
  const NatsMsgPtr answer(raw);
  if (status == NATS_NO_RESPONDERS) {
    return NobodyListens(subject);
  }
  LH_RETURN_IF_ERROR(ToStatus(status, absl::StrCat("request to ", subject)));
  return DataOf(raw);
}

absl::StatusOr<std::string> SendRequest(const Connection& connection, const std::string& subject,
                                        std::string_view payload, absl::Duration patience, const SecondTry& second) {
  const absl::Time give_up = absl::Now() + patience;
  const std::shared_ptr<Link> link = connection.link();
  natsConnection* const nats = link->nats();
  LH_ASSIGN_OR_RETURN(const std::string inbox, connection.NewInbox());
  natsSubscription* raw_answers = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsConnection_SubscribeSync(&raw_answers, nats, inbox.c_str()), "request"));
  const NatsSubscriptionPtr answers(raw_answers);
  for (const bool first : {true, false}) {
    const std::string& asked = first ? subject : second.subject;
    LH_ASSIGN_OR_RETURN(const NatsMsgPtr request, MessageTo(asked, inbox.c_str(), payload));
    LH_RETURN_IF_ERROR(ToStatus(natsConnection_PublishMsg(nats, request.get()), absl::StrCat("request to ", asked)));
    const absl::Time until = first ? std::min(give_up, absl::Now() + second.after) : give_up;
    natsMsg* raw = nullptr;
    const natsStatus status = natsSubscription_NextMsg(
        &raw, answers.get(), std::max<int64_t>(1, absl::ToInt64Milliseconds(until - absl::Now())));
    const NatsMsgPtr answer(raw);
    if (status == NATS_OK) return DataOf(raw);
    if (status == NATS_NO_RESPONDERS) return NobodyListens(asked);
    if (!first || status != NATS_TIMEOUT) return ToStatus(status, absl::StrCat("request to ", asked));
  }
  return NobodyListens(subject);
}

absl::StatusOr<std::unique_ptr<Responder>> QueueResponder::Open(std::shared_ptr<Connection> connection,
                                                                const std::string& subject, const std::string& queue,
                                                                Handler handler) {
  std::unique_ptr<QueueResponder> responder(
      new QueueResponder(std::move(connection), subject, queue, std::move(handler)));
  LH_RETURN_IF_ERROR(responder->connection_->Add(*responder));
  return responder;
}

QueueResponder::~QueueResponder() {
  connection_->Remove(*this);
  Stop();
}

absl::Status QueueResponder::Listen(const std::shared_ptr<Link>& link) {
  Stop();
  natsSubscription* raw = nullptr;
  const natsStatus listening =
      queue_.empty()
          ? natsConnection_Subscribe(&raw, link->nats(), subject_.c_str(), OnRequest, this)
          : natsConnection_QueueSubscribe(&raw, link->nats(), subject_.c_str(), queue_.c_str(), OnRequest, this);
  LH_RETURN_IF_ERROR(ToStatus(listening, absl::StrCat("listening on ", subject_)));
  link_ = link;
  subscription_.reset(raw);
  SetComplete(false);
  const absl::Status followed = ToStatus(natsSubscription_SetOnCompleteCB(raw, OnComplete, this), "subscription");
  if (!followed.ok()) SetComplete(true);  // the link was closed meanwhile: nothing comes
  return followed;
}

void QueueResponder::Stop() {
  if (subscription_ == nullptr) return;
  (void)natsSubscription_Unsubscribe(subscription_.get());
  {
    const absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&complete_));
  }
  subscription_.reset();
}

void QueueResponder::OnRequest(natsConnection* nats, natsSubscription* /*subscription*/, natsMsg* message, void* self) {
  const NatsMsgPtr owned(message);
  const char* reply = natsMsg_GetReply(message);
  if (reply == nullptr) return;  // nobody waits for the answer
  const TraceScope scope(TraceOfRequest(message));
  const std::string answer = static_cast<QueueResponder*>(self)->handler_(
      {natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message))});
  (void)natsConnection_Publish(nats, reply, answer.data(), static_cast<int>(answer.size()));
}

void QueueResponder::SetComplete(bool complete) {
  const absl::MutexLock lock(&mu_);
  complete_ = complete;
}

void QueueResponder::OnComplete(void* self) { static_cast<QueueResponder*>(self)->SetComplete(true); }

}  // namespace leasehold::jetstream
