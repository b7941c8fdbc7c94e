// InstancePool: who gets the next server, and who gives way for it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "services/gateway/pool/errand.h"
#include "services/gateway/pool/instance_pool.h"

namespace leasehold::gateway {
namespace {

// Heat halves in so many requests to the instance, for each server that it may have. By requests, not by time: what
// nobody wants to replace need not fade, and a flood fades all alike. As many as bench/simulate/eviction.py found best.
constexpr double kHalfLifeRequests = 200;
// A line that has servers, and wants one more, takes it only from a line that has not used its own for so long.
constexpr absl::Duration kColdAfter = absl::Milliseconds(100);
// More tenants than servers: each keeps one for so long, or as long as connecting took times this, before it moves on.
constexpr absl::Duration kShortestTurn = absl::Milliseconds(5);
// A line with few servers, while there is room, asks for another after so long: on a busy machine it takes some for one
// to be always at work.
constexpr int kFew = 16;
constexpr absl::Duration kShortWait = absl::Microseconds(100);
// How many claims are looked at when a server comes free.
constexpr size_t kClaimsLookedAt = 8;

}  // namespace

void InstancePool::Touch(Line& line) {
  line.heat = HeatOf(line) + 1;
  line.heat_at = ++requests_;
}

double InstancePool::HeatOf(const Line& line) const {
  const double age = static_cast<double>(requests_ - line.heat_at);
  return line.heat * std::exp2(-age / (kHalfLifeRequests * options_.max_connections));
}

// `line` has somebody waiting: is it time for another server, and where from?
void InstancePool::Demand(Line& line) {
  if (restraint_.Holds(line.share->work)) return restraint_.NoteHeld();
  while (MayDial(line)) {
    if (line.servers + line.dialling > 0) {
      // Those who wait longest decide, past those for whom a server is on its way.
      const auto undecided = std::next(line.waiting.begin(), line.dialling);
      const bool few = line.servers + line.dialling < kFew && used_ < room_.get();
      if (loop_.now() - (*undecided)->since_ < (few ? std::min(connect_time_, kShortWait) : connect_time_)) return;
    }
    if (used_ < room_.get() && dialling_ < dial_rate_.limit()) {
      StartDial(line);
      continue;
    }
    if (!line.claims) {
      line.claims = true;
      claims_.push_back(&line);
      ServeClaims();
    }
    return;
  }
}

// Room for those who claim it: what is free, then what is idle. As many are closed at a time as may be dialled.
void InstancePool::ServeClaims() {
  for (size_t left = claims_.size(); left > 0 && dialling_ < dial_rate_.limit(); --left) {
    Line& line = *claims_.front();
    if (MayDial(line) && used_ >= room_.get()) break;
    claims_.pop_front();
    line.claims = false;
    if (!MayDial(line)) continue;
    StartDial(line);
    Demand(line);
  }
  for (int i = Free(); i < PlacesWanted(); ++i) {
    Server* const victim = Coldest(*claims_[static_cast<size_t>(i)]);
    if (victim == nullptr) continue;
    ++victim->line.share->tally.evictions;
    RemoveIdle(*victim);
    BeginClose(*victim);
  }
}

Server* InstancePool::Coldest(const Line& claimant) {
  const bool first = claimant.servers + claimant.dialling == 0;
  Server* coldest = nullptr;
  double least = std::numeric_limits<double>::max();
  // There are no more servers than the cap, but lines for every database that was ever asked for.
  for (const auto& [server, owned] : servers_) {
    const Line& line = server->line;
    // Of a line, the one that was idle longest.
    if (&line == &claimant || line.idle.empty() || line.idle.front() != server) continue;
    // What a tenant may not use now is nobody's loss.
    const bool spare = line.held && IsFairer(*claimant.share, *line.share);
    if (!first && !spare && loop_.now() - server->idle_since < kColdAfter) continue;
    // What a further server of the same line adds is worth less than the first.
    const double heat = HeatOf(line) / (line.servers * line.servers);
    if (heat >= least) continue;
    least = heat;
    coldest = owned.get();
  }
  return coldest;
}

bool InstancePool::IsFairer(const Share& claimant, const Share& holder) {
  return &claimant != &holder && claimant.Load(1) <= holder.Load(-1);
}

bool InstancePool::Take(const Line& claimant, const Server& server) const {
  if (claimant.share == server.line.share) return false;
  if (IsFairer(*claimant.share, *server.line.share)) return true;
  // More tenants than servers, and this one's turn is over.
  return claimant.share->servers == 0 && loop_.now() - server.opened >= std::max(kShortestTurn, 2 * connect_time_) &&
         claimant.waiting.front()->since_ < server.line.waiting.front()->since_;
}

// Who gets the place of `server`, though its own line could use it at once. Only if nothing idle can be closed for
// those who claim places, and no more is being closed already.
Line* InstancePool::ClaimantFor(const Server& server) {
  if (idle_ > 0 || Free() >= PlacesWanted()) return nullptr;
  for (size_t i = 0; i < std::min(claims_.size(), kClaimsLookedAt); ++i) {
    Line* const line = claims_[i];
    if (!MayDial(*line) || !Take(*line, server)) continue;
    claims_.erase(claims_.begin() + static_cast<std::ptrdiff_t>(i));
    line->claims = false;
    return line;
  }
  return nullptr;
}

void InstancePool::BeginWork(Server& server) {
  server.working = true;
  server.working_since = loop_.now();
  restraint_.Began(server.line.share->work, loop_.now());
}

void InstancePool::EndWork(Server& server) {
  if (!std::exchange(server.working, false)) return;
  restraint_.Ended(server.line.share->work, server.working_since, loop_.now());
}

void InstancePool::Resting(Server& server) {
  EndWork(server);
  ServeHeld();
}

// It has somebody waiting and servers idle, and its tenant may not have more of them at work.
void InstancePool::Hold(Line& line) {
  restraint_.NoteHeld();
  if (std::exchange(line.held, true)) return;
  held_.push_back(&line);
}

// One of its clients, if it may; true: one has been served.
bool InstancePool::ServeFirstHeld() {
  Line& line = *held_.front();
  held_.pop_front();
  line.held = false;
  bool served = false;
  if (!line.waiting.empty() && !restraint_.Holds(line.share->work)) {
    if (Server* const server = TakeIdle(line)) {
      HandTo(*server, *line.waiting.front());
      served = true;
    }
  }
  if (!line.waiting.empty() && !line.idle.empty()) Hold(line);
  return served;
}

// … who take turns. While there are as many at work as may be, an answer makes room for its own tenant at most.
void InstancePool::ServeHeld() {
  while (!held_.empty() && !restraint_.full()) ServeFirstHeld();
}

// Those too whose tenants have come to less than their share.
void InstancePool::ServeAllHeld() {
  for (bool served = true; served;) {
    served = false;
    for (size_t left = held_.size(); left > 0 && !held_.empty(); --left) served |= ServeFirstHeld();
  }
}

// Free, or soon: PostgreSQL takes a while to close a connection.
int InstancePool::Free() const { return room_.get() - used_ + closing_; }

int InstancePool::PlacesWanted() const { return std::min(static_cast<int>(claims_.size()), dial_rate_.limit()); }

}  // namespace leasehold::gateway
