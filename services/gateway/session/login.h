// From accept to the proof of identity, on an asio loop; what comes after is a Session on another.
#pragma once

#include <asio/awaitable.hpp>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "services/gateway/lease/authority.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/startup.h"
#include "services/gateway/pool/read_buffer.h"
#include "services/gateway/pool/stream.h"
#include "services/gateway/session/context.h"
#include "services/gateway/session/session.h"
#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {

// One loop.
class Login {
 public:
  // `context` and `verifiers` (the loop's) outlive it.
  Login(const asio::any_io_executor& loop, int fd, std::unique_ptr<ClientTicket> ticket, SessionContext& context,
        VerifierCache& verifiers);

  // nullopt: refused, and told so; or it was no client but a request to cancel, which has been dealt with.
  asio::awaitable<std::optional<Admission>> Run();

 private:
  // An error without code: the client has gone, or should go without a word.
  using Outcome = std::expected<void, pgwire::ErrorFields>;

  asio::awaitable<Outcome> Admit();
  asio::awaitable<bool> ReadMore();
  asio::awaitable<bool> Flush();
  asio::awaitable<std::expected<pgwire::StartupMessage, pgwire::ErrorFields>> ReadStartup();
  asio::awaitable<Outcome> AnswerSslRequest();
  asio::awaitable<Outcome> DetectDirectTls();
  asio::awaitable<Outcome> BeginTls();
  asio::awaitable<void> ForwardCancel(pgwire::CancelRequest request);
  asio::awaitable<Outcome> Authenticate();
  asio::awaitable<std::expected<std::string, pgwire::ErrorFields>> ReadPassword();
  Outcome TakeSettings(pgwire::StartupMessage& startup);
  asio::awaitable<Outcome> ChooseStart(const std::string& database);
  asio::awaitable<absl::StatusOr<Route>> Resolve(std::optional<TenantId> tenant);
  asio::awaitable<void> Refuse(pgwire::ErrorFields why);

  SessionContext& context_;
  VerifierCache& verifiers_;
  std::unique_ptr<ClientTicket> ticket_;
  Stream client_;
  ReadBuffer inbox_;
  std::string answers_;
  std::string user_;
  GrantPtr grant_;
  std::optional<TenantId> tenant_;
  std::optional<Route> route_;
  SettingMap settings_;
  uint64_t bytes_in_ = 0;
};

}  // namespace leasehold::gateway
