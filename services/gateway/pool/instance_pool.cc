#include "services/gateway/pool/instance_pool.h"

#include <algorithm>
#include <format>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/pool/errand.h"

namespace leasehold::gateway {
namespace {

// How often waiting lines are looked at: for growth and time-outs.
constexpr absl::Duration kTick = absl::Milliseconds(1);
constexpr absl::Duration kReapEvery = absl::Seconds(1);
// A cancel stops one statement; a client may have sent several. So ask again until the backend has gone, ever more
// patiently.
constexpr absl::Duration kCancelAgain = absl::Milliseconds(200);
constexpr absl::Duration kCancelAtMost = absl::Seconds(10);
// A backend whose connection is gone notices with its next answer, or by client_connection_check_interval (dialer.cc).
constexpr absl::Duration kLastBreath = absl::Milliseconds(1300);

// Since when somebody waits who came too late for any hope: the next tick says so.
constexpr absl::Duration kInVain = -absl::InfiniteDuration();

// Everything that a session can leave behind but prepared statements, which have names of the gateway's own.
constexpr std::string_view kCleanUp =
    "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); "
    "DISCARD TEMP; DISCARD SEQUENCES";

}  // namespace

InstancePool::InstancePool(InstanceOptions options, Loop& loop, asio::any_io_executor desk, Metrics& metrics)
    : options_(std::move(options)),
      loop_(loop),
      dialer_(std::move(desk), options_.address, options_.role_keys),
      restraint_(options_.max_connections, options_.tenant_restraint),
      room_(options_.max_connections),
      connect_seconds_(metrics.Seconds("leasehold_sql_server_connect_seconds",
                                       "From dialling an instance to its first ReadyForQuery.",
                                       {{"service", options_.service.str()}})),
      wait_seconds_(metrics.Seconds("leasehold_sql_pool_wait_seconds",
                                    "How long clients waited for a server, whether they got one or not.",
                                    {{"service", options_.service.str()}})) {
  loop_.Post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Reap();
  });
}

InstancePool::~InstancePool() = default;

Line& InstancePool::LineFor(const LoginTarget& target) {
  const auto known = lines_.find(std::pair<std::string_view, std::string_view>(target.database, target.role));
  if (known != lines_.end()) {
    Line& line = *known->second;
    // The same name, another database: the old one was removed, its servers with it.
    if (line.target.database_id != target.database_id) line.target = target;
    return line;
  }
  std::unique_ptr<Line>& line = lines_[{target.database, target.role}];
  line = std::make_unique<Line>();
  line->target = target;
  line->heat_at = requests_;
  line->share = &ShareFor(target.tenant);
  return *line;
}

Share& InstancePool::ShareFor(const std::string& tenant) {
  std::unique_ptr<Share>& share = shares_[tenant];
  if (share) return *share;
  share = std::make_unique<Share>();
  share->limit = options_.tenant_max_connections > 0 ? options_.tenant_max_connections : options_.max_connections;
  for (const TenantShare& special : options_.tenant_shares) {
    if (!GlobMatches(special.tenants, tenant)) continue;
    share->weight = special.weight;
    if (special.max_connections > 0) share->limit = special.max_connections;
    break;
  }
  share->work.weight = share->weight;
  return *share;
}

Server* InstancePool::Acquire(Line& line, ServerClient& client) {
  Touch(line);
  if (line.waiting.empty() && !line.idle.empty()) {
    if (restraint_.Holds(line.share->work)) {
      Hold(line);
    } else if (Server* server = TakeIdle(line)) {
      ++line.share->tally.hits;
      server->user = &client;
      BeginWork(*server);
      return server;
    }
  }
  ++line.share->tally.waits;
  ++waiting_;
  client.since_ = Hopeless() ? kInVain : loop_.now();
  client.waiting_in_ = &line;
  client.place_ = line.waiting.insert(line.waiting.end(), &client);
  waiting_lines_.insert(&line);
  Demand(line);
  ArmTick();
  return nullptr;
}

void InstancePool::DropFromLine(ServerClient& client) {
  const absl::Duration waited = client.since_ == kInVain ? absl::ZeroDuration() : loop_.now() - client.since_;
  wait_seconds_.Observe(absl::ToDoubleSeconds(waited));
  Line& line = *std::exchange(client.waiting_in_, nullptr);
  line.waiting.erase(client.place_);
  --waiting_;
  if (line.waiting.empty()) waiting_lines_.erase(&line);
}

void InstancePool::Leave(ServerClient& client) {
  if (client.waiting_in_ != nullptr) DropFromLine(client);
}

void InstancePool::HandTo(Server& server, ServerClient& client) {
  DropFromLine(client);
  server.user = &client;
  BeginWork(server);
  client.OnServer(server);
}

Server* InstancePool::TakeIdle(Line& line) {
  while (!line.idle.empty()) {
    Server* const server = line.idle.back();
    line.idle.pop_back();
    --idle_;
    if (loop_.now() - server->idle_since < options_.health_check_interval) return server;
    AskForSignOfLife(*server);
  }
  return nullptr;
}

// It comes back through Offer if it still answers.
void InstancePool::AskForSignOfLife(Server& server) {
  errands_[&server] = std::make_unique<Errand>(loop_, server, ";", options_.health_check_timeout,
                                               [this, began = loop_.now()](Server& s, bool well) {
                                                 EndSignOfLife(loop_.now() - began, well);
                                                 FinishErrand(s, well);
                                               });
}

void InstancePool::RemoveIdle(Server& server) { idle_ -= static_cast<int>(std::erase(server.line.idle, &server)); }

void InstancePool::Release(Server& server, Leftover leftover) {
  vitals_.Answered(loop_.now());
  server.user = nullptr;
  EndWork(server);
  if (server.cancels > 0) {
    server.released = true;
    if (leftover == Leftover::kUnknown) server.applied = nullptr;
    server.unclean = leftover == Leftover::kUnknown;
    return;
  }
  if (leftover == Leftover::kUnknown) {
    server.applied = nullptr;
    server.unnamed = 0;
    std::string sql(kCleanUp);
    if (std::exchange(server.sql_prepared, false)) {
      sql += "; DEALLOCATE ALL";
      server.prepared.Clear();
    }
    errands_[&server] = std::make_unique<Errand>(loop_, server, sql, options_.health_check_timeout,
                                                 [this](Server& s, bool well) { FinishErrand(s, well); });
    ServeHeld();
    return;
  }
  Offer(server);
}

void InstancePool::FinishErrand(Server& server, bool well) {
  // The errand is on the stack: it goes after this round.
  loop_.Defer([errand = std::move(errands_[&server])] {});
  errands_.erase(&server);
  server.user = nullptr;
  if (well) {
    Offer(server);
  } else {
    Retire(server, true);
  }
}

// Who gets a server may be done with it at once, and thousands may wait for one: not each within the other's call.
void InstancePool::Offer(Server& server) {
  if (offering_) {
    offers_.emplace_back(*this, server);
    return;
  }
  offering_ = true;
  const absl::Cleanup done = [this] { offering_ = false; };
  OfferNow(server);
  while (!offers_.empty()) {
    Server* const next = offers_.front().Get();
    offers_.pop_front();
    if (next != nullptr) OfferNow(*next);
  }
}

void InstancePool::OfferNow(Server& server) {
  Line& line = server.line;
  if (shut_ || loop_.now() - server.opened > options_.max_age) {
    BeginClose(server);
    return;
  }
  const bool held = !line.waiting.empty() && restraint_.Holds(line.share->work);
  if (line.waiting.empty() || held) {
    server.idle_since = loop_.now();
    line.idle.push_back(&server);
    ++idle_;
    if (held) Hold(line);
    if (!claims_.empty()) ServeClaims();
  } else if (Line* const claimant = ClaimantFor(server)) {
    ++line.share->tally.evictions;
    BeginClose(server);
    claimant->claims = true;
    claims_.push_front(claimant);
  } else {
    HandTo(server, *line.waiting.front());
  }
  ServeHeld();
}

void InstancePool::OnIdleReady(Server& server) {
  // Notices, changed parameters and the like are of no use to anybody; the end, or an error before it, is.
  while (server.readable()) {
    const Transport::Result result = server.Read(loop_.scratch());
    if (result.closed) {
      Closed(server);
      return;
    }
    if (result.bytes == 0) return;
    if (server.closing) {
      server.goes_on = true;
      continue;
    }
    // Whatever an idle server says, it is rare: rather than follow it, do without the server.
    server.spoke = true;
    if (server.released) continue;  // until nobody cancels it any more
    RemoveIdle(server);
    BeginClose(server);
    return;
  }
}

void InstancePool::BeginClose(Server& server) {
  server.user = nullptr;
  EndWork(server);
  server.closing = true;
  ++closing_;
  server.released = false;
  std::string goodbye;
  pgwire::Terminate(goodbye);
  server.Send(goodbye);
  server.transport().ShutdownWrite();
  --server.line.share->servers;
  --server.line.servers;
}

void InstancePool::Retire(Server& server, bool working) {
  server.user = nullptr;
  if (!server.transport().open()) {
    Closed(server);
    return;
  }
  if (!server.closing) BeginClose(server);
  if (working) {
    CancelUntilClosed(server, kCancelAgain);
  }
  // Its end may have been told already.
  loop_.Defer([this, later = Later(*this, server)] {
    if (Server* const s = later.Get(); s != nullptr && s->user == nullptr) OnIdleReady(*s);
  });
}

void InstancePool::CancelUntilClosed(Server& server, absl::Duration pause) {
  dialer_.Cancel(server.key, [this, later = Later(*this, server), pause, alive = std::weak_ptr(alive_)] {
    loop_.Post([this, later, pause, alive] {
      if (alive.expired() || later.Get() == nullptr) return;
      if (pause == kCancelAtMost) {
        Log(Level::kWarning, "a backend does not end",
            {{"service", options_.service.str()}, {"database", later.Get()->line.target.database}});
      }
      loop_.After(pause, [this, later, pause] {
        Server* const s = later.Get();
        if (s == nullptr) return;
        if (s->goes_on && s->transport().open()) Abort(*s);
        CancelUntilClosed(*s, std::min(1.2 * pause, kCancelAtMost));
      });
    });
  });
}

// A cancel ends one statement, and there may be thousands behind it. Whoever can tell nobody of them does no more.
void InstancePool::Abort(Server& server) {
  loop_.Forget(server.transport().fd(), server);
  server.transport().Reset();
  loop_.After(kLastBreath, [this, later = Later(*this, server)] {
    if (Server* const s = later.Get()) Closed(*s);
  });
}

void InstancePool::Closed(Server& server) {
  EndWork(server);
  if (server.closing) {
    --closing_;  // off the books of its line already
  } else {
    RemoveIdle(server);
    --server.line.share->servers;
    --server.line.servers;
    server.closing = true;
  }
  if (server.transport().open()) loop_.Forget(server.transport().fd(), server);
  const auto found = servers_.find(&server);
  if (found == servers_.end()) return;
  loop_.Defer([gone = std::shared_ptr<Server>(std::move(found->second))] {});
  servers_.erase(found);
  --used_;
  ServeClaims();
}

void InstancePool::Cancel(Server& server, std::move_only_function<void()> done) {
  ++server.cancels;
  dialer_.Cancel(server.key,
                 [this, later = Later(*this, server), done = std::move(done), alive = std::weak_ptr(alive_)]() mutable {
                   loop_.Post([this, later, done = std::move(done), alive]() mutable {
                     if (alive.expired()) return;
                     done();
                     Server* const s = later.Get();
                     if (s == nullptr || --s->cancels > 0 || !s->released) return;
                     if (s->spoke) {
                       BeginClose(*s);
                       return;
                     }
                     s->released = false;
                     Release(*s, s->unclean ? Leftover::kUnknown : Leftover::kNothing);
                   });
                 });
}

void InstancePool::ArmTick() {
  if (std::exchange(ticking_, true)) return;
  loop_.After(kTick, [this] {
    ticking_ = false;
    Tick();
  });
}

void InstancePool::Tick() {
  const std::vector<Line*> lines(waiting_lines_.begin(), waiting_lines_.end());
  for (Line* const line : lines) {
    while (!line->waiting.empty() && loop_.now() - line->waiting.front()->since_ >= options_.connection_timeout) {
      ServerClient& late = *line->waiting.front();
      if (late.since_ == kInVain && vitals_.status().ok()) {  // it is back, and its clients wait like others
        for (ServerClient* const client : line->waiting) {
          if (client->since_ == kInVain) client->since_ = loop_.now();
        }
        break;
      }
      DropFromLine(late);
      late.OnNoServer(late.since_ == kInVain ? pgwire::ToErrorFields(vitals_.status()) : Exhausted(*line));
    }
    if (!line->waiting.empty()) Demand(*line);
  }
  ServeClaims();
  restraint_.Look(loop_.now());
  ServeAllHeld();
  if (!waiting_lines_.empty()) ArmTick();
}

void InstancePool::FailWaiting(Line& line, const pgwire::ErrorFields& why) {
  while (!line.waiting.empty()) {
    ServerClient& client = *line.waiting.front();
    DropFromLine(client);
    client.OnNoServer(why);
  }
}

void InstancePool::Reap() {
  const absl::Duration now = loop_.now();
  std::vector<Server*> old;
  for (const auto& [server, owned] : servers_) {
    if (owned->user != nullptr || owned->closing || owned->released || errands_.contains(server)) continue;
    if (now - owned->idle_since > options_.idle_timeout || now - owned->opened > options_.max_age) {
      old.push_back(owned.get());
    }
  }
  for (Server* const server : old) {
    RemoveIdle(*server);
    BeginClose(*server);
  }
  room_.Look(now);
  CheckVitals();
  CheckWaits();
  loop_.After(kReapEvery, [this] { Reap(); });
}

void InstancePool::Close() {
  shut_ = true;
  std::vector<Server*> idle;
  for (const auto& [key, line] : lines_) idle.insert(idle.end(), line->idle.begin(), line->idle.end());
  for (Server* const server : idle) {
    RemoveIdle(*server);
    BeginClose(*server);
  }
  for (auto& [since, done] : std::exchange(askers_, {})) done();
}

pgwire::ErrorFields InstancePool::Exhausted(const Line& line) const {
  const std::string waited = absl::FormatDuration(options_.connection_timeout);
  const std::string& service = options_.service.str();
  if (line.failures > 0 && line.servers == 0) {
    return pgwire::ToErrorFields(NotReached(line.failure, std::format("waited {}", waited)));
  }
  const auto exhausted = [&](std::string_view why) {
    return pgwire::ToErrorFields(
        Error(v1::REASON_INSTANCE_CONNECTIONS_EXHAUSTED,
              std::format("no server connection to the {} instance came free in {}: {}", service, waited, why)));
  };
  if (line.share->servers >= line.share->limit && line.share->limit < options_.max_connections) {
    return exhausted(
        std::format("all {} that this tenant may have (tenant_max_connections) are in use", line.share->limit));
  }
  if (restraint_.Holds(line.share->work)) {
    return exhausted(std::format("all {} that this tenant may have at work beside others (tenant_restraint) are",
                                 line.share->work.working));
  }
  if (used_ < room_.get()) return exhausted("connecting took longer");
  if (!room_.all()) {
    return exhausted(std::format("all {} that it has room for (of max_connections {}) are in use", room_.get(),
                                 options_.max_connections));
  }
  return exhausted(std::format("all {} of its max_connections are in use", options_.max_connections));
}

}  // namespace leasehold::gateway
