#include "services/gateway/session/login.h"

#include <sys/socket.h>

#include <algorithm>
#include <asio/dispatch.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <format>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/scram/scram.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/pool/wait.h"

namespace leasehold::gateway {
namespace {

using asio::experimental::awaitable_operators::operator||;

constexpr std::string_view kMechanism = "SCRAM-SHA-256";
// The content type that a TLS connection begins with; no start-up packet does.
constexpr char kTlsHandshake = 0x16;
// How long a client is given to read why it was refused.
constexpr absl::Duration kFarewell = absl::Milliseconds(500);
constexpr absl::Duration kResolvePatience = absl::Seconds(10);
// Of ParameterStatus and the like; what a client may set when it logs in.
constexpr size_t kMostSettings = 64;

// The same whether the name is unknown or the password wrong.
pgwire::ErrorFields BadCredentials() {
  return pgwire::ToErrorFields(Error(v1::REASON_BAD_CREDENTIALS, "the lease's user name or password is wrong"));
}

pgwire::ErrorFields Violation(std::string message) {
  return {.code = "08P01", .message = std::move(message), .detail = "", .hint = ""};
}

pgwire::ErrorFields NoSuchDatabase(std::string_view database) {
  return {.code = "3D000",
          .message = std::format("database \"{}\" does not exist or is not the lease's", Printable(database)),
          .detail = "",
          .hint = "Leave the database name out to start where the lease begins."};
}

bool SameWord(std::string_view a, std::string_view b) { return absl::EqualsIgnoreCase(AbslView(a), AbslView(b)); }

}  // namespace

Login::Login(const asio::any_io_executor& loop, int fd, std::unique_ptr<ClientTicket> ticket, SessionContext& context,
             VerifierCache& verifiers)
    : context_(context), verifiers_(verifiers), ticket_(std::move(ticket)), client_(loop, fd) {}

asio::awaitable<std::optional<Admission>> Login::Run() {
  std::variant<Outcome, std::monostate> result = co_await (Admit() || Pause(context_.login_timeout));
  if (result.index() == 1) co_return std::nullopt;  // too late, without a word
  if (const Outcome& outcome = std::get<0>(result); !outcome) {
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
                      .bytes_in = bytes_in_,
                      .ticket = std::move(ticket_)};
}

asio::awaitable<void> Login::Refuse(pgwire::ErrorFields why) {
  context_.metrics.CountLogin(why.code);
  Log(Level::kInfo, "log-in refused", {{"sqlstate", why.code}, {"error", why.message}, {"user", Printable(user_, 80)}});
  std::string words;
  pgwire::ErrorResponse(words, pgwire::Severity::kFatal, why);
  const auto farewell = [](Stream& client, std::string_view text) -> asio::awaitable<void> {
    if (co_await client.Write(text)) co_return;
    // Closing with unread input would reset the connection and take the last words with it.
    client.ShutdownWrite();
    char rest[512];
    while (!(co_await client.ReadSome(rest)).first) {
    }
  };
  co_await (farewell(client_, words) || Pause(kFarewell));
}

asio::awaitable<bool> Login::ReadMore() {
  if (inbox_.full()) co_return false;
  const auto [error, count] = co_await client_.ReadSome(inbox_.Free());
  if (error) co_return false;
  inbox_.Filled(count);
  bytes_in_ += count;
  co_return true;
}

asio::awaitable<bool> Login::Flush() {
  const std::string bytes = std::exchange(answers_, {});
  co_return !co_await client_.Write(bytes);
}

asio::awaitable<Login::Outcome> Login::Admit() {
  auto startup = co_await ReadStartup();
  if (!startup) co_return std::unexpected(std::move(startup.error()));
  user_ = startup->user;
  if (startup->NeedsNegotiation()) pgwire::NegotiateProtocolVersion(answers_, startup->protocol_options);
  if (context_.clients.count() > context_.max_clients) {
    co_return std::unexpected(pgwire::ToErrorFields(Error(
        v1::REASON_TOO_MANY_CLIENTS, std::format("this gateway serves its {} clients already", context_.max_clients))));
  }
  if (context_.draining) {
    co_return std::unexpected(pgwire::ToErrorFields(Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down")));
  }
  if (Outcome outcome = co_await Authenticate(); !outcome) co_return outcome;
  if (Outcome outcome = TakeSettings(*startup); !outcome) co_return outcome;
  if (Outcome outcome = co_await ChooseStart(startup->database == startup->user ? "" : startup->database); !outcome) {
    co_return outcome;
  }
  pgwire::AuthenticationOk(answers_);
  co_return Outcome();
}

asio::awaitable<absl::StatusOr<Route>> Login::Resolve(std::optional<TenantId> tenant) {
  struct Pending {
    asio::steady_timer timer;
    absl::StatusOr<Route> result;
    bool done = false;
  };
  const auto pending = std::make_shared<Pending>(
      Pending{.timer = asio::steady_timer(client_.executor(), absl::ToChronoNanoseconds(kResolvePatience)),
              .result = Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer")});
  // Weak: an answer that comes after the loops have gone finds nothing to wake.
  context_.authority.Resolve(grant_, tenant, [waiting = std::weak_ptr(pending)](absl::StatusOr<Route> route) {
    const auto present = waiting.lock();
    if (!present) return;
    asio::dispatch(present->timer.get_executor(), [present, route = std::move(route)]() mutable {
      present->result = std::move(route);
      present->done = true;
      present->timer.cancel();
    });
  });
  if (!pending->done) co_await pending->timer.async_wait(kAwait);
  co_return pending->result;
}

asio::awaitable<std::expected<pgwire::StartupMessage, pgwire::ErrorFields>> Login::ReadStartup() {
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
    } else if (co_await client_.Write("N")) {
      co_return std::unexpected(pgwire::ErrorFields());
    }
  }
  co_return std::unexpected(pgwire::ErrorFields());
}

asio::awaitable<Login::Outcome> Login::AnswerSslRequest() {
  if (co_await client_.Write(context_.tls ? "S" : "N")) co_return std::unexpected(pgwire::ErrorFields());
  if (!context_.tls) co_return Outcome();
  co_return co_await BeginTls();
}

asio::awaitable<Login::Outcome> Login::BeginTls() {
  if (const std::error_code error = co_await client_.StartTls(context_.tls->native_handle(), true)) {
    Log(Level::kInfo, "TLS handshake failed", {{"error", error.message()}});
    co_return std::unexpected(pgwire::ErrorFields());
  }
  co_return Outcome();
}

// A client that begins with a TLS handshake, without asking (sslnegotiation=direct): it must name the protocol by ALPN,
// so that no other server's client can be led here.
asio::awaitable<Login::Outcome> Login::DetectDirectTls() {
  char first = 0;
  while (true) {
    const ssize_t count = recv(client_.transport().fd(), &first, 1, MSG_PEEK);
    if (count == 1) break;
    if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
      co_return std::unexpected(pgwire::ErrorFields());
    }
    if (co_await client_.WaitReadable()) co_return std::unexpected(pgwire::ErrorFields());
  }
  if (first != kTlsHandshake) co_return Outcome();
  if (!context_.tls) co_return std::unexpected(pgwire::ErrorFields());
  if (Outcome outcome = co_await BeginTls(); !outcome) co_return outcome;
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(client_.transport().ssl(), &protocol, &size);
  if (size == 0) {
    co_return std::unexpected(Violation("a direct TLS connection needs ALPN: postgresql"));
  }
  co_return Outcome();
}

asio::awaitable<void> Login::ForwardCancel(pgwire::CancelRequest request) {
  // The client waits for us to hang up: then its query has been told.
  const auto told =
      std::make_shared<asio::steady_timer>(client_.executor(), absl::ToChronoNanoseconds(context_.login_timeout));
  const auto done = [told] { asio::dispatch(told->get_executor(), [told] { told->cancel(); }); };
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
  co_await told->async_wait(kAwait);
}

asio::awaitable<std::expected<std::string, pgwire::ErrorFields>> Login::ReadPassword() {
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

asio::awaitable<Login::Outcome> Login::Authenticate() {
  const std::string& user_name = user_;
  // A name that is refused goes through the same exchange as one that is not, and hears why at its end.
  const absl::StatusOr<GrantPtr> grant = context_.authority.Authenticate(user_name);
  scram::ServerExchange exchange(
      grant.ok() ? verifiers_.Of(user_name, (*grant)->password) : verifiers_.OfUnknown(user_name), scram::MakeNonce());

  pgwire::AuthenticationSasl(answers_, {kMechanism});
  auto initial = co_await ReadPassword();
  if (!initial) co_return std::unexpected(std::move(initial.error()));
  pgwire::BodyReader reader(*initial);
  const std::string_view mechanism = reader.CString();
  const uint32_t size = reader.U32();
  const std::string_view client_first = reader.Bytes(size);
  if (!reader.ok() || mechanism != kMechanism) co_return std::unexpected(Violation("expected SCRAM-SHA-256"));
  absl::StatusOr<std::string> server_first = exchange.OnClientFirst(client_first);
  if (!server_first.ok()) co_return std::unexpected(BadCredentials());

  pgwire::AuthenticationSaslContinue(answers_, *server_first);
  auto client_final = co_await ReadPassword();
  if (!client_final) co_return std::unexpected(std::move(client_final.error()));
  absl::StatusOr<std::string> server_final = exchange.OnClientFinal(*client_final);
  if (!grant.ok() && ReasonOf(grant.status()) != v1::REASON_BAD_CREDENTIALS) {
    co_return std::unexpected(pgwire::ToErrorFields(grant.status()));
  }
  if (!grant.ok() || !server_final.ok()) co_return std::unexpected(BadCredentials());
  pgwire::AuthenticationSaslFinal(answers_, *server_final);  // goes out with what follows
  verifiers_.Proven(user_name);
  grant_ = *grant;
  co_return Outcome();
}

Login::Outcome Login::TakeSettings(pgwire::StartupMessage& startup) {
  tenant_ = grant_->start_tenant ? grant_->start_tenant : grant_->home_tenant;
  for (auto& [name, value] : startup.settings) {
    if (SameWord(name, "leasehold.tenant")) {
      if (value.empty()) continue;
      absl::StatusOr<TenantId> tenant = TenantId::Parse(value);
      if (!tenant.ok()) return std::unexpected(pgwire::ToErrorFields(tenant.status()));
      tenant_ = *std::move(tenant);
    } else if (absl::StartsWithIgnoreCase(name, "leasehold.") ||
               (name == "options" && absl::StrContainsIgnoreCase(value, "leasehold."))) {
      return std::unexpected(
          pgwire::ErrorFields{.code = "0A000",
                              .message = "leasehold settings cannot be given as command-line options",
                              .detail = "",
                              .hint = "SET leasehold.tenant after the log-in."});
    } else if (name == "options") {
      auto options = pgwire::ParseOptions(value);
      if (!options) return std::unexpected(std::move(options.error()));
      for (auto& [option, text] : *options) settings_.insert_or_assign(absl::AsciiStrToLower(option), std::move(text));
    } else {
      settings_.insert_or_assign(absl::AsciiStrToLower(name), std::move(value));
    }
  }
  if (settings_.size() <= kMostSettings) return Outcome();
  return std::unexpected(Violation(std::format("a client may give {} settings at log-in", kMostSettings)));
}

asio::awaitable<Login::Outcome> Login::ChooseStart(const std::string& database) {
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
    if (!home.ok()) co_return std::unexpected(pgwire::ToErrorFields(home.status()));
    if (home->database != database) co_return std::unexpected(NoSuchDatabase(database));
  }
  if (route.ok()) {
    route_ = *std::move(route);
    co_return Outcome();
  }
  const Reason reason = ReasonOf(route.status());
  if (named && (reason == v1::REASON_SWITCH_NOT_ALLOWED || reason == v1::REASON_TENANT_NOT_FOUND)) {
    co_return std::unexpected(NoSuchDatabase(database));
  }
  co_return std::unexpected(pgwire::ToErrorFields(route.status()));
}

}  // namespace leasehold::gateway
