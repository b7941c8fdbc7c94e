#include "services/gateway/pool/dialer.h"

#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pool/wait.h"

namespace leasehold::gateway {
namespace {

using SteadyClock = std::chrono::steady_clock;
using asio::experimental::awaitable_operators::operator||;

constexpr absl::Duration kCancelPatience = absl::Seconds(5);
constexpr std::string_view kInvalidPassword = "28P01";

LoginFailure TimedOut() { return {.status = absl::DeadlineExceededError("timed out"), .from_server = {}}; }

bool IsOfAnotherKey(const std::expected<Dialled, LoginFailure>& dialled) {
  return !dialled && dialled.error().from_server && dialled.error().from_server->code == kInvalidPassword;
}

}  // namespace

Dialer::Dialer(asio::any_io_executor desk, Address address, RoleKeys role_keys)
    : desk_(std::move(desk)),
      address_(std::move(address)),
      role_keys_(std::move(role_keys)),
      anybody_(*tls::Credentials::Read({.role = tls::Role::kClient}, absl::InfinitePast())) {}

void Dialer::LogIn(LoginTarget target, absl::Duration patience,
                   std::move_only_function<void(std::expected<Dialled, LoginFailure>)> done) {
  asio::co_spawn(
      desk_,
      [this, target = std::move(target), patience]() -> asio::awaitable<std::expected<Dialled, LoginFailure>> {
        auto result = co_await (Run(target) || Pause(patience));
        if (result.index() == 0) co_return std::get<0>(std::move(result));
        co_return std::unexpected(TimedOut());
      },
      [done = std::move(done)](const std::exception_ptr& thrown, std::expected<Dialled, LoginFailure> result) mutable {
        if (thrown) result = std::unexpected(TimedOut());
        done(std::move(result));
      });
}

asio::awaitable<std::expected<Dialled, LoginFailure>> Dialer::Run(LoginTarget target) {
  const RoleKey current = role_keys_.current();
  const std::optional<RoleKey> other = role_keys_.other();
  auto dialled = co_await Try(target, current);
  if (!other || !IsOfAnotherKey(dialled)) co_return dialled;
  dialled = co_await Try(target, *other);
  // The role may have been given the current key's password between the two.
  if (IsOfAnotherKey(dialled)) dialled = co_await Try(target, current);
  co_return dialled;
}

asio::awaitable<std::expected<Dialled, LoginFailure>> Dialer::Try(const LoginTarget& target, const RoleKey& key) {
  const auto start = SteadyClock::now();
  auto stream = co_await Dial(address_, *anybody_);
  if (!stream.ok()) co_return std::unexpected(LoginFailure{.status = stream.status(), .from_server = {}});
  const std::vector<std::pair<std::string, std::string>> startup = {
      {"user", target.role},
      {"database", target.database},
      // A backend whose gateway vanished stops its query within a second, rather than when it next writes.
      {"client_connection_check_interval", "1000"},
      // So that current_setting('leasehold.tenant') is right inside functions and policies too.
      {"leasehold.tenant", target.tenant},
  };
  ServerGreeting greeting;
  std::optional<LoginFailure> failure = co_await gateway::LogIn(
      **stream, startup, key.PasswordOf(target.database_id, target.kind), address_.binding, greeting);
  if (failure) co_return std::unexpected(*std::move(failure));
  co_return Dialled{.transport = (*stream)->Release(),
                    .greeting = std::move(greeting),
                    .took = absl::FromChrono(SteadyClock::now() - start)};
}

void Dialer::Knock(absl::Duration patience, std::move_only_function<void(absl::StatusOr<absl::Duration>)> done) {
  asio::co_spawn(
      desk_,
      [this, patience]() -> asio::awaitable<absl::StatusOr<absl::Duration>> {
        auto result = co_await (RunKnock() || Pause(patience));
        if (result.index() == 0) co_return std::get<0>(std::move(result));
        co_return TimedOut().status;
      },
      [done = std::move(done)](const std::exception_ptr& thrown, absl::StatusOr<absl::Duration> took) mutable {
        if (thrown) took = TimedOut().status;
        done(std::move(took));
      });
}

// The server's answer on TLS is the sign of life, so it is asked for that by whoever does without too.
asio::awaitable<absl::StatusOr<absl::Duration>> Dialer::RunKnock() {
  const auto start = SteadyClock::now();
  Address door = address_;
  if (door.tls == TlsMode::kDisable) door.tls = TlsMode::kPrefer;
  const auto stream = co_await Dial(door, *anybody_);
  if (!stream.ok()) co_return stream.status();
  co_return absl::FromChrono(SteadyClock::now() - start);
}

void Dialer::Cancel(BackendKey key, std::move_only_function<void()> done) {
  asio::co_spawn(
      desk_, [this, key]() -> asio::awaitable<void> { co_await (RunCancel(key) || Pause(kCancelPatience)); },
      [done = std::move(done)](const std::exception_ptr&) mutable { done(); });
}

asio::awaitable<void> Dialer::RunCancel(BackendKey key) {
  auto stream = co_await Dial(address_, *anybody_);
  if (!stream.ok()) co_return;
  std::string request;
  pgwire::CancelRequestPacket(request, key.process_id, key.secret);
  co_await (*stream)->Write(request);
  char end = 0;  // PostgreSQL answers by closing
  co_await (*stream)->ReadSome({&end, 1});
}

}  // namespace leasehold::gateway
