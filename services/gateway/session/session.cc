#include "services/gateway/session/session.h"

#include <algorithm>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/session/limits.h"
#include "services/gateway/session/resolve.h"

namespace leasehold::gateway {
namespace {

// How long a client is given to read its last words, out of the second in which a session must be dead.
constexpr absl::Duration kFarewell = absl::Milliseconds(500);
// An outbox or inbox that once held something big is not kept.
constexpr size_t kKept = 1024;

}  // namespace

Session::Session(Admission admission, SessionContext& context, InstancePool& pool,
                 std::function<void(Session&)> on_gone)
    : context_(context),
      pool_(pool),
      log_queries_(context.query_log.Of(pool.options().service.str())),
      on_gone_(std::move(on_gone)),
      ticket_(std::move(admission.ticket)),
      client_(std::move(admission.client)),
      grant_(std::move(admission.grant)),
      tenant_(std::move(admission.tenant)),
      line_(&pool.LineFor(TargetOf(admission.route))),
      baseline_(pool.settings().Intern(std::move(admission.settings))),
      settings_(baseline_),
      idle_baseline_(admission.idle_timeout),
      welcome_(std::move(admission.welcome)),
      inbox_(std::move(admission.early)),
      bytes_in_(admission.bytes_in) {
  client_readable_ = client_.HasBuffered();
  if (!grant_->home_tenant && !tenant_) central_database_ = admission.route.database;
  CountIn(line_->share);
}

Session::~Session() = default;

void Session::Begin() {
  WatchLease();
  loop().Watch(client_.fd(), *this);
  if (context_.draining) return Drain();
  if (const auto known = line_->greetings.find(settings_); known != line_->greetings.end()) {
    heard_ = known->second;
    Greet();
  } else if (Attach()) {
    Prepared(true);
  }
}

void Session::WatchLease() {
  attachment_ =
      context_.authority.Attach(grant_, tenant_, [weak = weak_from_this(), &loop = loop()](const absl::Status& why) {
        loop.Post([weak, why] {
          if (const auto session = weak.lock()) session->End(pgwire::ToErrorFields(why));
        });
      });
}

void Session::Greet() {
  stage_ = Stage::kServing;
  outbox_ = std::exchange(welcome_, {});
  if (heard_) {
    for (const auto& [name, value] : *heard_) pgwire::ParameterStatus(outbox_, name, value);
  }
  key_ = context_.cancel_keys.Add(loop(), weak_from_this());
  pgwire::BackendKeyData(outbox_, key_.process_id, key_.secret);
  pgwire::ReadyForQuery(outbox_, 'I');
  context_.metrics.CountLogin("");
  SetIdleTimeout(idle_baseline_);
  FlushClient();
  Resume();
}

void Session::End(pgwire::ErrorFields why) {
  if (stage_ == Stage::kEnded) return;
  const auto self = shared_from_this();
  if ((stage_ == Stage::kGreeting || welcome_pending_) && !why.code.empty()) {
    context_.metrics.CountLogin(why.code);
    Log(Level::kInfo, "log-in refused", {{"sqlstate", why.code}, {"error", why.message}});
  }
  stage_ = Stage::kEnded;
  pool_.Leave(*this);
  if (server_ != nullptr) {
    Server& server = *std::exchange(server_, nullptr);
    // In a batch it is at work until the Sync.
    const bool idle = exchange_.settled() && exchange_.transaction_status() == 'I' && !exchange_.in_batch() &&
                      passing_ == 0 && from_server_ == 0;
    if (idle) {
      const bool clean = !held() && !unknown_ && changed_.empty() && resets_.empty();
      pool_.Release(server, clean ? Leftover::kNothing : Leftover::kUnknown);
    } else {
      pool_.Retire(server, !exchange_.settled());
    }
  }
  if (key_.process_id != 0) context_.cancel_keys.Remove(key_);
  // Not in its own call-back, which may be what brought us here by way of the loop.
  attachment_.reset();
  if (!why.code.empty() && from_server_ == 0) {  // in the middle of another message nothing can be said
    pgwire::ErrorResponse(outbox_, pgwire::Severity::kFatal, why);
  }
  FlushClient();
  if (why.code.empty() && outbox_.empty()) return Gone();
  // Closing with unread input would reset the connection and take the last words with it.
  if (client_.open() && outbox_.empty()) client_.ShutdownWrite();
  farewell_ = 1;
  loop().After(kFarewell, [self] { self->Gone(); });
  ReadClient();
}

void Session::Gone() {
  if (!on_gone_ || farewell_ == 2) return;
  farewell_ = 2;
  ForgetIdleTimer();
  if (client_.open()) loop().Forget(client_.fd(), *this);
  client_.Close();
  ticket_.reset();
  CountIn(nullptr);
  loop().Defer([self = shared_from_this()] { self->on_gone_(*self); });
}

bool Session::Idle() const {
  return stage_ == Stage::kServing && inbox_.empty() && outbox_.empty() && passing_ == 0 && exchange_.settled() &&
         !exchange_.in_batch() && !batch_is_ours_ && !skip_to_sync_ && exchange_.transaction_status() == 'I';
}

void Session::Drain() {
  draining_ = true;
  if (stage_ == Stage::kGreeting || welcome_pending_) {
    End(TakesNoMoreClients());
  } else if (Idle()) {
    End(pgwire::ToErrorFields(Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down")));
  }
}

void Session::CancelQuery(std::move_only_function<void()> done) {
  if (stage_ == Stage::kWaiting) {  // as PostgreSQL would have it, had the statement begun
    pool_.Leave(*this);
    OnNoServer(Cancelled());
    done();
    return;
  }
  if (stage_ == Stage::kPreparing || stage_ == Stage::kHealing) cancelled_ = true;
  // With nothing of its own outstanding there is nothing to cancel; what the server does next may be somebody else's.
  const bool its_own = stage_ == Stage::kServing || stage_ == Stage::kSettling || stage_ == Stage::kPreparing;
  if (!its_own || server_ == nullptr || exchange_.settled()) {
    done();
    return;
  }
  pool_.Cancel(*server_, std::move(done));
}

pgwire::ErrorFields Session::Cancelled() {
  return {.code = "57014", .message = "canceling statement due to user request"};
}

std::optional<absl::StatusOr<Route>> Session::Resolve(const std::optional<TenantId>& tenant) {
  const std::string key = tenant ? tenant->str() : "";
  if (const auto known = resolved_.find(key); known != resolved_.end()) return known->second;
  auto now =
      ResolveOn(loop(), context_.authority, grant_, tenant, weak_from_this(), [this, key](absl::StatusOr<Route> route) {
        if (stage_ != Stage::kResolving) return;
        resolved_.insert_or_assign(key, std::move(route));
        stage_ = Stage::kServing;
        Resume();
      });
  if (now && now->ok() && !tenant) central_database_ = (*now)->database;
  return now;
}

void Session::FlushClient() {
  while (!outbox_.empty()) {
    const Transport::Result result = client_.Write(outbox_);
    if (result.closed) {
      outbox_.clear();
      client_hung_up_ = client_readable_ = true;
      return;
    }
    if (result.bytes == 0) return;
    bytes_out_ += result.bytes;
    if (result.bytes < outbox_.size()) {
      outbox_.erase(0, result.bytes);
      continue;
    }
    if (outbox_.capacity() > kKept) {
      std::string().swap(outbox_);
    } else {
      outbox_.clear();
    }
  }
}

void Session::OnReady(uint32_t events) {
  const auto self = shared_from_this();
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) client_hung_up_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) client_readable_ = true;
  if ((events & EPOLLOUT) != 0 && !outbox_.empty()) {
    FlushClient();
    if (stage_ == Stage::kEnded && outbox_.empty()) client_.ShutdownWrite();
    // It may have waited for us to be rid of this.
    if (server_ != nullptr && outbox_.empty()) OnServerReady(*server_);
  }
  ReadClient();
}

void Session::ReadClient() {
  if (reading_) return;
  if (stage_ == Stage::kEnded) {
    while (client_readable_) {
      const Transport::Result result = client_.Read(loop().scratch());
      if (result.closed) return Gone();
      if (result.bytes == 0) client_readable_ = client_hung_up_;
      if (result.bytes == 0) return;
    }
    return;
  }
  reading_ = true;
  for (int turn = 0; client_readable_ && outbox_.size() < kUnheard && (server_ == nullptr || !server_->congested());
       ++turn) {
    // While something has to come first, only the end of the client is of interest, and that is told.
    if (stage_ != Stage::kServing && !client_hung_up_) break;
    if (turn == kTurn) {
      loop().Defer([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->ReadClient();
      });
      break;
    }
    const std::span<char> into = loop().scratch();
    const Transport::Result result = client_.Read(into);
    if (result.closed) {
      reading_ = false;
      return End({});
    }
    if (result.bytes == 0 || (result.bytes < into.size() && !client_.tls())) client_readable_ = client_hung_up_;
    if (result.bytes == 0) break;
    bytes_in_ += result.bytes;
    if (idle_timeout_ != absl::ZeroDuration()) idle_since_ = loop().now();
    const std::string_view data(into.data(), result.bytes);
    if (inbox_.empty() && stage_ == Stage::kServing) {
      const size_t used = Consume(data);
      if (stage_ == Stage::kEnded) break;
      if (!replacement_.empty()) {
        inbox_ = std::exchange(replacement_, {}).append(data.substr(used));
      } else if (used < data.size()) {
        inbox_.assign(data.substr(used));
      }
    } else {
      inbox_.append(data);
    }
    if (!inbox_.empty() && stage_ == Stage::kServing) {
      reading_ = false;
      Resume();
      reading_ = true;
    }
    if (stage_ == Stage::kEnded) break;
    // Its end is near, but it need not be let to fill our memory until then.
    if (stage_ != Stage::kServing && inbox_.size() > 16 * kUnheard) break;
  }
  reading_ = false;
  FlushClient();
  if (server_ == nullptr) CountBytes();
  if (stage_ == Stage::kServing && server_ != nullptr) AfterTransaction();
  if (draining_ && Idle()) Drain();
}

void Session::Resume() {
  const auto self = shared_from_this();
  while (!inbox_.empty() && stage_ == Stage::kServing) {
    std::string data = std::exchange(inbox_, {});
    const size_t used = Consume(data);
    if (stage_ == Stage::kEnded) return;
    if (!replacement_.empty()) {
      inbox_ = std::exchange(replacement_, {}).append(data, used);
      continue;
    }
    if (used == 0) {
      inbox_ = std::move(data);
      break;
    }
    inbox_.assign(data, used);
    if (server_ != nullptr && server_->congested()) break;
  }
  FlushClient();
  if (!reading_ && client_readable_) {
    loop().Defer([self] { self->ReadClient(); });
  } else if (stage_ == Stage::kServing && server_ != nullptr) {
    AfterTransaction();
  }
  if (draining_ && Idle()) Drain();
}

void Session::CountIn(Share* share) {
  CountBytes();
  if (counted_in_ != nullptr) --counted_in_->clients;
  counted_in_ = share;
  if (counted_in_ != nullptr) ++counted_in_->clients;
}

void Session::CountBytes() {
  if (counted_in_ == nullptr) return;
  counted_in_->tally.bytes_in += std::exchange(bytes_in_, 0);
  counted_in_->tally.bytes_out += std::exchange(bytes_out_, 0);
}

// What is outstanding behind it begins now.
void Session::CountQuery(char transaction_status) {
  const absl::Duration now = loop().now();
  const absl::Duration next = exchange_.settled() ? absl::ZeroDuration() : now;
  if (query_began_ != absl::ZeroDuration()) counted_in_->tally.queries.Observe(now - query_began_);
  query_began_ = next;
  if (transaction_status != 'I') return;
  if (transaction_began_ != absl::ZeroDuration()) pool_.CountTransaction(now - transaction_began_);
  transaction_began_ = next;
}

void Session::CountOwnAnswer() {
  if (query_began_ != absl::ZeroDuration()) counted_in_->tally.queries.Observe(loop().now() - query_began_);
  query_began_ = absl::ZeroDuration();
  if (exchange_.transaction_status() == 'I') transaction_began_ = absl::ZeroDuration();
}

}  // namespace leasehold::gateway
