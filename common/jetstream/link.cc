#include "common/jetstream/link.h"

#include <format>
#include <string_view>
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

// Of a url that Connection has checked.
std::string HostOf(std::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  url.remove_prefix(url.rfind('@') + 1);
  if (url.starts_with('[')) return std::string(url.substr(1, url.find(']') - 1));
  return std::string(url.substr(0, url.find(':')));
}

// nats.c copies it. What is no C string would be cut short without a word.
absl::StatusOr<const char*> CString(const Secret& secret, std::string_view what) {
  if (const char* const text = secret.reveal_c_str(); text != nullptr) return text;
  return absl::InvalidArgumentError(std::format("{} for NATS holds a NUL byte", what));
}

}  // namespace

absl::StatusOr<std::shared_ptr<Link>> Link::Prepare(const Client::Options& options, const std::string& inbox_prefix,
                                                    const Security& security, std::function<void(bool)> on_state) {
  std::shared_ptr<Link> link(new Link(security, std::move(on_state)));
  LH_RETURN_IF_ERROR(link->Configure(options, inbox_prefix));
  LH_RETURN_IF_ERROR(link->Secure(options.url, security));
  return link;
}

absl::Status Link::Configure(const Client::Options& options, const std::string& inbox_prefix) {
  natsOptions* raw = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsOptions_Create(&raw), "options"));
  options_.reset(raw);
  for (natsStatus status : {
           natsOptions_SetURL(raw, options.url.c_str()),
           natsOptions_SetName(raw, options.name.c_str()),
           natsOptions_SetCustomInboxPrefix(raw, inbox_prefix.c_str()),
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
           natsOptions_SetRetryOnFailedConnect(raw, true, &Link::OnUp, this),
           natsOptions_SetReconnectedCB(raw, &Link::OnUp, this),
           natsOptions_SetDisconnectedCB(raw, &Link::OnDown, this),
           natsOptions_SetClosedCB(raw, &Link::OnClosed, this),
           // Without one nats.c prints asynchronous errors to stderr; each has its answer elsewhere.
           natsOptions_SetErrorHandler(
               raw, [](natsConnection*, natsSubscription*, natsStatus, void*) {}, nullptr),
       }) {
    LH_RETURN_IF_ERROR(ToStatus(status, "options"));
  }
  return absl::OkStatus();
}

absl::Status Link::Secure(const std::string& url, const Security& security) {
  natsOptions* const nats = options_.get();
  if (certificates_ != nullptr) {
    // The version first: what is replaced in between is then taken for outdated, and read again.
    version_ = certificates_->version();
    const std::shared_ptr<const tls::Credentials> pem = certificates_->Get();
    const std::string host = HostOf(url);
    LH_RETURN_IF_ERROR(ToStatus(natsOptions_SetSecure(nats, true), "options"));
    if (!pem->ca_pem().empty()) {
      LH_RETURN_IF_ERROR(ToStatus(natsOptions_SetCATrustedCertificates(nats, pem->ca_pem().c_str()), "CA"));
    }
    LH_RETURN_IF_ERROR(ToStatus(natsOptions_SetExpectedHostname(nats, host.c_str()), "options"));
    if (!pem->certificate_pem().empty()) {
      LH_ASSIGN_OR_RETURN(const char* const key, CString(pem->key_pem(), "the client certificate's key"));
      LH_RETURN_IF_ERROR(
          ToStatus(natsOptions_SetCertificatesChain(nats, pem->certificate_pem().c_str(), key), "client certificate"));
    }
  }
  if (!security.credentials_file.empty()) {
    LH_RETURN_IF_ERROR(
        ToStatus(natsOptions_SetUserCredentialsFromFiles(nats, security.credentials_file.c_str(), nullptr), "options"));
  }
  if (!security.username.empty()) {
    Secret password = security.password;
    if (!security.password_file.empty()) {
      LH_ASSIGN_OR_RETURN(password, ReadSecretFile(security.password_file));
    }
    LH_ASSIGN_OR_RETURN(const char* const text, CString(password, "the password"));
    LH_RETURN_IF_ERROR(ToStatus(natsOptions_SetUserInfo(nats, security.username.c_str(), text), "options"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Link::Dial() {
  natsConnection* nats = nullptr;
  const natsStatus status = natsConnection_Connect(&nats, options_.get());
  nats_.reset(nats);
  options_.reset();
  if (nats == nullptr) {
    absl::MutexLock lock(&mu_);
    closed_ = true;  // nats.c will not call OnClosed
    return ToStatus(status, "connect");
  }
  jsOptions options;
  LH_RETURN_IF_ERROR(ToStatus(jsOptions_Init(&options), "options"));
  options.Wait = absl::ToInt64Milliseconds(kRequestTimeout);
  jsCtx* jetstream = nullptr;
  LH_RETURN_IF_ERROR(ToStatus(natsConnection_JetStream(&jetstream, nats, &options), "JetStream context"));
  jetstream_.reset(jetstream);
  return status == NATS_OK;
}

void Link::Close() {
  {
    absl::MutexLock lock(&mu_);
    if (nats_ == nullptr || closed_) return;
  }
  natsConnection_Close(nats());
  // The closed callback is nats.c's last one.
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&closed_));
}

bool Link::connected() const { return natsConnection_Status(nats()) == NATS_CONN_STATUS_CONNECTED; }

bool Link::closed() const {
  if (nats_ != nullptr && natsConnection_IsClosed(nats())) return true;  // OnClosed follows
  absl::MutexLock lock(&mu_);
  return closed_;
}

bool Link::outdated() const { return certificates_ != nullptr && certificates_->version() != version_; }

void Link::OnUp(natsConnection*, void* self) { static_cast<Link*>(self)->on_state_(true); }

void Link::OnDown(natsConnection*, void* self) { static_cast<Link*>(self)->on_state_(false); }

void Link::OnClosed(natsConnection*, void* self) {
  auto* const link = static_cast<Link*>(self);
  absl::MutexLock lock(&link->mu_);
  link->closed_ = true;
}

}  // namespace leasehold::jetstream
