// InstancePool: making server connections, and what becomes of failures.
#include <algorithm>
#include <format>
#include <functional>
#include <iterator>
#include <utility>

#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/gateway/pool/errand.h"
#include "services/gateway/pool/instance_pool.h"

namespace leasehold::gateway {
namespace {

// After a failure that may pass: a restart, a full instance.
constexpr absl::Duration kFirstRetry = absl::Milliseconds(50);
constexpr absl::Duration kLastRetry = absl::Seconds(1);
constexpr std::string_view kTriedAgain = "it is tried again every second";
// Of a client, before somebody has to hear of it; half of connection_timeout, if that is less.
constexpr absl::Duration kWaitPatience = absl::Seconds(5);
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
         !restraint_.Holds(line.share->work) && loop_.now() >= std::max(line.retry_at, retry_at_);
}

void InstancePool::StartDial(Line& line, absl::Duration patience) {
  ++used_;
  ++dialling_;
  ++dials_;
  ++line.dialling;
  ++line.share->servers;
  dialer_.LogIn(line.target, patience,
                [this, line = &line, id = line.target.database_id,
                 alive = std::weak_ptr(alive_)](std::expected<Dialled, LoginFailure> result) mutable {
                  loop_.Post([this, line, id = std::move(id), alive, result = std::move(result)]() mutable {
                    if (!alive.expired()) OnDialled(*line, id, std::move(result));
                  });
                });
}

// `database_id`: that of the line when this was dialled.
void InstancePool::OnDialled(Line& line, const std::string& database_id, std::expected<Dialled, LoginFailure> result) {
  const bool replaced = line.target.database_id != database_id;
  --line.dialling;
  --dialling_;
  if (!result) {
    --line.share->servers;
    --used_;
    dial_rate_.Failed();
    if (replaced) {  // it says nothing of the database that is there now
      ServeClaims();
    } else {
      OnDialFailed(line, result.error());
    }
    return;
  }
  line.failures = 0;
  retry_at_ = absl::ZeroDuration();
  vitals_.Answered(loop_.now(), result->took);
  EndAsking();
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
  if (replaced) {
    BeginClose(server);
  } else {
    Offer(server);
  }
  ServeClaims();
}

void InstancePool::OnDialFailed(Line& line, const LoginFailure& failure) {
  const bool lasting = IsLasting(failure);
  line.failure = failure.from_server ? failure.from_server->code : "";
  const bool full = line.failure == "53300" && used_ > 0;
  if (full) {
    if (room_.all()) {
      Log(Level::kWarning, "the instance has fewer connections left than max_connections",
          {{"service", options_.service.str()},
           {"in_use", std::to_string(used_)},
           {"max_connections", std::to_string(options_.max_connections)}});
    }
    room_.Refused(used_, loop_.now());
  }
  if (full || (lasting && failure.from_server)) {
    vitals_.Answered(loop_.now());
  } else {
    vitals_.Failed(loop_.now(), NotReached(line.failure, kTriedAgain));
  }
  if ((line.failures++ == 0 && !full) || lasting) {
    Log(Level::kWarning, "no server connection",
        {{"service", options_.service.str()},
         {"database", line.target.database},
         {"error", StdView(failure.status.message())}});
  }
  if (lasting || full) {
    if (lasting && line.servers == 0) FailWaiting(line, ForClient(failure));
    line.retry_at = loop_.now() + kFirstRetry;
  } else {
    const absl::Duration pause = std::min(kFirstRetry * (1 << std::min(line.failures, 5)), kLastRetry);
    line.retry_at = loop_.now() + pause;
    if (!failure.from_server) retry_at_ = loop_.now() + kFirstRetry;
  }
  EndAsking();
  ServeClaims();
  if (!waiting_lines_.empty()) ArmTick();
}

// Whose fault it is: the instance's, or one database's and its role's, which the tenant's other databases do not share.
pgwire::ErrorFields InstancePool::ForClient(const LoginFailure& failure) const {
  const std::string& service = options_.service.str();
  if (!failure.from_server) {
    return pgwire::ToErrorFields(
        Error(v1::REASON_INSTANCE_UNAVAILABLE,
              std::format("the {} instance and the gateway do not agree on how to log in", service)));
  }
  const std::string& code = failure.from_server->code;
  const std::string what = [&]() -> std::string {
    if (code == "3D000") return std::format("the database is not on the {} instance", service);
    if (code == "28P01")
      return std::format("the {} instance does not know the database's role, or another password of it", service);
    if (code == "28000") return std::format("the {} instance does not let the database's role log in", service);
    if (code == "42501") return std::format("the database's role may not connect to it on the {} instance", service);
    if (code == "55000") return std::format("the database takes no connections on the {} instance", service);
    return "";
  }();
  if (!what.empty()) return pgwire::ToErrorFields(Error(v1::REASON_TENANT_NOT_READY, what));
  return pgwire::ToErrorFields(
      Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("the {} instance refuses connections", service)));
}

// Connecting failed, with what PostgreSQL said or, if that is empty, without a word from it.
absl::Status InstancePool::NotReached(std::string_view sqlstate, std::string_view remark) const {
  const std::string& service = options_.service.str();
  if (sqlstate == "53300") {
    return Error(v1::REASON_INSTANCE_CONNECTIONS_EXHAUSTED,
                 std::format("the {} instance has no connection left for the gateway ({})", service, remark));
  }
  const std::string_view how = sqlstate.starts_with("57P") ? "is starting or stopping" : "does not answer";
  return Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("the {} instance {} ({})", service, how, remark));
}

// Whoever came when it began to fail has waited in vain by now.
bool InstancePool::Hopeless() const { return vitals_.FailingFor(loop_.now()) >= options_.connection_timeout; }

void InstancePool::CheckVitals() {
  const absl::Duration quiet = vitals_.QuietFor(loop_.now());
  const bool owed = used_ > idle_ + closing_ || waiting_ > 0;
  const absl::Duration limit =
      owed ? std::min(options_.health_check_interval, options_.health_check_timeout) : options_.health_check_interval;
  if (vitals_.failing() || quiet >= limit) Probe();
  TellVitals();
}

void InstancePool::TellVitals() {
  if (!options_.on_vitals || !vitals_.heard()) return;
  std::pair now(vitals_.status(), vitals_.took());
  if (told_ == now) return;
  options_.on_vitals(now.first, now.second);
  told_ = std::move(now);
}

void InstancePool::CheckWaits() {
  if (!options_.on_waits) return;
  const absl::Duration patience = std::min(kWaitPatience, options_.connection_timeout / 2);
  const bool starved =
      !vitals_.failing() && used_ >= room_.get() && std::ranges::any_of(waiting_lines_, [&](const Line* line) {
        return loop_.now() - line->waiting.front()->since_ >= patience;
      });
  if (std::exchange(starved_, starved) == starved) return;
  options_.on_waits(
      starved ? Error(v1::REASON_INSTANCE_CONNECTIONS_EXHAUSTED,
                      std::format("clients have waited for a server connection for longer than {}: all {} are taken",
                                  absl::FormatDuration(patience), room_.get()))
              : absl::OkStatus());
}

// Through the pool like anybody else, so that it counts under the cap. False: it cannot be asked.
bool InstancePool::Probe() {
  if (!options_.probe || shut_) return false;
  Line& line = LineFor(*options_.probe);
  if (IsAsked(line)) return true;
  if (!line.idle.empty()) {
    Server& server = *line.idle.back();
    RemoveIdle(server);
    AskForSignOfLife(server);
    return true;
  }
  if (used_ >= room_.get()) {
    Knock();
    return true;
  }
  StartDial(line, std::min(kLoginPatience, options_.health_check_timeout));
  return true;
}

// With everything taken there is nothing to log in with, and the servers at work may be silent for as long as their
// queries last.
void InstancePool::Knock() {
  if (std::exchange(knocking_, true)) return;
  dialer_.Knock(options_.health_check_timeout,
                [this, alive = std::weak_ptr(alive_)](const absl::StatusOr<absl::Duration>& took) {
                  loop_.Post([this, alive, took] {
                    if (alive.expired()) return;
                    knocking_ = false;
                    if (took.ok()) {
                      vitals_.Answered(loop_.now(), *took);
                    } else {
                      vitals_.Failed(loop_.now(), NotReached("", kTriedAgain));
                    }
                    EndAsking();
                  });
                });
}

bool InstancePool::IsAsked(const Line& line) const {
  return line.dialling > 0 ||
         std::ranges::any_of(errands_, [&line](const auto& errand) { return &errand.first->line == &line; });
}

void InstancePool::AskVitals(std::move_only_function<void()> done) {
  if (vitals_.failing() || !Probe()) {
    TellVitals();
    done();
    return;
  }
  askers_.emplace_back(loop_.now(), std::move(done));
  // Whoever else was asked before may be waited for longer.
  loop_.After(options_.health_check_timeout, [this] { EndAsking(); });
}

// A server that was closed says nothing of PostgreSQL; one that is silent does.
void InstancePool::EndSignOfLife(absl::Duration took, bool well) {
  if (well) {
    vitals_.Answered(loop_.now(), took);
  } else if (took >= options_.health_check_timeout) {
    vitals_.Failed(loop_.now(), NotReached("", kTriedAgain));
  }
  EndAsking();
}

// Those who have waited for as long as PostgreSQL has, and all if it has said anything since.
void InstancePool::EndAsking() {
  if (askers_.empty()) return;
  const absl::Duration now = loop_.now();
  const auto heard = [&](const auto& asker) { return vitals_.QuietFor(now) <= now - asker.first; };
  const auto late = [&](const auto& asker) { return now - asker.first >= options_.health_check_timeout; };
  if (std::ranges::any_of(askers_, [&](const auto& asker) { return late(asker) && !heard(asker); })) {
    vitals_.Failed(now, NotReached("", kTriedAgain));
  }
  TellVitals();
  const auto first = std::ranges::stable_partition(askers_, std::not_fn(heard)).begin();
  std::vector<std::pair<absl::Duration, std::move_only_function<void()>>> ended;
  std::move(first, askers_.end(), std::back_inserter(ended));
  askers_.erase(first, askers_.end());
  for (auto& [since, done] : ended) done();
}

}  // namespace leasehold::gateway
