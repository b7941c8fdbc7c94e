// InstancePool: making server connections, and what becomes of failures.
#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/gateway/pool/errand.h"
#include "services/gateway/pool/instance_pool.h"

namespace leasehold::gateway {
namespace {

// For one connection; clients wait longer, since there are more tries.
constexpr absl::Duration kLoginPatience = absl::Seconds(10);
// After a failure that may pass: a restart, a full instance.
constexpr absl::Duration kFirstRetry = absl::Milliseconds(50);
constexpr absl::Duration kLastRetry = absl::Seconds(1);
// PostgreSQL forks a process each: more of them at a time make each slower.
constexpr int kMostDialsOfLine = 4;

// The database or the role is not there, or refuses us: trying again would not help.
bool IsLasting(const LoginFailure& failure) {
  if (!failure.from_server) return absl::IsUnauthenticated(failure.status);
  const std::string& code = failure.from_server->code;
  return code != "53300" && code != "57P03" && code != "57P01" && code != "57P02" && !code.starts_with("08");
}

}  // namespace

bool InstancePool::MayDial(const Line& line) const {
  return !shut_ && line.dialling < std::min(1 + line.servers, kMostDialsOfLine) &&
         static_cast<size_t>(line.dialling) < line.waiting.size() && line.share->servers < line.share->limit &&
         loop_.now() >= std::max(line.retry_at, retry_at_);
}

void InstancePool::StartDial(Line& line) {
  ++used_;
  ++dialling_;
  ++dials_;
  ++line.dialling;
  ++line.share->servers;
  dialer_.LogIn(
      line.target, kLoginPatience,
      [this, line = &line, alive = std::weak_ptr(alive_)](std::expected<Dialled, LoginFailure> result) mutable {
        loop_.Post([this, line, alive, result = std::move(result)]() mutable {
          if (!alive.expired()) OnDialled(*line, std::move(result));
        });
      });
}

void InstancePool::OnDialled(Line& line, std::expected<Dialled, LoginFailure> result) {
  --line.dialling;
  --dialling_;
  if (!result) {
    --line.share->servers;
    --used_;
    dial_rate_.Failed();
    OnDialFailed(line, result.error());
    return;
  }
  line.failures = 0;
  retry_at_ = absl::ZeroDuration();
  connect_seconds_.Observe(absl::ToDoubleSeconds(result->took));
  connect_time_ = connect_time_ * 0.8 + result->took * 0.2;
  dial_rate_.Took(result->took, loop_.now());
  auto fresh = std::make_unique<Server>(*this, line, std::move(result->transport), result->greeting.key, NextMark());
  Server& server = *fresh;
  server.parameters = settings_.Intern(std::move(result->greeting.parameters));
  server.opened = server.idle_since = loop_.now();
  servers_.emplace(&server, std::move(fresh));
  ++line.servers;
  loop_.Watch(server.transport().fd(), server);
  Offer(server);
  ServeClaims();
}

void InstancePool::OnDialFailed(Line& line, const LoginFailure& failure) {
  const bool lasting = IsLasting(failure);
  if (line.failures++ == 0 || lasting) {
    Log(Level::kWarning, "no server connection",
        {{"service", options_.service.str()},
         {"database", line.target.database},
         {"error", StdView(failure.status.message())}});
  }
  if (lasting) {
    if (line.servers == 0)
      FailWaiting(line, ForClient(failure.from_server.value_or(
                            pgwire::ErrorFields{.code = "28000", .message = {}, .detail = {}, .hint = {}})));
    line.retry_at = loop_.now() + kFirstRetry;
  } else {
    const absl::Duration pause = std::min(kFirstRetry * (1 << std::min(line.failures, 5)), kLastRetry);
    line.retry_at = loop_.now() + pause;
    if (!failure.from_server) retry_at_ = loop_.now() + kFirstRetry;
  }
  ServeClaims();
  if (!waiting_lines_.empty()) ArmTick();
}

pgwire::ErrorFields InstancePool::ForClient(const pgwire::ErrorFields& from_server) const {
  const std::string& service = options_.service.str();
  const std::string& code = from_server.code;
  if (code == "3D000") {
    return pgwire::ToErrorFields(
        Error(v1::REASON_TENANT_NOT_READY, std::format("the database is not on the {} instance", service)));
  }
  const std::string_view how = code.starts_with("28") ? "refuses the gateway" : "does not answer";
  return pgwire::ToErrorFields(Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("the {} instance {}", service, how)));
}

}  // namespace leasehold::gateway
