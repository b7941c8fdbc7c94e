#include "services/provisioner/spares/keeper.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/failpoint/failpoint.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/steps/claimer.h"
#include "services/provisioner/steps/schema_note.h"

namespace leasehold::provisioner {
namespace {

constexpr size_t kDatabaseIdBytes = 8;
// Between looks when nobody claims: another's claims, a keeper that died, less that is asked for.
constexpr absl::Duration kInterval = absl::Seconds(5);
// Without a claim for so long, claims have paused: making a spare takes PostgreSQL's processor time from them.
constexpr absl::Duration kBreath = absl::Milliseconds(100);
// So many times the longest pause between attempts is the longest between attempts at files that fail.
constexpr int kVainBackoffs = 10;

std::string Text(const prometheus::Gauge& gauge) { return std::format("{}", static_cast<int>(gauge.Value())); }

}  // namespace

SpareKeeper::SpareKeeper(Options options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      role_key_(parts_.instance.KeyFingerprint()),
      central_(parts_.instance.AsLogin(parts_.instance.central_database())),
      demand_(options_.min_spares, options_.max_spares),
      ready_(parts_.metrics.Gauge("leasehold_spares", "Databases kept for tenants to come", {{"state", "ready"}})),
      building_(
          parts_.metrics.Gauge("leasehold_spares", "Databases kept for tenants to come", {{"state", "building"}})),
      wanted_(parts_.metrics.Gauge("leasehold_spares_wanted", "How many there should be now")),
      seconds_(parts_.metrics.Seconds("leasehold_spare_seconds", "Making one spare")) {}

void SpareKeeper::Claimed(bool found) {
  {
    const absl::MutexLock lock(&mu_);
    if (found) ready_.Decrement();  // until the next look
    if (!found) {
      ++missed_;
      none_left_ = true;
    }
    last_claim_ = parts_.clock.Now();
  }
  thread_.Wake();
}

bool SpareKeeper::AwaitTurn() {
  while (!thread_.Stopping()) {
    absl::Duration rest;
    {
      const absl::MutexLock lock(&mu_);
      const absl::Duration since = parts_.clock.Now() - last_claim_;
      const bool set_back = since < absl::ZeroDuration();  // the clock; nobody knows when that was
      rest = none_left_ || set_back ? absl::ZeroDuration() : kBreath - since;
    }
    if (rest > absl::ZeroDuration()) thread_.Rest(std::min(rest, kBreath), WorkerThread::Until::kStopping);
    if (rest <= absl::ZeroDuration() && parts_.await_quiet(kBreath)) return true;
  }
  return false;
}

void SpareKeeper::Run() {
  Backoff backoff(options_.min_backoff, options_.max_backoff);
  int failures = 0;
  int done = 0;
  std::string said;
  while (AwaitTurn()) {
    const absl::StatusOr<bool> worked = WorkOne();
    failures = worked.ok() ? 0 : failures + 1;
    if (worked.ok() && *worked) {
      ++done;
      continue;
    }
    if (worked.ok()) {
      if (done > 0)
        Log(Level::kInfo, "the stock of spares is as it should be",
            {{"ready", Text(ready_)}, {"wanted", Text(wanted_)}});
      done = 0;
      said.clear();
    } else if (ReasonOf(worked.status()) != v1::REASON_SHUTTING_DOWN && said != ClientText(worked.status())) {
      said = ClientText(worked.status());
      Log(Level::kWarning, "spares cannot be kept now; tenants get their databases the long way", {{"error", said}});
    }
    // After a failure also when woken: claims that fail too must not turn the wait into a spin.
    if (failures == 0) {
      thread_.Rest(kInterval, WorkerThread::Until::kWoken);
    } else {
      thread_.Rest(backoff.Wait(failures), WorkerThread::Until::kStopping);
    }
  }
}

int SpareKeeper::Target(const std::vector<Spare>& spares) {
  const auto is_gone = [&](const std::string& id) { return !std::ranges::contains(spares, id, &Spare::database_id); };
  int came = static_cast<int>(std::ranges::count_if(offered_, is_gone));
  offered_.clear();
  for (const Spare& spare : spares) {
    if (spare.ready) offered_.push_back(spare.database_id);
  }
  {
    const absl::MutexLock lock(&mu_);
    came += std::exchange(missed_, 0);
  }
  const absl::Time now = parts_.clock.Now();
  if (came > 0) demand_.Came(came, now);
  return demand_.Target(now);
}

void SpareKeeper::Show(const std::vector<Spare>& spares, int target) {
  const int fitting = CountFitting(spares, StandardOf(*options_.tenant_migrations.Get(), role_key_));
  {
    const absl::MutexLock lock(&mu_);
    none_left_ = fitting == 0;
  }
  ready_.Set(fitting);
  building_.Set(static_cast<double>(spares.size()) - fitting);
  wanted_.Set(target);
}

absl::StatusOr<bool> SpareKeeper::WorkOne() {
  const absl::StatusOr<bool> mine = TakeKeeperLock(central_);
  if (!mine.ok()) return Explain(mine.status(), "looking at the spares");
  if (const absl::Status reviewed = options_.tenant_migrations.Review(central_); !reviewed.ok()) {
    return Explain(reviewed, "looking at the newest migration run");
  }
  const absl::StatusOr<std::vector<Spare>> spares = ListSpares(central_, ClaimerOf(parts_.instance.login()));
  if (!spares.ok()) return Explain(spares.status(), "looking at the spares");
  const int target = Target(*spares);
  Show(*spares, target);
  if (!*mine) return false;
  const std::shared_ptr<const Migrations> files = options_.tenant_migrations.Get();
  const Standard standard = StandardOf(*files, role_key_);
  const Chore chore = NextChore(Workable(*spares), standard, *files, target);
  // Before each spare too: where tenants come all the time, there is never nothing to do.
  const absl::Status ended = EndClaims(central_, ClaimerOf(parts_.instance.login()));
  if (!ended.ok()) Log(Level::kDebug, "claims cannot be ended now", {{"error", StdView(ended.message())}});
  if (chore.kind == Chore::Kind::kNone || IsVain(chore, standard)) return false;
  LH_RETURN_IF_ERROR(Explain(Do(chore), "keeping the spares"));
  return true;
}

std::vector<Spare> SpareKeeper::Workable(std::vector<Spare> spares) {
  const absl::Time now = parts_.clock.Now();
  std::erase_if(stuck_, [&](const auto& entry) { return !IsStillToCome(entry.second, now, options_.max_backoff); });
  std::erase_if(spares, [&](const Spare& spare) { return stuck_.contains(spare.database_id); });
  return spares;
}

absl::Status SpareKeeper::Do(const Chore& chore) {
  switch (chore.kind) {
    case Chore::Kind::kMake: {
      const std::string id = RandomHex(kDatabaseIdBytes);
      LH_RETURN_IF_ERROR(BeginSpare(central_, id, parts_.clock.Now()));
      return Make(id);
    }
    case Chore::Kind::kFinish:
      return Make(chore.database_id);
    case Chore::Kind::kDiscard:
      return Discard(chore.database_id);
    case Chore::Kind::kNone:
      break;
  }
  return absl::OkStatus();
}

absl::Status SpareKeeper::RunSteps(const std::string& database_id, std::span<const TenantDatabase::Step> steps,
                                   const Migrations& migrations) {
  TenantDatabase database(
      parts_.instance, migrations, central_,
      // Of a spare that is finished nobody knows for sure under which key it was begun.
      {.tenant = std::nullopt, .database_id = database_id, .schema_version = {}, .renew_secrets = true});
  const absl::Status ran = database.Run(steps, [this] {
    return thread_.Stopping() ? Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down") : absl::OkStatus();
  });
  failing_file_ = database.failing_file();
  LH_RETURN_IF_ERROR(ran);
  if (database.elsewhere()) {
    return Error(v1::REASON_INSTANCE_UNAVAILABLE, "another provisioner is still at work on the spare");
  }
  if (database.history_digest().empty()) return absl::OkStatus();
  return NoteSchema(central_, {.database_id = database_id,
                               .version = database.schema_version().value_or(0),
                               .digest = database.history_digest()});
}

absl::Status SpareKeeper::Make(const std::string& database_id) {
  LH_ASSIGN_OR_RETURN(const bool mine, WithdrawSpare(central_, database_id));
  if (!mine) return absl::OkStatus();
  const absl::Time begin = parts_.clock.Now();
  const std::shared_ptr<const Migrations> migrations = options_.tenant_migrations.Get();
  const absl::Status made = RunSteps(database_id, TenantDatabase::Spare(), *migrations);
  if (!made.ok()) {
    return Failed(database_id, *migrations, made);
  }
  LH_FAILPOINT("before offering a spare");
  LH_RETURN_IF_ERROR(OfferSpare(central_, database_id, StandardOf(*migrations, role_key_)));
  offered_.push_back(database_id);
  const absl::Duration took = parts_.clock.Now() - begin;
  demand_.Took(took);
  seconds_.Observe(absl::ToDoubleSeconds(took));
  Log(Level::kDebug, "spare ready",
      {{"database_id", database_id}, {"ms", std::format("{}", absl::ToInt64Milliseconds(took))}});
  return absl::OkStatus();
}

bool SpareKeeper::IsVain(const Chore& chore, const Standard& standard) const {
  return chore.kind != Chore::Kind::kDiscard && standard.schema_digest == vain_digest_ &&
         IsStillToCome(vain_until_, parts_.clock.Now(), kVainBackoffs * options_.max_backoff);
}

absl::Status SpareKeeper::Failed(const std::string& database_id, const Migrations& migrations, absl::Status status) {
  const v1::Reason reason = ReasonOf(status);
  // Then the trouble is not its own.
  if (reason == v1::REASON_SHUTTING_DOWN || reason == v1::REASON_INSTANCE_UNAVAILABLE) return status;
  if (reason == v1::REASON_MIGRATION_FAILED) {
    LH_ASSIGN_OR_RETURN(const bool fewer, options_.tenant_migrations.HoldBack(central_, migrations, failing_file_));
    if (fewer) return absl::OkStatus();  // the next chore finishes it
    const std::string digest = StandardOf(migrations, "").schema_digest;
    vain_attempts_ = digest == vain_digest_ ? vain_attempts_ + 1 : 1;
    vain_digest_ = digest;
    vain_until_ =
        parts_.clock.Now() + Backoff(options_.max_backoff, kVainBackoffs * options_.max_backoff).Wait(vain_attempts_);
  }
  // What cannot be finished is dropped, so that it does not stand in the way of a new one.
  (void)Discard(database_id);
  return status;
}

absl::Status SpareKeeper::Discard(const std::string& database_id) {
  LH_ASSIGN_OR_RETURN(const bool mine, WithdrawSpare(central_, database_id));
  if (!mine) return absl::OkStatus();
  std::erase(offered_, database_id);
  absl::Status dropped = RunSteps(database_id, TenantDatabase::NoSpare(), {});
  if (dropped.ok()) return ForgetSpare(central_, database_id);
  stuck_[database_id] = parts_.clock.Now() + options_.max_backoff;
  return dropped;
}

}  // namespace leasehold::provisioner
