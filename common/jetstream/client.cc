#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/jetstream/connection.h"
#include "common/jetstream/jetstream.h"
#include "common/jetstream/key_value.h"
#include "common/jetstream/nats_status.h"
#include "common/jetstream/pull_consumer.h"
#include "common/jetstream/requests.h"
#include "common/jetstream/streams.h"
#include "common/jetstream/subject.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

class NatsClient : public Client {
 public:
  explicit NatsClient(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)), streams_(std::make_shared<Streams>(connection_)) {}

  // Messages and consumers may outlive the client; its callbacks may not.
  ~NatsClient() override { connection_->Close(); }

  bool connected() const override { return connection_->connected(); }

  absl::Status EnsureStream(const StreamOptions& options) override {
    LH_RETURN_IF_ERROR(CheckName("stream", options.name));
    return streams_->Ensure(options);
  }

  absl::Status Publish(const std::string& subject, std::string_view payload, const Headers& headers,
                       const std::string& message_id) override {
    LH_RETURN_IF_ERROR(CheckSubject(subject));
    LH_RETURN_IF_ERROR(CheckHeaders(headers));
    LH_RETURN_IF_ERROR(CheckHeaders({{"Nats-Msg-Id", message_id}}));
    LH_RETURN_IF_ERROR(connection_->CheckConnected());

    natsMsg* raw = nullptr;
    LH_RETURN_IF_ERROR(ToStatus(
        natsMsg_Create(&raw, subject.c_str(), nullptr, payload.data(), static_cast<int>(payload.size())), "message"));
    NatsMsgPtr message(raw);
    for (const auto& [name, value] : headers) {
      LH_RETURN_IF_ERROR(ToStatus(natsMsgHeader_Set(raw, name.c_str(), value.c_str()), "header"));
    }
    if (const std::string trace = ToTraceparent(CurrentTrace()); !trace.empty() && !TraceOf(headers)) {
      LH_RETURN_IF_ERROR(ToStatus(natsMsgHeader_Set(raw, kTraceparent.data(), trace.c_str()), "header"));
    }
    jsPubOptions options;
    LH_RETURN_IF_ERROR(ToStatus(jsPubOptions_Init(&options), "publish options"));
    options.MaxWait = absl::ToInt64Milliseconds(kRequestTimeout);
    if (!message_id.empty()) options.MsgId = message_id.c_str();

    const std::shared_ptr<Link> link = connection_->link();
    jsErrCode code = {};
    natsStatus status = js_PublishMsg(nullptr, link->jetstream(), raw, &options, &code);
    if (status == NATS_NO_RESPONDERS) {  // connected, but no stream takes the subject: it was lost
      LH_RETURN_IF_ERROR(streams_->RestoreAll());
      status = js_PublishMsg(nullptr, link->jetstream(), raw, &options, &code);
    }
    return ToStatus(status, absl::StrCat("publish to ", subject), code);
  }

  absl::StatusOr<std::unique_ptr<PullConsumer>> Subscribe(const ConsumerOptions& options) override {
    LH_RETURN_IF_ERROR(CheckName("durable", options.durable));
    auto consumer = std::make_unique<DurablePullConsumer>(connection_, streams_, options);
    LH_RETURN_IF_ERROR(consumer->Bind());
    return consumer;
  }

  absl::StatusOr<uint64_t> Pending(const std::string& stream, const std::string& durable) override {
    LH_RETURN_IF_ERROR(CheckName("stream", stream));
    LH_RETURN_IF_ERROR(CheckName("durable", durable));
    LH_RETURN_IF_ERROR(connection_->CheckConnected());
    const std::shared_ptr<Link> link = connection_->link();
    jsConsumerInfo* raw = nullptr;
    jsErrCode code = {};
    const natsStatus status =
        js_GetConsumerInfo(&raw, link->jetstream(), stream.c_str(), durable.c_str(), nullptr, &code);
    const JsConsumerInfoPtr info(raw);
    LH_RETURN_IF_ERROR(ToStatus(status, absl::StrCat("consumer ", durable), code));
    return info->NumPending + static_cast<uint64_t>(info->NumAckPending);
  }

  absl::StatusOr<std::unique_ptr<KeyValue>> OpenKeyValue(const KeyValueOptions& options, KeyValueWatch watch) override {
    LH_RETURN_IF_ERROR(CheckName("bucket", options.bucket));
    return WatchedBucket::Open(connection_, options, std::move(watch));
  }

  absl::StatusOr<std::string> Request(const std::string& subject, std::string_view payload,
                                      absl::Duration patience) override {
    LH_RETURN_IF_ERROR(CheckSubject(subject));
    LH_RETURN_IF_ERROR(connection_->CheckConnected());
    return SendRequest(*connection_, subject, payload, patience);
  }

  absl::StatusOr<std::string> Request(const std::string& subject, std::string_view payload, absl::Duration patience,
                                      const SecondTry& second) override {
    LH_RETURN_IF_ERROR(CheckSubject(subject));
    LH_RETURN_IF_ERROR(CheckSubject(second.subject));
    LH_RETURN_IF_ERROR(connection_->CheckConnected());
    return SendRequest(*connection_, subject, payload, patience, second);
  }

  absl::StatusOr<std::unique_ptr<Responder>> Respond(
      const std::string& subject, const std::string& queue,
      std::function<std::string(std::string_view request)> handler) override {
    LH_RETURN_IF_ERROR(CheckSubject(subject));
    if (!queue.empty()) LH_RETURN_IF_ERROR(CheckName("queue", queue));
    return QueueResponder::Open(connection_, subject, queue, std::move(handler));
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<Streams> streams_;
};

StreamOptions EventStream(std::string name, std::string subjects, int replicas) {
  StreamOptions options;
  options.name = std::move(name);
  options.subjects = {std::move(subjects)};
  options.replicas = replicas;
  options.max_age = absl::Hours(24 * 7);
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(Options options) {
  LH_ASSIGN_OR_RETURN(std::shared_ptr<Connection> connection, Connection::Open(std::move(options)));
  return std::make_unique<NatsClient>(std::move(connection));
}

absl::StatusOr<std::unique_ptr<Client>> Connect(Client::Options options, const Security& security) {
  LH_ASSIGN_OR_RETURN(std::shared_ptr<Connection> connection, Connection::Open(std::move(options), security));
  return std::make_unique<NatsClient>(std::move(connection));
}

StreamOptions TenantsStream(int replicas) { return EventStream("TENANTS", "tenants.>", replicas); }

StreamOptions ProvisioningStream(int replicas) { return EventStream("PROVISIONING", "provisioning.>", replicas); }

}  // namespace leasehold::jetstream
