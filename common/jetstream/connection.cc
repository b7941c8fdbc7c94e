#include "common/jetstream/connection.h"

#include <charconv>
#include <ranges>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/jetstream/nats_status.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

constexpr std::string_view kInboxes = "_INBOX";
constexpr absl::Duration kReconnectWait = absl::Milliseconds(100);
constexpr absl::Duration kReconnectJitter = absl::Milliseconds(100);
constexpr absl::Duration kDialTimeout = absl::Seconds(2);
// A server that vanished without a word is noticed after interval * (max pings out + 1).
constexpr absl::Duration kPingInterval = absl::Seconds(3);
constexpr int kMaxPingsOut = 2;
constexpr absl::Duration kFlushTimeout = absl::Seconds(1);

// nats.c takes almost anything for a URL and then never connects.
absl::Status CheckUrl(std::string_view url) {
  if (url.empty()) return InvalidField("nats.url", url, "nats://host:port");
  for (const auto part : std::views::split(url, ',')) {
    std::string_view one(part.begin(), part.end());
    bool good = one.starts_with("nats://") || one.starts_with("tls://");
    if (good) one.remove_prefix(one.find("://") + 3);
    one.remove_prefix(one.rfind('@') + 1);  // npos + 1 is 0; what is before is a secret
    const size_t colon = one.rfind(':');
    const std::string_view host = one.substr(0, colon);
    good = good && !host.empty() && host.find_first_of(" /?#\t\r\n") == std::string_view::npos &&
           host.starts_with('[') == host.ends_with(']');
    if (good && colon != std::string_view::npos) {
      int port = 0;
      const auto [end, error] = std::from_chars(one.data() + colon + 1, one.data() + one.size(), port);
      good = error == std::errc() && end == one.data() + one.size() && port > 0 && port <= 65535;
    }
    if (!good) return InvalidField("nats.url", one, "nats://host:port");
  }
  return absl::OkStatus();
}

// Of a url that CheckUrl has seen.
std::string HostOf(std::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  url.remove_prefix(url.rfind('@') + 1);
  if (url.starts_with('[')) return std::string(url.substr(1, url.find(']') - 1));
  return std::string(url.substr(0, url.find(':')));
}

}  // namespace

std::string InboxPrefix(std::string_view name) {
  std::string prefix(kInboxes);
  if (name.empty()) return prefix;
  prefix += '.';
  for (const char c : name) prefix += absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ? c : '-';
  return prefix;
}

absl::StatusOr<std::shared_ptr<Connection>> Connection::Open(Client::Options options, const Security& security) {
  auto on_state = std::move(options.on_state);
  std::shared_ptr<Connection> connection(new Connection(std::move(on_state), InboxPrefix(options.name)));
  LH_RETURN_IF_ERROR(connection->Dial(options, security));
  return connection;
}

absl::Status Connection::Dial(const Client::Options& options, const Security& security) {
  LH_RETURN_IF_ERROR(CheckUrl(options.url));
  natsOptions* raw = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsOptions_Create(&raw), "options"));
  NatsOptionsPtr nats_options(raw);
  for (natsStatus status : {
           natsOptions_SetURL(raw, options.url.c_str()),
           natsOptions_SetName(raw, options.name.c_str()),
           natsOptions_SetCustomInboxPrefix(raw, inbox_prefix_.c_str()),
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

  LH_RETURN_IF_ERROR(Secure(raw, options.url, security));

  // nats.c's callbacks wait for this lock: none overtakes the first report.
  absl::MutexLock report(&report_mu_);
  natsConnection* nats = nullptr;
  const natsStatus status = natsConnection_Connect(&nats, raw);
  nats_.reset(nats);
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

absl::Status Connection::Secure(natsOptions* nats, const std::string& url, const Security& security) {
  if (!security.ca_file.empty()) {
    const std::string host = HostOf(url);
    LH_RETURN_IF_ERROR(ToStatus(natsOptions_SetSecure(nats, true), "options"));
    LH_RETURN_IF_ERROR(ToStatus(natsOptions_LoadCATrustedCertificates(nats, security.ca_file.c_str()), "CA"));
    LH_RETURN_IF_ERROR(ToStatus(natsOptions_SetExpectedHostname(nats, host.c_str()), "options"));
  }
  if (!security.certificate_file.empty()) {
    LH_RETURN_IF_ERROR(
        ToStatus(natsOptions_LoadCertificatesChain(nats, security.certificate_file.c_str(), security.key_file.c_str()),
                 "client certificate"));
  }
  if (!security.credentials_file.empty()) {
    LH_RETURN_IF_ERROR(
        ToStatus(natsOptions_SetUserCredentialsFromFiles(nats, security.credentials_file.c_str(), nullptr), "options"));
  }
  if (!security.username.empty()) {
    const std::string password(security.password.reveal());
    LH_RETURN_IF_ERROR(ToStatus(natsOptions_SetUserInfo(nats, security.username.c_str(), password.c_str()), "options"));
  }
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

absl::StatusOr<std::string> Connection::NewInbox() const {
  // natsInbox_Create knows nothing of a connection's prefix; what comes after its own is unique.
  natsInbox* raw = nullptr;
  const natsStatus status = natsInbox_Create(&raw);
  const std::unique_ptr<natsInbox, decltype(&natsInbox_Destroy)> inbox(raw, natsInbox_Destroy);
  LH_RETURN_IF_ERROR(ToStatus(status, "inbox"));
  return inbox_prefix_ + (raw + kInboxes.size());
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
  // nats.c's callbacks lag behind its state; what is sent in between would go into the reconnect buffer.
  return up_ && !closing_ && connected() ? absl::OkStatus() : NatsUnavailable();
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
    if (closing_) return;  // its end is no news to the owner
  }
  if (on_state_) on_state_(up ? absl::OkStatus() : NatsUnavailable());
}

}  // namespace leasehold::jetstream
