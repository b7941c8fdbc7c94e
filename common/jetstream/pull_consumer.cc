#include "common/jetstream/pull_consumer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/jetstream/message.h"
#include "common/jetstream/nats_status.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

// The server forgets a pull request when it restarts, and says nothing: ask again at least this often.
constexpr absl::Duration kLongestRequest = absl::Seconds(1);
// Between attempts, so that a server that refuses is not flooded.
constexpr absl::Duration kRetryPause = absl::Milliseconds(50);

struct FetchedList : natsMsgList {
  FetchedList() : natsMsgList{nullptr, 0} {}
  ~FetchedList() { natsMsgList_Destroy(this); }
  FetchedList(const FetchedList&) = delete;
  FetchedList& operator=(const FetchedList&) = delete;
};

}  // namespace

DurablePullConsumer::DurablePullConsumer(std::shared_ptr<Connection> connection, std::shared_ptr<Streams> streams,
                                         ConsumerOptions options)
    : connection_(std::move(connection)), streams_(std::move(streams)), options_(std::move(options)) {}

absl::Status DurablePullConsumer::AddConsumer() {
  jsConsumerConfig config;
  LH_RETURN_IF_ERROR(ToStatus(jsConsumerConfig_Init(&config), "consumer options"));
  config.Durable = options_.durable.c_str();
  config.AckPolicy = js_AckExplicit;
  config.DeliverPolicy = js_DeliverAll;
  config.AckWait = absl::ToInt64Nanoseconds(options_.ack_wait);
  config.MaxAckPending = options_.max_ack_pending;
  if (!options_.filter_subject.empty()) config.FilterSubject = options_.filter_subject.c_str();
  jsErrCode code = {};
  const natsStatus status =
      js_AddConsumer(nullptr, connection_->jetstream(), options_.stream.c_str(), &config, nullptr, &code);
  return ToStatus(status, absl::StrCat("consumer ", options_.durable), code);
}

absl::Status DurablePullConsumer::Bind() {
  subscription_.reset();
  LH_RETURN_IF_ERROR(connection_->CheckConnected());
  absl::Status added = AddConsumer();
  if (absl::IsNotFound(added)) {
    LH_RETURN_IF_ERROR(streams_->Restore(options_.stream));
    added = AddConsumer();
  }
  LH_RETURN_IF_ERROR(added);

  // Bound to what exists: a consumer that the subscription itself made would be deleted with it.
  jsSubOptions sub_options;
  LH_RETURN_IF_ERROR(ToStatus(jsSubOptions_Init(&sub_options), "consumer options"));
  sub_options.Stream = options_.stream.c_str();
  sub_options.Consumer = options_.durable.c_str();
  natsSubscription* subscription = nullptr;
  jsErrCode code = {};
  const natsStatus status = js_PullSubscribe(&subscription, connection_->jetstream(), options_.filter_subject.c_str(),
                                             options_.durable.c_str(), nullptr, &sub_options, &code);
  LH_RETURN_IF_ERROR(ToStatus(status, absl::StrCat("consumer ", options_.durable), code));
  subscription_.reset(subscription);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::unique_ptr<Message>>> DurablePullConsumer::FetchOnce(int max, absl::Duration wait) {
  FetchedList list;
  jsErrCode code = {};
  const int64_t milliseconds = std::max<int64_t>(1, absl::ToInt64Milliseconds(wait));
  const natsStatus status = natsSubscription_Fetch(&list, subscription_.get(), max, milliseconds, &code);
  std::vector<std::unique_ptr<Message>> messages;
  if (status == NATS_TIMEOUT || (status == NATS_NOT_FOUND && code == 0)) return messages;
  LH_RETURN_IF_ERROR(ToStatus(status, absl::StrCat("fetch of ", options_.durable), code));
  for (int i = 0; i < list.Count; ++i) {
    messages.push_back(std::make_unique<TakenMessage>(connection_, NatsMsgPtr(std::exchange(list.Msgs[i], nullptr))));
  }
  return messages;
}

absl::StatusOr<std::vector<std::unique_ptr<Message>>> DurablePullConsumer::Fetch(int max, absl::Duration wait) {
  const absl::Time deadline = absl::Now() + wait;
  while (true) {
    absl::Status status = connection_->AwaitConnected(deadline - absl::Now());
    if (status.ok() && !subscription_) status = Bind();
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
