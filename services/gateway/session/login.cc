// From accept to the first ReadyForQuery.
#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <format>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "common/scram/scram.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kMechanism = "SCRAM-SHA-256";

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

asio::awaitable<bool> Session::ReadMore() {
  if (ended_ || inbox_.full()) co_return false;
  auto [error, count] = co_await client_.AsyncReadSome(inbox_.Free(), kAwait);
  if (error || ended_) co_return false;
  inbox_.Filled(count);
  bytes_in_ += count;
  co_return true;
}

asio::awaitable<Session::Outcome> Session::LogIn() {
  // Up to the proof of identity: after that the client may wait for a server connection, and hear why there is none.
  std::optional<Alarm> too_late(std::in_place, executor(), context_.login_timeout, [this] { End({}); });
  auto startup = co_await ReadStartup();
  if (!startup) co_return std::unexpected(std::move(startup.error()));
  Outcome outcome;
  if (startup->NeedsNegotiation()) pgwire::NegotiateProtocolVersion(answers_, startup->protocol_options);
  if (context_.clients.count() > context_.max_clients) {
    outcome = std::unexpected(pgwire::ToErrorFields(Error(
        v1::REASON_TOO_MANY_CLIENTS, std::format("this gateway serves its {} clients already", context_.max_clients))));
  } else if (context_.draining) {
    outcome = std::unexpected(pgwire::ToErrorFields(Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down")));
  }
  if (outcome) outcome = co_await Authenticate(startup->user);
  too_late.reset();
  if (outcome) outcome = TakeSettings(*startup);
  if (outcome) outcome = co_await ChooseStart(startup->database == startup->user ? "" : startup->database);
  if (outcome) {
    WatchLease();
    pgwire::AuthenticationOk(answers_);
    outcome = co_await EnsureServer();
  }
  if (ended_) co_return std::unexpected(pgwire::ErrorFields());
  if (!outcome) {
    answers_.clear();  // an AuthenticationOk before the refusal would say nothing
    if (!outcome.error().code.empty()) {
      context_.metrics.CountLogin(outcome.error().code);
      Log(Level::kInfo, "log-in refused",
          {{"sqlstate", outcome.error().code},
           {"error", outcome.error().message},
           {"user", Printable(startup->user, 80)}});
    }
    co_return outcome;
  }
  key_ = context_.cancel_keys.Add(weak_from_this());
  pgwire::BackendKeyData(answers_, key_.process_id, key_.secret);
  pgwire::ReadyForQuery(answers_, tracker_.transaction_status());
  context_.metrics.CountLogin("");
  if (!co_await FlushAnswers()) co_return std::unexpected(pgwire::ErrorFields());
  co_return Outcome();
}

asio::awaitable<std::expected<pgwire::StartupMessage, pgwire::ErrorFields>> Session::ReadStartup() {
  // Encryption may be asked for once each way, then comes the packet that counts.
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

asio::awaitable<Session::Outcome> Session::AnswerSslRequest() {
  if (co_await client_.Write(context_.tls ? "S" : "N")) co_return std::unexpected(pgwire::ErrorFields());
  if (!context_.tls) co_return Outcome();
  if (const std::error_code error = co_await client_.StartTls(*context_.tls, asio::ssl::stream_base::server)) {
    Log(Level::kInfo, "TLS handshake failed", {{"error", error.message()}});
    co_return std::unexpected(pgwire::ErrorFields());
  }
  co_return Outcome();
}

asio::awaitable<void> Session::ForwardCancel(pgwire::CancelRequest request) {
  const auto session = context_.cancel_keys.Find({.process_id = request.process_id, .secret = request.secret});
  if (!session) co_return;
  // On the loop of the session that it is for. The client waits for us to hang up: then its query has been told.
  co_await asio::co_spawn(session->executor(), session->CancelQuery(), kAwait);
}

asio::awaitable<std::expected<std::string, pgwire::ErrorFields>> Session::ReadPassword() {
  if (!co_await FlushAnswers()) co_return std::unexpected(pgwire::ErrorFields());
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

asio::awaitable<Session::Outcome> Session::Authenticate(const std::string& user_name) {
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
  pgwire::AuthenticationSaslFinal(answers_, *server_final);
  if (!co_await FlushAnswers()) co_return std::unexpected(pgwire::ErrorFields());
  grant_ = *grant;
  co_return Outcome();
}

Session::Outcome Session::TakeSettings(pgwire::StartupMessage& startup) {
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
    } else {
      startup_settings_.emplace_back(std::move(name), std::move(value));
    }
  }
  return Outcome();
}

asio::awaitable<Session::Outcome> Session::ChooseStart(const std::string& database) {
  std::optional<TenantId> named;
  if (!database.empty()) {
    named = TenantOfDatabase(database, grant_->service);
    // The lease's own database stands for where it starts now: that is the name in its DSN.
    if (named && named != grant_->home_tenant) tenant_ = named;
  }
  const absl::StatusOr<Route> route = co_await Resolve(tenant_);
  if (!database.empty() && !named) {
    // Not a tenant's: then it can only be the named connection's.
    if (grant_->home_tenant) co_return std::unexpected(NoSuchDatabase(database));
    const absl::StatusOr<Route> home = co_await Resolve(std::nullopt);
    if (!home.ok()) co_return std::unexpected(pgwire::ToErrorFields(home.status()));
    if (home->database != database) co_return std::unexpected(NoSuchDatabase(database));
  }
  if (route.ok()) co_return Outcome();
  const Reason reason = ReasonOf(route.status());
  if (named && (reason == v1::REASON_SWITCH_NOT_ALLOWED || reason == v1::REASON_TENANT_NOT_FOUND)) {
    co_return std::unexpected(NoSuchDatabase(database));
  }
  co_return std::unexpected(pgwire::ToErrorFields(route.status()));
}

void Session::WatchLease() {
  attachment_ =
      context_.authority.Attach(grant_, tenant_, [weak = weak_from_this(), loop = executor()](const absl::Status& why) {
        asio::post(loop, [weak, why] {
          if (const auto session = weak.lock()) session->End(pgwire::ToErrorFields(why));
        });
      });
}

}  // namespace leasehold::gateway
