#include "services/gateway/session/login.h"

#include <algorithm>
#include <exception>
#include <format>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/scram/scram.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "common/tls/end_point.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/pgwire/time_setting.h"
#include "services/gateway/session/peer_address.h"
#include "services/gateway/session/resolve.h"

namespace leasehold::gateway {
namespace {

// The content type that a TLS connection begins with; no start-up packet does.
constexpr char kTlsHandshake = 0x16;
// How long a client is given to read why it was refused.
constexpr absl::Duration kFarewell = absl::Milliseconds(500);
constexpr absl::Duration kResolvePatience = absl::Seconds(10);
// Of ParameterStatus and the like; what a client may set when it logs in.
constexpr size_t kMostSettings = 64;

// The same whether the name is unknown or the password wrong.
absl::Status BadCredentials() {
  return Error(v1::REASON_BAD_CREDENTIALS, "the lease's user name or password is wrong");
}

pgwire::ErrorFields Violation(std::string message) { return {.code = "08P01", .message = std::move(message)}; }

pgwire::ErrorFields NoSuchDatabase(std::string_view database) {
  return {.code = "3D000",
          .message = std::format("database \"{}\" does not exist or is not the lease's", Printable(database)),
          .hint = "Leave the database name out to start where the lease begins."};
}

bool SameWord(std::string_view a, std::string_view b) { return absl::EqualsIgnoreCase(AbslView(a), AbslView(b)); }

}  // namespace

Login::Login(Transport client, std::unique_ptr<ClientTicket> ticket, SessionContext& context)
    : context_(context), ticket_(std::move(ticket)), client_(std::move(client)) {}

Login::~Login() {
  if (timer_) host_->loop().Cancel(*timer_);
}

void Login::Begin(Host& host) {
  host_ = &host;
  accepted_ = host.loop().now();
  LimitTo(context_.login_timeout);
  client_.Enter(host.loop());
  run_ = Run();
  run_->Start();
}

Task<void> Login::GoToDesk() {
  if (std::exchange(at_desk_, true)) co_return;
  moving_ = true;
  client_.Leave();
  host_->loop().Cancel(*std::exchange(timer_, {}));
  // Not before this has come to wait.
  host_->loop().Defer([this] { host_->TakeToDesk(*this); });
  co_await word_;
}

void Login::Continue(Host& desk) {
  host_ = &desk;
  moving_ = false;
  // Many may have come to the desk at once, and some have waited in vain.
  const bool late = desk.loop().now() - accepted_ >= context_.login_timeout;
  if (late || client_.transport().HungUp()) return desk.Done(*this, std::nullopt);
  LimitTo(accepted_ + context_.login_timeout - desk.loop().now());
  client_.Enter(desk.loop());
  if (context_.draining) {  // it was on its way while the others were told
    const bool dismissed = named_;
    Drain();
    if (dismissed) return;
  }
  word_.Notify();
}

void Login::Drain() {
  if (settled_ || moving_) return;
  if (!named_) return LimitTo(std::min(kFarewell, accepted_ + context_.login_timeout - host_->loop().now()));
  word_.Forget();
  awaits_word_ = false;
  if (!client_.Abandon()) return host_->Done(*this, std::nullopt);
  run_.emplace(Dismiss());
  run_->Start();
}

void Login::LimitTo(absl::Duration duration) {
  if (timer_) host_->loop().Cancel(*timer_);
  timer_ = host_->loop().After(duration, [this] { OnTime(); });
}

void Login::OnTime() {
  timer_.reset();
  if (awaits_word_) return word_.Notify();
  host_->Done(*this, std::nullopt);  // too late, without a word
}

Task<void> Login::Run() {
  std::optional<Admission> admission;
  try {
    admission = co_await Serve();
  } catch (const std::exception& thrown) {  // a defect of one log-in must not take the others along
    Log(Level::kError, "exception in a log-in", {{"what", thrown.what()}});
  }
  Finish(std::move(admission));
}

Task<void> Login::Dismiss() {
  why_ = v1::REASON_SHUTTING_DOWN;
  co_await Refuse(TakesNoMoreClients());
  Finish(std::nullopt);
}

void Login::Finish(std::optional<Admission> admission) {
  settled_ = true;
  if (timer_) host_->loop().Cancel(*std::exchange(timer_, {}));
  // Done() destroys this coroutine, so not out of it.
  host_->loop().Defer([this, admission = std::move(admission)]() mutable { host_->Done(*this, std::move(admission)); });
}

Task<std::optional<Admission>> Login::Serve() {
  const Outcome outcome = co_await Admit();
  if (!outcome) {
    if (!outcome.error().code.empty()) co_await Refuse(outcome.error());
    co_return std::nullopt;
  }
  co_return Admission{.client = client_.Release(),
                      .early = std::string(inbox_.Data()),
                      .welcome = std::move(answers_),
                      .grant = grant_,
                      .tenant = tenant_,
                      .route = *std::move(route_),
                      .settings = std::move(settings_),
                      .idle_timeout = idle_timeout_,
                      .bytes_in = bytes_in_,
                      .ticket = std::move(ticket_)};
}

Task<void> Login::Refuse(pgwire::ErrorFields why) {
  settled_ = true;
  context_.metrics.CountLogin(why.code);
  Log(Level::kInfo, "log-in refused", {{"sqlstate", why.code}, {"error", why.message}, {"user", Printable(user_, 80)}});
  Record(v1::AUDIT_ACTION_SESSION_LOGIN, why.code == "3D000" ? v1::REASON_TENANT_NOT_FOUND : why_, why.code);
  std::string words;
  pgwire::ErrorResponse(words, pgwire::Severity::kFatal, why);
  LimitTo(kFarewell);
  if (!co_await client_.Write(words)) co_return;
  // Closing with unread input would reset the connection and take the last words with it.
  client_.transport().ShutdownWrite();
  char rest[512];
  while (co_await client_.ReadSome(rest) > 0) {
  }
}

Task<bool> Login::ReadMore() {
  if (inbox_.full()) co_return false;
  const size_t count = co_await client_.ReadSome(inbox_.Free());
  inbox_.Filled(count);
  bytes_in_ += count;
  co_return count > 0;
}

Task<bool> Login::Flush() {
  const std::string bytes = std::exchange(answers_, {});
  co_return co_await client_.Write(bytes);
}

Task<Login::Outcome> Login::Admit() {
  auto startup = co_await ReadStartup();
  if (!startup) co_return std::unexpected(std::move(startup.error()));
  user_ = startup->user;
  named_ = true;
  if (context_.require_tls && !client_.tls()) {
    co_return std::unexpected(pgwire::ErrorFields{.code = "28000",
                                                  .message = "this gateway takes TLS connections only",
                                                  .hint = "Connect with sslmode=verify-full."});
  }
  if (startup->NeedsNegotiation()) pgwire::NegotiateProtocolVersion(answers_, startup->protocol_options);
  if (context_.clients.count() > context_.max_clients) {
    co_return Because(Error(v1::REASON_TOO_MANY_CLIENTS,
                            std::format("this gateway serves its {} clients already", context_.max_clients)));
  }
  if (client_.transport().fd() >= context_.descriptors.ForClients()) {
    co_return Because(
        Error(v1::REASON_TOO_MANY_CLIENTS, "this gateway has no file descriptor left for another client"));
  }
  if (context_.draining) {
    why_ = v1::REASON_SHUTTING_DOWN;
    co_return std::unexpected(TakesNoMoreClients());
  }
  if (Outcome outcome = co_await Authenticate(); !outcome) co_return outcome;
  if (Outcome outcome = TakeSettings(*startup); !outcome) co_return outcome;
  if (Outcome outcome = co_await ChooseStart(startup->database == startup->user ? "" : startup->database); !outcome) {
    co_return outcome;
  }
  if (tenant_ != grant_->start_tenant && tenant_ != grant_->home_tenant) {
    if (context_.audit != nullptr) {
      if (const absl::Status admitted = context_.audit->Admit(); !admitted.ok()) {
        co_return Because(admitted);
      }
    }
    Record(v1::AUDIT_ACTION_SESSION_SWITCH, v1::REASON_UNSPECIFIED, "at log-in");
  }
  pgwire::AuthenticationOk(answers_);
  co_return Outcome();
}

std::unexpected<pgwire::ErrorFields> Login::Because(const absl::Status& why) {
  why_ = ReasonOf(why);
  return std::unexpected(pgwire::ToErrorFields(why));
}

void Login::Record(v1::AuditAction action, v1::Reason outcome, std::string_view detail) {
  if (context_.audit == nullptr || !context_.audit->on()) return;
  const std::string address = PeerAddress(client_.transport().fd());
  std::string lease;
  AuditEntry entry{.action = action, .outcome = outcome, .address = address, .detail = detail};
  if (grant_) {  // proven
    entry.principal = grant_->principal;
    entry.holder = grant_->holder;
    lease = grant_->id.str();
    entry.lease = lease;
    entry.service = grant_->service.str();
    if (tenant_) entry.tenant = tenant_->str();
  }
  context_.audit->Record(entry);
}

Task<absl::StatusOr<Route>> Login::Resolve(std::optional<TenantId> tenant) {
  const auto answer = std::make_shared<std::optional<absl::StatusOr<Route>>>();
  *answer = ResolveOn(host_->loop(), context_.authority, grant_, tenant, answer,
                      [this, place = answer.get()](absl::StatusOr<Route> route) {
                        *place = std::move(route);
                        word_.Notify();
                      });
  if (!*answer) {
    LimitTo(kResolvePatience);
    awaits_word_ = true;
    co_await word_;
    awaits_word_ = false;
  }
  if (!*answer) co_return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer");
  co_return *std::move(*answer);
}

Task<std::expected<pgwire::StartupMessage, pgwire::ErrorFields>> Login::ReadStartup() {
  // Encryption may be asked for once each way, then comes the packet that counts.
  if (Outcome outcome = co_await DetectDirectTls(); !outcome) co_return std::unexpected(std::move(outcome.error()));
  for (int requests = 0; requests < 3;) {
    pgwire::StartupDecoded decoded = pgwire::DecodeStartup(inbox_.Data());
    if (decoded.answer == pgwire::Answer::kStop) co_return std::unexpected(std::move(decoded.error));
    if (decoded.answer == pgwire::Answer::kNeedMore) {
      if (!co_await ReadMore()) co_return std::unexpected(pgwire::ErrorFields());
      continue;
    }
    inbox_.Consume(decoded.consumed);
    ++requests;
    if (auto* startup = std::get_if<pgwire::StartupMessage>(&decoded.packet)) co_return std::move(*startup);
    if (const auto* cancel = std::get_if<pgwire::CancelRequest>(&decoded.packet)) {
      co_await ForwardCancel(*cancel);
      co_return std::unexpected(pgwire::ErrorFields());
    }
    // What was sent in clear behind the request must not pass for a part of what TLS protects.
    if (inbox_.size() > 0 || client_.tls()) co_return std::unexpected(pgwire::ErrorFields());
    if (std::holds_alternative<pgwire::SslRequest>(decoded.packet)) {
      if (Outcome outcome = co_await AnswerSslRequest(); !outcome)
        co_return std::unexpected(std::move(outcome.error()));
    } else if (!co_await client_.Write("N")) {
      co_return std::unexpected(pgwire::ErrorFields());
    }
  }
  co_return std::unexpected(pgwire::ErrorFields());
}

Task<Login::Outcome> Login::AnswerSslRequest() {
  if (!co_await client_.Write(context_.tls ? "S" : "N")) co_return std::unexpected(pgwire::ErrorFields());
  if (!context_.tls) co_return Outcome();
  co_return co_await BeginTls();
}

Task<Login::Outcome> Login::BeginTls() {
  co_await GoToDesk();
  const std::shared_ptr<const tls::Credentials> credentials = context_.tls->Get();
  if (!co_await client_.AcceptTls(credentials->context())) {
    Log(Level::kInfo, "TLS handshake failed");
    co_return std::unexpected(pgwire::ErrorFields());
  }
  co_return Outcome();
}

// A client that begins with a TLS handshake, without asking (sslnegotiation=direct): it must name the protocol by ALPN,
// so that no other server's client can be led here.
Task<Login::Outcome> Login::DetectDirectTls() {
  if (!context_.tls) co_return Outcome();  // then it is no start-up packet like any other that is none
  const std::optional<char> first = co_await client_.Peek();
  if (!first) co_return std::unexpected(pgwire::ErrorFields());
  if (*first != kTlsHandshake) co_return Outcome();
  if (Outcome outcome = co_await BeginTls(); !outcome) co_return outcome;
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(client_.transport().ssl(), &protocol, &size);
  if (size == 0) {
    co_return std::unexpected(Violation("a direct TLS connection needs ALPN: postgresql"));
  }
  co_return Outcome();
}

Task<void> Login::ForwardCancel(pgwire::CancelRequest request) {
  // The client waits for us to hang up: then its query has been told. `waits` goes with this coroutine.
  const auto waits = std::make_shared<bool>(true);
  const auto done = [this, weak = std::weak_ptr(waits), &loop = host_->loop()] {
    loop.Post([this, weak] {
      if (!weak.expired()) word_.Notify();
    });
  };
  if (!context_.cancel_keys.Find({.process_id = request.process_id, .secret = request.secret},
                                 [done](const std::shared_ptr<Session>& session) {
                                   if (session) {
                                     session->CancelQuery(done);
                                   } else {
                                     done();
                                   }
                                 })) {
    co_return;
  }
  awaits_word_ = true;
  co_await word_;
  awaits_word_ = false;
}

Task<std::expected<std::string, pgwire::ErrorFields>> Login::ReadPassword() {
  if (!co_await Flush()) co_return std::unexpected(pgwire::ErrorFields());
  while (true) {
    pgwire::Frame frame;
    const std::string_view data = inbox_.Data();
    const pgwire::Answer answer = pgwire::ReadHeader(data, ReadBuffer::kCapacity - 1, frame);
    if (answer == pgwire::Answer::kStop || (!data.empty() && data[0] != 'p')) {
      co_return std::unexpected(Violation("expected a SASL response"));
    }
    if (answer == pgwire::Answer::kDone && frame.size <= data.size()) {
      std::string body(data.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize));
      inbox_.Consume(frame.size);
      co_return body;
    }
    if (!co_await ReadMore()) co_return std::unexpected(pgwire::ErrorFields());
  }
}

// Deriving one takes a thousand times what the rest of a log-in does, and a stranger can ask for it.
Task<scram::Verifier> Login::VerifierOf(const absl::StatusOr<GrantPtr>& grant) {
  const Secret password = grant.ok() ? (*grant)->password : context_.verifiers.NobodysPassword(user_);
  if (auto known = context_.verifiers.Find(user_, password)) co_return *std::move(known);
  co_await GoToDesk();
  co_return context_.verifiers.Make(user_, password);
}

Task<Login::Outcome> Login::Authenticate() {
  const std::string& user_name = user_;
  // A name that is refused goes through the same exchange as one that is not, and hears why at its end.
  const absl::StatusOr<GrantPtr> grant = context_.authority.Authenticate(user_name);
  const std::string end_point = client_.tls() ? tls::ServerEndPoint(client_.transport().ssl()) : "";
  scram::ServerExchange exchange(co_await VerifierOf(grant), scram::MakeNonce(), end_point);

  if (end_point.empty()) {
    pgwire::AuthenticationSasl(answers_, {scram::kMechanism});
  } else {
    pgwire::AuthenticationSasl(answers_, {scram::kPlusMechanism, scram::kMechanism});
  }
  auto initial = co_await ReadPassword();
  if (!initial) co_return std::unexpected(std::move(initial.error()));
  pgwire::BodyReader reader(*initial);
  const std::string_view mechanism = reader.CString();
  const uint32_t size = reader.U32();
  const std::string_view client_first = reader.Bytes(size);
  if (!reader.ok() || (mechanism != scram::kMechanism && mechanism != scram::kPlusMechanism)) {
    co_return std::unexpected(Violation("expected SCRAM-SHA-256 or SCRAM-SHA-256-PLUS"));
  }
  absl::StatusOr<std::string> server_first = exchange.OnClientFirst(client_first, mechanism);
  if (!server_first.ok()) co_return Because(BadCredentials());

  pgwire::AuthenticationSaslContinue(answers_, *server_first);
  auto client_final = co_await ReadPassword();
  if (!client_final) co_return std::unexpected(std::move(client_final.error()));
  absl::StatusOr<std::string> server_final = exchange.OnClientFinal(*client_final);
  if (!grant.ok() && ReasonOf(grant.status()) != v1::REASON_BAD_CREDENTIALS) {
    co_return Because(grant.status());
  }
  if (!grant.ok() || !server_final.ok()) co_return Because(BadCredentials());
  pgwire::AuthenticationSaslFinal(answers_, *server_final);  // goes out with what follows
  context_.verifiers.Proven(user_name);
  grant_ = *grant;
  co_return Outcome();
}

Login::Outcome Login::TakeSettings(pgwire::StartupMessage& startup) {
  tenant_ = grant_->start_tenant ? grant_->start_tenant : grant_->home_tenant;
  for (auto& [name, value] : startup.settings) {
    if (SameWord(name, "leasehold.tenant")) {
      if (value.empty()) continue;
      absl::StatusOr<TenantId> tenant = TenantId::Parse(value);
      if (!tenant.ok()) return Because(tenant.status());
      tenant_ = *std::move(tenant);
    } else if (absl::StartsWithIgnoreCase(name, "leasehold.")) {
      return std::unexpected(
          pgwire::ErrorFields{.code = "42704",
                              .message = std::format("unrecognized configuration parameter \"{}\"", Printable(name)),
                              .hint = "Of leasehold settings only leasehold.tenant can be given at log-in."});
    } else if (name == "options") {
      auto options = pgwire::ParseOptions(value);
      if (!options) return std::unexpected(std::move(options.error()));
      for (auto& [option, text] : *options) {
        if (absl::StartsWithIgnoreCase(option, "leasehold.")) {
          return std::unexpected(
              pgwire::ErrorFields{.code = "0A000",
                                  .message = "leasehold settings cannot be given as command-line options",
                                  .hint = "SET leasehold.tenant after the log-in."});
        }
        settings_.insert_or_assign(absl::AsciiStrToLower(option), std::move(text));
      }
    } else {
      settings_.insert_or_assign(absl::AsciiStrToLower(name), std::move(value));
    }
  }
  if (const auto idle = settings_.find(std::string(kIdleSessionTimeout)); idle != settings_.end()) {
    const std::optional<absl::Duration> timeout = pgwire::ParseTimeSetting(idle->second);
    if (!timeout) {
      return std::unexpected(pgwire::ErrorFields{
          .code = "22023",
          .message = std::format("invalid value for parameter \"{}\": \"{}\"", kIdleSessionTimeout,
                                 Printable(idle->second, 80)),
          .hint = "From 0 (none) to 24 days, in us, ms (which is meant without a unit), s, min, h or d."});
    }
    idle_timeout_ = *timeout;
    settings_.erase(idle);
  }
  if (settings_.size() <= kMostSettings) return Outcome();
  return std::unexpected(Violation(std::format("a client may give {} settings at log-in", kMostSettings)));
}

Task<Login::Outcome> Login::ChooseStart(std::string database) {
  std::optional<TenantId> named;
  if (!database.empty()) {
    named = TenantOfDatabase(database, grant_->service);
    // The lease's own database stands for where it starts now: that is the name in its DSN.
    if (named && named != grant_->home_tenant) tenant_ = named;
  }
  absl::StatusOr<Route> route = co_await Resolve(tenant_);
  if (!database.empty() && !named) {
    // Not a tenant's: then it can only be the named connection's.
    if (grant_->home_tenant) co_return std::unexpected(NoSuchDatabase(database));
    const absl::StatusOr<Route> home = co_await Resolve(std::nullopt);
    if (!home.ok()) co_return Because(home.status());
    if (home->database != database) co_return std::unexpected(NoSuchDatabase(database));
  }
  if (route.ok()) {
    route_ = *std::move(route);
    co_return Outcome();
  }
  const Reason reason = ReasonOf(route.status());
  if (named && named == tenant_ && (reason == v1::REASON_SWITCH_NOT_ALLOWED || reason == v1::REASON_TENANT_NOT_FOUND)) {
    co_return std::unexpected(NoSuchDatabase(database));
  }
  co_return Because(route.status());
}

}  // namespace leasehold::gateway
