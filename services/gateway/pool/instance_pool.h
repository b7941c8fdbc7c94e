// Server connections to one service's instance: pooled by transaction over all of its databases and roles, under one
// hard cap, shared out fairly between tenants.
//
//   cap        A connection counts from before it is dialled until PostgreSQL has closed it. An instance that has room
//              for fewer lowers it for a while: room.h.
//   growth     A line with a server waits a little (about as long as connecting takes) before it asks for another:
//              mostly one comes free sooner, and few busy servers answer faster than many.
//   dialling   Several at a time, as many as PostgreSQL makes without each taking much longer: dial_rate.h.
//   eviction   At the cap, an idle server of the coldest line gives way: docs/adr/0008-eviction.md.
//   fairness   At the cap and nobody idle, the next server that comes free goes to the line that claims it, if that
//              makes shares more even: max-min over servers per weight; tenants without any take turns.
//   vitals     Who comes when nobody has been let in for as long as one waits is told at once: no line grows before a
//              door that stays shut. The pool goes on trying by itself.
//              With all of the cap at work it is asked at its door, without a log-in.
//   restraint  While others are there, a tenant gets no more servers at a time than add to what PostgreSQL answers:
//              restraint.h.
#pragma once

#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pool/dial_rate.h"
#include "services/gateway/pool/dialer.h"
#include "services/gateway/pool/line.h"
#include "services/gateway/pool/loop.h"
#include "services/gateway/pool/report.h"
#include "services/gateway/pool/restraint.h"
#include "services/gateway/pool/room.h"
#include "services/gateway/pool/server.h"
#include "services/gateway/pool/setting_table.h"
#include "services/gateway/pool/statement.h"
#include "services/gateway/pool/vitals.h"

namespace leasehold::gateway {

class Errand;

struct TenantShare {
  std::string tenants;  // a glob over tenant ids
  double weight = 1;
  int max_connections = 0;  // 0: as for all
};

struct InstanceOptions {
  ServiceName service;
  Address address;
  RoleKeys role_keys;
  // Server connections at most, those being dialled and those being closed among them.
  int max_connections = 50;
  // … of one tenant; 0: no limit but the cap.
  int tenant_max_connections = 0;
  std::vector<TenantShare> tenant_shares = {};  // the first that fits counts
  // To wait for one of them.
  absl::Duration connection_timeout = absl::Seconds(30);
  absl::Duration idle_timeout = absl::Minutes(30);
  // Older ones are closed when they come free. PgBouncer's server_lifetime.
  absl::Duration max_age = absl::Hours(1);
  // Unused for so long, a server is asked for a sign of life before a client gets it; how long it has for that. With a
  // `probe`, whom nobody has heard of for so long is asked as well: by that log-in, or the connection it has left.
  // While somebody waits for PostgreSQL, it is asked as soon as it has been silent for as long as it has for an answer.
  absl::Duration health_check_interval = absl::Seconds(60);
  absl::Duration health_check_timeout = absl::Seconds(5);
  // Of one server connection; the least recently used are closed for new ones.
  size_t max_prepared_statements = 500;
  // Whether tenants are held to a bound of servers at work while others are there.
  bool tenant_restraint = true;
  std::optional<LoginTarget> probe = std::nullopt;
  // Told of how the instance is when that changes, and of each probe: OK and how long it took, or why not. On the loop;
  // must not block.
  std::function<void(const absl::Status&, std::optional<absl::Duration> took)> on_vitals = {};
  // Told when clients begin to wait for long though the instance is well, since all servers are taken, and OK when that
  // has ended. The same rules.
  std::function<void(const absl::Status&)> on_waits = {};
};

// What a server was left in.
enum class Leftover {
  kNothing,  // as the next client may find it
  kUnknown,  // something that has to be cleaned up first
};

// Its loop's, but for the constructor and the destructor, which run while the loop does not.
class InstancePool {
 public:
  InstancePool(InstanceOptions options, Loop& loop, asio::any_io_executor desk, Metrics& metrics);
  ~InstancePool();

  // Stable for the life of the pool.
  Line& LineFor(const LoginTarget& target);
  // A tenant's, or the central database's if `tenant` is empty. Stable as well; who is there counts itself in
  // `clients`.
  Share& ShareFor(const std::string& tenant);

  // A server at once, or nullptr: `client` is told later, unless it leaves before.
  Server* Acquire(Line& line, ServerClient& client);
  void Leave(ServerClient& client);

  // `server` is not the caller's any more. It must be between transactions, with all answers read.
  void Release(Server& server, Leftover leftover);
  // The same for a server that is in the middle of something or broken: what it does is cancelled, again and again, and
  // it counts until PostgreSQL has closed it. One that goes on with the next statement loses its connection.
  void Retire(Server& server, bool working);

  // What has a server of its own is never held back, but counts: it has sent something, or has nothing more to do for
  // now, as in a transaction between two statements.
  void Working(Server& server) {
    if (!server.working) BeginWork(server);
  }
  void Resting(Server& server);

  // Cancels what the server does for whom it is with now. It is nobody else's before PostgreSQL has sent the signal; a
  // signal that finds it idle has no effect. `done` on the loop.
  void Cancel(Server& server, std::move_only_function<void()> done);

  void OnIdleReady(Server& server);

  // A transaction of a client's has ended.
  void CountTransaction(absl::Duration took) { transactions_.Observe(took); }

  // With a `probe`: has PostgreSQL asked for a sign of life. `done` once it has answered or its time is over, of which
  // on_vitals has been told before; at once if it fails already, or cannot be asked.
  void AskVitals(std::move_only_function<void()> done);

  // report.cc
  PoolReport Report(const ReportScope& scope) const;
  // Closes all idle servers, and the others as they are released.
  void Close();
  int connections() const { return used_; }

  const InstanceOptions& options() const { return options_; }
  Loop& loop() { return loop_; }
  SettingTable& settings() { return settings_; }
  StatementTable& statements() { return statements_; }
  // A number that nobody else has; never 0.
  uint64_t NextMark() { return ++last_mark_; }

 private:
  // For one connection; clients wait longer, since there are more tries.
  static constexpr absl::Duration kLoginPatience = absl::Seconds(10);

  // dials.cc
  void StartDial(Line& line) { StartDial(line, kLoginPatience); }
  void StartDial(Line& line, absl::Duration patience);
  void OnDialled(Line& line, const std::string& database_id, std::expected<Dialled, LoginFailure> result);
  void OnDialFailed(Line& line, const LoginFailure& failure);
  bool MayDial(const Line& line) const;
  pgwire::ErrorFields ForClient(const LoginFailure& failure) const;
  absl::Status NotReached(std::string_view sqlstate, std::string_view remark) const;
  bool Hopeless() const;
  void CheckVitals();
  void TellVitals();
  void CheckWaits();
  bool Probe();
  void Knock();
  bool IsAsked(const Line& line) const;
  void EndSignOfLife(absl::Duration took, bool well);
  void EndAsking();

  // sharing.cc
  void Demand(Line& line);
  void ServeClaims();
  static bool IsFairer(const Share& claimant, const Share& holder);
  bool Take(const Line& claimant, const Server& server) const;
  void BeginWork(Server& server);
  void EndWork(Server& server);
  void Hold(Line& line);
  void ServeHeld();
  void ServeAllHeld();
  bool ServeFirstHeld();
  Line* ClaimantFor(const Server& server);
  int Free() const;
  int PlacesWanted() const;
  Server* Coldest(const Line& claimant);
  void Touch(Line& line);
  double HeatOf(const Line& line) const;

  void Offer(Server& server);
  void OfferNow(Server& server);
  void HandTo(Server& server, ServerClient& client);
  Server* TakeIdle(Line& line);
  void RemoveIdle(Server& server);
  void BeginClose(Server& server);
  void Closed(Server& server);
  void CancelUntilClosed(Server& server, absl::Duration pause);
  void Abort(Server& server);
  // For what comes later: the server may have gone meanwhile, and another one may be where it was.
  class Later {
   public:
    Later(const InstancePool& pool, Server& server) : pool_(pool), server_(&server), mark_(server.mark) {}
    // nullptr: it has gone.
    Server* Get() const {
      const bool there = pool_.servers_.contains(server_) && server_->mark == mark_;
      return there ? server_ : nullptr;
    }

   private:
    const InstancePool& pool_;
    Server* server_;
    uint64_t mark_;
  };
  void AskForSignOfLife(Server& server);
  void FinishErrand(Server& server, bool well);
  void Tick();
  void ArmTick();
  void Reap();
  void FailWaiting(Line& line, const pgwire::ErrorFields& why);
  void DropFromLine(ServerClient& client);
  pgwire::ErrorFields Exhausted(const Line& line) const;

  const InstanceOptions options_;
  Loop& loop_;
  Dialer dialer_;
  SettingTable settings_;
  StatementTable statements_;

  // By database and role. Looked up with every switch: less<> compares with views.
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Line>, std::less<>> lines_;
  std::map<std::string, std::unique_ptr<Share>> shares_;  // by tenant
  absl::flat_hash_map<const Server*, std::unique_ptr<Server>> servers_;
  absl::flat_hash_map<const Server*, std::unique_ptr<Errand>> errands_;
  absl::flat_hash_set<Line*> waiting_lines_;
  std::deque<Later> offers_;  // that came up while another was being made
  bool offering_ = false;
  std::deque<Line*> claims_;
  std::deque<Line*> held_;
  Restraint restraint_;
  Vitals vitals_;
  std::optional<std::pair<absl::Status, std::optional<absl::Duration>>> told_;  // on_vitals
  bool starved_ = false;                                                        // on_waits
  // Who wants to know how it is, and since when: AskVitals.
  std::vector<std::pair<absl::Duration, std::move_only_function<void()>>> askers_;
  DialRate dial_rate_;
  InstanceRoom room_;
  int dialling_ = 0;
  int idle_ = 0;
  int used_ = 0;     // of the cap
  int closing_ = 0;  // of those used
  int waiting_ = 0;
  bool ticking_ = false;
  bool knocking_ = false;
  bool shut_ = false;
  absl::Duration connect_time_ = absl::Milliseconds(3);  // moving average
  absl::Duration retry_at_ = absl::ZeroDuration();       // after the instance itself refused
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  uint64_t last_mark_ = 0;
  uint64_t requests_ = 0;
  uint64_t dials_ = 0;
  DurationHistogram transactions_;
  prometheus::Histogram& connect_seconds_;
  prometheus::Histogram& wait_seconds_;
};

}  // namespace leasehold::gateway
