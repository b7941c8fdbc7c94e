#include "common/jetstream/connection.h"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/jetstream/nats_status.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"

namespace leasehold::jetstream {
namespace {

constexpr std::string_view kInboxes = "_INBOX";
constexpr absl::Duration kFlushTimeout = absl::Seconds(1);
// How often it is seen to that a lost connection can come back; credentials that are refused are tried as often.
constexpr absl::Duration kKeepPeriod = absl::Seconds(1);

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

}  // namespace

std::string InboxPrefix(std::string_view name) {
  std::string prefix(kInboxes);
  if (name.empty()) return prefix;
  prefix += '.';
  for (const char c : name) prefix += absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ? c : '-';
  return prefix;
}

absl::StatusOr<std::shared_ptr<Connection>> Connection::Open(Client::Options options, const Security& security) {
  LH_RETURN_IF_ERROR(CheckUrl(options.url));
  std::shared_ptr<Connection> connection(new Connection(std::move(options), security));
  LH_RETURN_IF_ERROR(connection->DialFirst());
  connection->keeper_.StartEvery(kKeepPeriod, [raw = connection.get()] { raw->Keep(); });
  return connection;
}

absl::StatusOr<std::shared_ptr<Link>> Connection::Prepare() {
  return Link::Prepare(options_, inbox_prefix_, security_, [this](bool up) { OnState(up); });
}

absl::Status Connection::DialFirst() {
  LH_ASSIGN_OR_RETURN(const std::shared_ptr<Link> link, Prepare());
  // nats.c's callbacks wait for this lock: none overtakes the first report.
  absl::MutexLock report(&report_mu_);
  const absl::StatusOr<bool> up = link->Dial();
  {
    absl::MutexLock lock(&mu_);
    link_ = link;
  }
  if (!up.ok() && ReasonOf(up.status()) != v1::REASON_NATS_UNAVAILABLE) return up.status();
  Changed(up.value_or(false));
  return absl::OkStatus();
}

void Connection::Keep() {
  const std::shared_ptr<Link> link = this->link();
  if (link->connected() || (!link->closed() && !link->outdated())) {
    if (link->connected()) said_.clear();
    return;
  }
  // nats.c gives up for nothing else.
  std::string why = link->closed() ? "it refuses these credentials" : "";
  const absl::Status renewed = Renew();
  if (!renewed.ok() && ReasonOf(renewed) != v1::REASON_NATS_UNAVAILABLE) why = StdView(renewed.message());
  if (why.empty() || why == said_) return;
  Log(Level::kError, "NATS cannot be logged in to; tried again each second", {{"error", why}});
  said_ = std::move(why);
}

absl::Status Connection::Renew() {
  // While the files cannot be used, there is still the old link.
  LH_ASSIGN_OR_RETURN(const std::shared_ptr<Link> fresh, Prepare());
  link()->Close();
  {
    absl::MutexLock report(&report_mu_);
    const absl::StatusOr<bool> up = fresh->Dial();
    LH_RETURN_IF_ERROR(up.status());
    {
      absl::MutexLock lock(&mu_);
      link_ = fresh;
    }
    if (*up) Changed(true);
  }
  absl::Status listening;
  absl::MutexLock lock(&listeners_mu_);
  for (Listener* listener : listeners_) listening.Update(listener->Listen(fresh));
  return listening;
}

Connection::~Connection() { Close(); }

void Connection::Close() {
  {
    absl::MutexLock lock(&mu_);
    closing_ = true;
  }
  keeper_.Stop();
  const std::shared_ptr<Link> link = this->link();
  if (link == nullptr) return;
  if (link->connected()) natsConnection_FlushTimeout(link->nats(), absl::ToInt64Milliseconds(kFlushTimeout));
  link->Close();
}

std::shared_ptr<Link> Connection::link() const {
  absl::MutexLock lock(&mu_);
  return link_;
}

absl::StatusOr<std::string> Connection::NewInbox() const {
  // natsInbox_Create knows nothing of a connection's prefix; what comes after its own is unique.
  natsInbox* raw = nullptr;
  const natsStatus status = natsInbox_Create(&raw);
  const std::unique_ptr<natsInbox, decltype(&natsInbox_Destroy)> inbox(raw, natsInbox_Destroy);
  LH_RETURN_IF_ERROR(ToStatus(status, "inbox"));
  return inbox_prefix_ + (raw + kInboxes.size());
}

absl::Status Connection::Add(Listener& listener) {
  absl::MutexLock lock(&listeners_mu_);
  const std::shared_ptr<Link> current = link();
  // A link that is closed will be renewed.
  if (const absl::Status listening = listener.Listen(current); !listening.ok() && !current->closed()) return listening;
  listeners_.push_back(&listener);
  return absl::OkStatus();
}

void Connection::Remove(Listener& listener) {
  absl::MutexLock lock(&listeners_mu_);
  std::erase(listeners_, &listener);
}

uint64_t Connection::epoch() const {
  absl::MutexLock lock(&mu_);
  return epoch_;
}

absl::Status Connection::AwaitConnected(absl::Duration wait) const {
  absl::MutexLock lock(&mu_);
  const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return up_ || closing_; };
  mu_.AwaitWithTimeout(absl::Condition(&settled), wait);
  // nats.c's callbacks lag behind its state; what is sent in between would go into the reconnect buffer.
  return up_ && !closing_ && link_->connected() ? absl::OkStatus() : NatsUnavailable();
}

void Connection::OnState(bool up) {
  absl::MutexLock report(&report_mu_);
  Changed(up);
}

void Connection::Changed(bool up) {
  {
    absl::MutexLock lock(&mu_);
    up_ = up;
    if (up) ++epoch_;
    if (closing_) return;  // its end is no news to the owner
  }
  if (options_.on_state) options_.on_state(up ? absl::OkStatus() : NatsUnavailable());
}

}  // namespace leasehold::jetstream
