#include "bench/load/tenant_load.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <format>
#include <fstream>
#include <memory>

#include "absl/log/absl_check.h"
#include "absl/time/clock.h"
#include "bench/load/zipf.h"
#include "common/status/error.h"

namespace leasehold::bench {
namespace {

constexpr absl::Duration kPauseAfterError = absl::Milliseconds(10);  // a refusing server is not asked in a tight loop
constexpr std::string_view kQuery = "SELECT current_database()";

absl::Duration CpuTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

// One user: always at most one request under way.
struct User {
  explicit User(int epoll, uint64_t tag, ScramKeys& keys) : client(epoll, tag, keys) {}
  enum class Step { kOutside, kIdle, kConnecting, kMoving, kAsking, kPausing };

  SqlClient client;
  Step step = Step::kOutside;
  const TenantTarget* tenant = nullptr;
  absl::Time began;
  bool counts = false;
};

class Loop {
 public:
  explicit Loop(const TenantLoad& load)
      : load_(load),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        keys_(load.keep_scram_keys),
        zipf_(load.tenants.size(), load.zipf, load.seed) {
    for (int i = 0; i < load.clients; ++i) {
      users_.push_back(std::make_unique<User>(epoll_, static_cast<uint64_t>(i), keys_));
    }
  }
  ~Loop() {
    users_.clear();
    close(epoll_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  TenantLoadResult Run() {
    if (load_.move == TenantLoad::Move::kSet) {
      ConnectAll();
    } else {
      for (const auto& user : users_) user->step = User::Step::kIdle;
    }
    const absl::Time start = absl::Now() + load_.warm_up;
    begin_counting_ = start;
    stop_beginning_ = start + load_.duration;
    for (const auto& user : users_) {
      if (user->step == User::Step::kIdle) Begin(*user);
    }
    TurnUntil(start, [] { return false; });
    const absl::Duration cpu_before = CpuTime();
    TurnUntil(stop_beginning_, [] { return false; });
    result_.cpu_time = CpuTime() - cpu_before;
    result_.elapsed = load_.duration;
    TurnUntil(absl::Now() + load_.answer_patience, [this] { return counting_ == 0; });
    if (counting_ > 0) result_.errors["unfinished"] += counting_;
    return std::move(result_);
  }

 private:
  // Nobody starts before all are in: a client that comes late would be served by an idle system.
  void ConnectAll() {
    stop_beginning_ = absl::InfinitePast();
    for (const auto& user : users_) Open(*user, load_.home);
    const auto inside = [this] { return connecting_ == 0; };
    TurnUntil(absl::Now() + load_.connect_patience, inside);
    for (const auto& user : users_) {
      if (user->step == User::Step::kIdle) continue;
      user->client.Abandon();
      user->step = User::Step::kOutside;
      if (user->client.failure().empty()) ++result_.errors["not connected"];
    }
    connecting_ = 0;
  }

  void Open(User& user, const Target& target) {
    user.step = User::Step::kConnecting;
    ++connecting_;
    user.client.Connect(target);
    if (user.client.failed_at_once()) OnEvent(user);
  }

  void Begin(User& user) {
    const absl::Time now = absl::Now();
    if (now >= stop_beginning_) {
      user.step = User::Step::kIdle;
      return;
    }
    user.tenant = &load_.tenants[zipf_.Next()];
    user.began = now;
    user.counts = now >= begin_counting_;
    counting_ += user.counts;
    if (user.client.state() == SqlClient::State::kReady) {
      Move(user);
    } else {
      Open(user, load_.move == TenantLoad::Move::kSet ? load_.home : user.tenant->target);
    }
  }

  void Move(User& user) {
    if (load_.move == TenantLoad::Move::kReconnect) return Ask(user);
    user.step = User::Step::kMoving;
    user.client.Query(std::format("SET leasehold.tenant = '{}'", user.tenant->tenant));
  }

  void Ask(User& user) {
    user.step = User::Step::kAsking;
    user.client.Query(kQuery);
  }

  void OnEvent(User& user) {
    switch (user.client.OnEvent()) {
      case SqlClient::Event::kNothing:
        return;
      case SqlClient::Event::kReady:
        --connecting_;
        user.step = User::Step::kIdle;
        if (user.tenant != nullptr) Move(user);
        return;
      case SqlClient::Event::kAnswer:
        if (!user.client.failure().empty()) return Fail(user);
        return user.step == User::Step::kMoving ? Ask(user) : Succeed(user);
      case SqlClient::Event::kBroken:
        connecting_ -= user.step == User::Step::kConnecting;
        // A client that waits to begin connects again when it does.
        if (user.step != User::Step::kIdle && user.step != User::Step::kPausing) Fail(user);
        return;
    }
  }

  void Succeed(User& user) {
    if (user.client.value() != user.tenant->target.database) ++result_.wrong_databases;
    if (user.counts) result_.latencies.Add(absl::Now() - user.began);
    counting_ -= user.counts;
    if (load_.move == TenantLoad::Move::kReconnect) user.client.Close();
    Begin(user);
  }

  void Fail(User& user) {
    const bool in_request = user.tenant != nullptr;
    if (!in_request || user.counts) ++result_.errors[user.client.failure()];
    counting_ -= in_request && user.counts;
    user.counts = false;
    if (load_.move == TenantLoad::Move::kReconnect) user.client.Abandon();
    if (!in_request) {
      user.step = User::Step::kOutside;
      return;
    }
    user.step = User::Step::kPausing;
    pausing_.emplace_back(absl::Now() + kPauseAfterError, &user);
  }

  template <typename Done>
  void TurnUntil(absl::Time end, Done done) {
    std::array<epoll_event, 256> events;
    for (absl::Time now = absl::Now(); now < end && !done(); now = absl::Now()) {
      for (; !pausing_.empty() && pausing_.front().first <= now; pausing_.pop_front()) Begin(*pausing_.front().second);
      const absl::Duration wait = std::min(end - now, absl::Milliseconds(10));
      const int timeout = static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1))));
      const int count = epoll_wait(epoll_, events.data(), events.size(), timeout);
      for (int i = 0; i < count; ++i) OnEvent(*users_[events[static_cast<size_t>(i)].data.u64]);
    }
  }

  const TenantLoad& load_;
  const int epoll_;
  ScramKeys keys_;
  Zipf zipf_;
  std::vector<std::unique_ptr<User>> users_;
  std::deque<std::pair<absl::Time, User*>> pausing_;
  int connecting_ = 0;
  int64_t counting_ = 0;  // requests under way that count
  absl::Time begin_counting_ = absl::InfiniteFuture();
  absl::Time stop_beginning_ = absl::InfinitePast();
  TenantLoadResult result_;
};

}  // namespace

TenantLoadResult RunTenantLoad(const TenantLoad& load) {
  ABSL_CHECK(!load.tenants.empty());
  return Loop(load).Run();
}

absl::StatusOr<std::vector<TenantTarget>> ReadTenantTargets(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::FailedPreconditionError(std::format("cannot read {}", path));
  std::vector<TenantTarget> targets;
  std::string tenant;
  std::string dsn;
  while (file >> tenant >> dsn) {
    LH_ASSIGN_OR_RETURN(Target target, ParseTarget(dsn));
    if (target.database.empty()) return absl::InvalidArgumentError(std::format("{}: no database", tenant));
    targets.push_back({.tenant = std::move(tenant), .target = std::move(target)});
  }
  if (targets.empty()) return absl::InvalidArgumentError(std::format("{} names no tenant", path));
  return targets;
}

}  // namespace leasehold::bench
