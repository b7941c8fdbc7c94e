#include "common/jetstream/pull_consumer.h"

#include <algorithm>
#include <format>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/jetstream/message.h"
#include "common/jetstream/nats_status.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

constexpr std::string_view kRequestExpired = "408";
// The server forgets a pull request when it restarts, and says nothing: ask again at least this often.
constexpr absl::Duration kLongestRequest = absl::Seconds(1);
// Between attempts, so that a server that refuses is not flooded.
constexpr absl::Duration kRetryPause = absl::Milliseconds(50);

// After the time at which the server ends a request, until this client takes it for ended.
constexpr absl::Duration kGrace = absl::Milliseconds(20);

// What the server says of a request itself has a status and, unlike a message, nowhere to be acknowledged.
std::string_view AboutRequest(natsMsg* message) {
  const char* status = nullptr;
  if (natsMsg_GetReply(message) != nullptr) return {};
  return natsMsgHeader_Get(message, "Status", &status) == NATS_OK && status != nullptr ? status : std::string_view();
}

}  // namespace

DurablePullConsumer::DurablePullConsumer(std::shared_ptr<Connection> connection, std::shared_ptr<Streams> streams,
                                         ConsumerOptions options)
    : connection_(std::move(connection)),
      streams_(std::move(streams)),
      options_(std::move(options)),
      request_subject_(absl::StrCat("$JS.API.CONSUMER.MSG.NEXT.", options_.stream, ".", options_.durable)) {}

// Then there is nothing to make, which our user may not be allowed to.
bool DurablePullConsumer::IsThere(const jsConsumerConfig& wanted) const {
  jsConsumerInfo* raw = nullptr;
  const natsStatus status =
      js_GetConsumerInfo(&raw, link_->jetstream(), options_.stream.c_str(), options_.durable.c_str(), nullptr, nullptr);
  const JsConsumerInfoPtr info(raw);
  if (status != NATS_OK) return false;
  const auto text = [](const char* it) { return std::string_view(it == nullptr ? "" : it); };
  const jsConsumerConfig& there = *info->Config;
  return there.AckPolicy == wanted.AckPolicy && there.AckWait == wanted.AckWait &&
         there.MaxAckPending == wanted.MaxAckPending && text(there.FilterSubject) == text(wanted.FilterSubject) &&
         text(there.DeliverSubject).empty();
}

absl::Status DurablePullConsumer::AddConsumer() {
  jsConsumerConfig config;
  LH_RETURN_IF_ERROR(ToStatus(jsConsumerConfig_Init(&config), "consumer options"));
  config.Durable = options_.durable.c_str();
  config.AckPolicy = js_AckExplicit;
  config.DeliverPolicy = js_DeliverAll;
  config.AckWait = absl::ToInt64Nanoseconds(options_.ack_wait);
  config.MaxAckPending = options_.max_ack_pending;
  if (!options_.filter_subject.empty()) config.FilterSubject = options_.filter_subject.c_str();
  if (IsThere(config)) return absl::OkStatus();
  jsErrCode code = {};
  const natsStatus status =
      js_AddConsumer(nullptr, link_->jetstream(), options_.stream.c_str(), &config, nullptr, &code);
  return ToStatus(status, absl::StrCat("consumer ", options_.durable), code);
}

absl::Status DurablePullConsumer::Bind() {
  subscription_.reset();
  LH_RETURN_IF_ERROR(connection_->CheckConnected());
  link_ = connection_->link();
  absl::Status added = AddConsumer();
  if (absl::IsNotFound(added)) {
    LH_RETURN_IF_ERROR(streams_->Restore(options_.stream));
    added = AddConsumer();
  }
  LH_RETURN_IF_ERROR(added);

  // A new inbox, so that nothing comes of what was asked before.
  const std::string what = absl::StrCat("consumer ", options_.durable);
  LH_ASSIGN_OR_RETURN(inbox_, connection_->NewInbox());
  natsSubscription* subscription = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsConnection_SubscribeSync(&subscription, link_->nats(), inbox_.c_str()), what));
  subscription_.reset(subscription);
  open_ = 0;
  return absl::OkStatus();
}

absl::Status DurablePullConsumer::Request(int max) {
  const uint64_t epoch = connection_->epoch();
  const absl::Time now = absl::Now();
  if (open_ > 0 && open_epoch_ == epoch && now < open_until_ + kGrace) return absl::OkStatus();
  const std::string request =
      absl::StrCat("{\"batch\":", max, ",\"expires\":", absl::ToInt64Nanoseconds(kLongestRequest), "}");
  const natsStatus sent = natsConnection_PublishRequest(link_->nats(), request_subject_.c_str(), inbox_.c_str(),
                                                        request.data(), static_cast<int>(request.size()));
  LH_RETURN_IF_ERROR(ToStatus(sent, absl::StrCat("fetch of ", options_.durable)));
  open_ = max;
  open_until_ = now + kLongestRequest;
  open_epoch_ = epoch;
  return absl::OkStatus();
}

absl::StatusOr<NatsMsgPtr> DurablePullConsumer::Next(absl::Duration wait) {
  const std::string doing = absl::StrCat("fetch of ", options_.durable);
  natsMsg* raw = nullptr;
  const natsStatus status =
      natsSubscription_NextMsg(&raw, subscription_.get(), std::max<int64_t>(1, absl::ToInt64Milliseconds(wait)));
  NatsMsgPtr message(raw);
  if (status == NATS_TIMEOUT) return nullptr;
  LH_RETURN_IF_ERROR(ToStatus(status, doing));
  const std::string_view about = AboutRequest(raw);
  if (about.empty()) {
    --open_;
    return message;
  }
  open_ = 0;
  if (about == kRequestExpired) return nullptr;
  const char* description = nullptr;
  (void)natsMsgHeader_Get(raw, "Description", &description);
  return absl::NotFoundError(std::format("{}: {} {}", doing, about, description == nullptr ? "" : description));
}

absl::StatusOr<std::vector<std::unique_ptr<Message>>> DurablePullConsumer::FetchOnce(int max, absl::Duration wait) {
  LH_RETURN_IF_ERROR(Request(max));
  std::vector<std::unique_ptr<Message>> messages;
  const absl::Duration patience = std::min(wait, open_until_ + kGrace - absl::Now());
  LH_ASSIGN_OR_RETURN(NatsMsgPtr next, Next(patience));
  // And what has come with it.
  while (next != nullptr) {
    messages.push_back(std::make_unique<TakenMessage>(connection_, std::move(next)));
    int waiting = 0;
    if (std::ssize(messages) >= max || natsSubscription_GetPending(subscription_.get(), &waiting, nullptr) != NATS_OK ||
        waiting == 0) {
      break;
    }
    // An error is met again by the next request: these messages are good.
    absl::StatusOr<NatsMsgPtr> more = Next(absl::ZeroDuration());
    if (!more.ok()) break;
    next = *std::move(more);
  }
  return messages;
}

absl::StatusOr<std::vector<std::unique_ptr<Message>>> DurablePullConsumer::Fetch(int max, absl::Duration wait) {
  const absl::Time deadline = absl::Now() + wait;
  while (true) {
    absl::Status status = connection_->AwaitConnected(deadline - absl::Now());
    if (status.ok() && (!subscription_ || link_->closed())) status = Bind();
    if (status.ok()) {
      auto messages = FetchOnce(max, std::min(deadline - absl::Now(), kLongestRequest));
      if (messages.ok() && (!messages->empty() || absl::Now() >= deadline)) return messages;
      if (messages.ok()) continue;
      status = messages.status();
      subscription_.reset();
    }
    if (absl::Now() + kRetryPause >= deadline) return status;
    absl::SleepFor(kRetryPause);
  }
}

}  // namespace leasehold::jetstream
