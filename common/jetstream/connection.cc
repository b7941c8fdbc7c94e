#include "common/jetstream/connection.h"

#include <utility>

#include "common/jetstream/nats_status.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

constexpr absl::Duration kReconnectWait = absl::Milliseconds(100);
constexpr absl::Duration kReconnectJitter = absl::Milliseconds(100);
constexpr absl::Duration kDialTimeout = absl::Seconds(2);
// A server that vanished without a word is noticed after interval * (max pings out + 1).
constexpr absl::Duration kPingInterval = absl::Seconds(3);
constexpr int kMaxPingsOut = 2;
constexpr absl::Duration kFlushTimeout = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::shared_ptr<Connection>> Connection::Open(Client::Options options) {
  auto on_state = std::move(options.on_state);
  std::shared_ptr<Connection> connection(new Connection(std::move(on_state)));
  LH_RETURN_IF_ERROR(connection->Dial(options));
  return connection;
}

absl::Status Connection::Dial(const Client::Options& options) {
  natsOptions* raw = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsOptions_Create(&raw), "options"));
  NatsOptionsPtr nats_options(raw);
  if (natsOptions_SetURL(raw, options.url.c_str()) != NATS_OK) {
    return InvalidField("nats.url", options.url, "nats://host:port");
  }
  for (natsStatus status : {
           natsOptions_SetName(raw, options.name.c_str()),
           natsOptions_SetTimeout(raw, absl::ToInt64Milliseconds(kDialTimeout)),
           natsOptions_SetAllowReconnect(raw, true),
           natsOptions_SetMaxReconnect(raw, -1),
           natsOptions_SetReconnectWait(raw, absl::ToInt64Milliseconds(kReconnectWait)),
           natsOptions_SetReconnectJitter(raw, absl::ToInt64Milliseconds(kReconnectJitter),
                                          absl::ToInt64Milliseconds(kReconnectJitter)),
           natsOptions_SetPingInterval(raw, absl::ToInt64Milliseconds(kPingInterval)),
           natsOptions_SetMaxPingsOut(raw, kMaxPingsOut),
           natsOptions_SetSendAsap(raw, true),
           natsOptions_SetFailRequestsOnDisconnect(raw, true),
           natsOptions_SetRetryOnFailedConnect(raw, true, &Connection::OnUp, this),
           natsOptions_SetReconnectedCB(raw, &Connection::OnUp, this),
           natsOptions_SetDisconnectedCB(raw, &Connection::OnDown, this),
           natsOptions_SetClosedCB(raw, &Connection::OnClosed, this),
           // Without one nats.c prints asynchronous errors to stderr; each has its answer elsewhere.
           natsOptions_SetErrorHandler(
               raw, [](natsConnection*, natsSubscription*, natsStatus, void*) {}, nullptr),
       }) {
    LH_RETURN_IF_ERROR(ToStatus(status, "options"));
  }

  // nats.c's callbacks wait for this lock: none overtakes the first report.
  absl::MutexLock report(&report_mu_);
  natsConnection* nats = nullptr;
  const natsStatus status = natsConnection_Connect(&nats, raw);
  nats_.reset(nats);
  if (status == NATS_INVALID_ARG || status == NATS_ADDRESS_MISSING || status == NATS_PROTOCOL_ERROR) {
    return InvalidField("nats.url", options.url, "nats://host:port");
  }
  if (status != NATS_OK && status != NATS_NOT_YET_CONNECTED) return ToStatus(status, "connect");
  {
    absl::MutexLock lock(&mu_);
    dialled_ = true;
  }
  jsOptions js_options;
  LH_RETURN_IF_ERROR(ToStatus(jsOptions_Init(&js_options), "options"));
  js_options.Wait = absl::ToInt64Milliseconds(kRequestTimeout);
  jsCtx* jetstream = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsConnection_JetStream(&jetstream, nats, &js_options), "JetStream context"));
  jetstream_.reset(jetstream);
  Changed(status == NATS_OK);
  return absl::OkStatus();
}

Connection::~Connection() { Close(); }

void Connection::Close() {
  {
    absl::MutexLock lock(&mu_);
    closing_ = true;
    if (!dialled_ || closed_) return;
  }
  if (connected()) natsConnection_FlushTimeout(nats(), absl::ToInt64Milliseconds(kFlushTimeout));
  natsConnection_Close(nats());
  // The closed callback is nats.c's last one.
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&closed_));
}

bool Connection::connected() const { return natsConnection_Status(nats()) == NATS_CONN_STATUS_CONNECTED; }

uint64_t Connection::epoch() const {
  absl::MutexLock lock(&mu_);
  return epoch_;
}

absl::Status Connection::AwaitConnected(absl::Duration wait) const {
  absl::MutexLock lock(&mu_);
  const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return up_ || closing_; };
  mu_.AwaitWithTimeout(absl::Condition(&settled), wait);
  return up_ && !closing_ ? absl::OkStatus() : NatsUnavailable();
}

void Connection::OnUp(natsConnection*, void* self) {
  auto* connection = static_cast<Connection*>(self);
  absl::MutexLock report(&connection->report_mu_);
  connection->Changed(true);
}

void Connection::OnDown(natsConnection*, void* self) {
  auto* connection = static_cast<Connection*>(self);
  absl::MutexLock report(&connection->report_mu_);
  connection->Changed(false);
}

void Connection::OnClosed(natsConnection*, void* self) {
  auto* connection = static_cast<Connection*>(self);
  absl::MutexLock lock(&connection->mu_);
  connection->up_ = false;
  connection->closed_ = true;
}

void Connection::Changed(bool up) {
  {
    absl::MutexLock lock(&mu_);
    up_ = up;
    if (up) ++epoch_;
  }
  if (on_state_) on_state_(up ? absl::OkStatus() : NatsUnavailable());
}

}  // namespace leasehold::jetstream
