#include "services/gateway/lease/book.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/lease/record.h"

namespace leasehold::gateway {
namespace {

// How far ahead of ours another gateway's clock may be before its revocations no longer move our issue times.
constexpr int64_t kMaxSkewMs = 60'000;

constexpr int64_t kSweepMs = 60'000;

// Expiries handled under one hold of a shard's lock.
constexpr int kBatch = 256;

absl::Status NotFound(const LeaseId& id) {
  return Error(v1::REASON_LEASE_NOT_FOUND, "lease " + id.str() + " never was or ended more than an hour ago");
}

absl::Status Reused() {
  return Error(v1::REASON_REQUEST_ID_REUSED, "request_id was used before for a different request");
}

// Each principal has request_ids of its own: another's would be given the lease, and use it in its name.
std::string RequestOf(const std::string& principal, const std::string& request_id) {
  return principal + '\n' + request_id;
}
std::string RequestOf(const v1::LeaseRecord& record) { return RequestOf(record.principal(), record.request_id()); }

LeaseId IdOf(const v1::LeaseRecord& record) { return *LeaseId::FromBytes(record.claims().id()); }

}  // namespace

int64_t LeaseBook::IssueMs() const {
  const int64_t now = NowMs();
  const int64_t after_revocations = revocations_.newest_ms() + 1;
  return after_revocations - now > kMaxSkewMs ? now : std::max(now, after_revocations);
}

absl::StatusOr<std::optional<v1::LeaseRecord>> LeaseBook::Add(v1::LeaseRecord record, const LeaseBounds& bounds) {
  if (size() >= options_.max_leases) {
    return WithRetryAfter(Error(v1::REASON_TOO_MANY_CLIENTS, "this gateway holds as many leases as it can"),
                          absl::Seconds(1));
  }
  const LeaseId id = IdOf(record);
  const auto insert = [&] {
    Shard& shard = ShardOf(id);
    absl::MutexLock lock(&shard.mu);
    Entry& entry = Insert(shard, id, std::move(record));
    entry.given_out_here = true;
    Settle(shard, id, entry, NowMs());
  };
  if (record.request_id().empty()) {
    LH_RETURN_IF_ERROR(counts_.Take(record, bounds));
    insert();
  } else {
    absl::MutexLock lock(&requests_mu_);
    const std::string request = RequestOf(record);
    if (auto earlier = LivingOfRequest(request)) {
      if (earlier->request_hash() != record.request_hash()) return Reused();
      return earlier;
    }
    LH_RETURN_IF_ERROR(counts_.Take(record, bounds));
    requests_.insert_or_assign(request, id);
    insert();
  }
  outbox_.Add(id, LeaseOutbox::Urgency::kNews);
  return std::nullopt;
}

absl::StatusOr<std::optional<v1::LeaseRecord>> LeaseBook::FindRequest(const std::string& principal,
                                                                      const std::string& request_id,
                                                                      uint64_t request_hash) {
  if (request_id.empty()) return std::nullopt;
  absl::MutexLock lock(&requests_mu_);
  auto found = LivingOfRequest(RequestOf(principal, request_id));
  if (found && found->request_hash() != request_hash) return Reused();
  return found;
}

std::optional<v1::LeaseRecord> LeaseBook::LivingOfRequest(const std::string& request) const {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return std::nullopt;
  auto record = Get(found->second);
  if (!record.ok() || record->state() != v1::LEASE_STATE_ACTIVE) return std::nullopt;
  return *std::move(record);
}

absl::StatusOr<v1::LeaseRecord> LeaseBook::Get(const LeaseId& id) const {
  v1::LeaseRecord copy;
  LH_RETURN_IF_ERROR(Read(id, [&](const v1::LeaseRecord& record, v1::LeaseState now) {
    copy = record;
    copy.set_state(now);
  }));
  return copy;
}

absl::Status LeaseBook::Read(const LeaseId& id,
                             absl::FunctionRef<void(const v1::LeaseRecord&, v1::LeaseState)> read) const {
  const Shard& shard = ShardOf(id);
  absl::MutexLock lock(&shard.mu);
  const auto found = shard.leases.find(id);
  if (found == shard.leases.end() || found->second.stripped) return NotFound(id);
  read(found->second.record, StateAt(found->second.record, NowMs()));
  return absl::OkStatus();
}

template <typename Change>
absl::StatusOr<v1::LeaseRecord> LeaseBook::ChangeLiving(const LeaseId& id, Change change) {
  v1::LeaseRecord record;
  std::optional<Ended> ended;
  {
    Shard& shard = ShardOf(id);
    absl::MutexLock lock(&shard.mu);
    const auto found = shard.leases.find(id);
    if (found == shard.leases.end() || found->second.stripped) return NotFound(id);
    Entry& entry = found->second;
    const int64_t now = NowMs();
    LH_RETURN_IF_ERROR(StatusOfState(StateAt(entry.record, now)));
    change(entry.record, now);
    record = entry.record;
    ended = Settle(shard, id, entry, now);
  }
  outbox_.Add(id, LeaseOutbox::Urgency::kChange);
  Tell(ended);
  return record;
}

absl::StatusOr<v1::LeaseRecord> LeaseBook::Renew(const LeaseId& id, absl::Duration ttl) {
  return ChangeLiving(id, [ttl](v1::LeaseRecord& record, int64_t now) {
    record.set_expire_ms(std::max(record.expire_ms(), now + absl::ToInt64Milliseconds(ttl)));
  });
}

absl::StatusOr<v1::LeaseRecord> LeaseBook::Switch(const LeaseId& id, const std::string& tenant) {
  return ChangeLiving(id, [&tenant](v1::LeaseRecord& record, int64_t now) {
    record.set_switch_ms(std::max(now, record.switch_ms() + 1));
    record.set_current_tenant(tenant);
  });
}

absl::StatusOr<v1::LeaseRecord> LeaseBook::Release(const LeaseId& id) {
  auto released =
      ChangeLiving(id, [](v1::LeaseRecord& record, int64_t) { record.set_state(v1::LEASE_STATE_RELEASED); });
  if (released.ok() || ReasonOf(released.status()) == v1::REASON_LEASE_NOT_FOUND) return released;
  return Get(id);
}

int LeaseBook::Revoke(v1::Revocation conditions) {
  // Not earlier than any issue time that IssueMs has given out.
  conditions.set_before_ms(IssueMs());
  if (!revocations_.Add(conditions)) return 0;
  const int count = EndMatching(conditions);
  outbox_.Add(std::move(conditions));
  return count;
}

void LeaseBook::LearnRevocation(const v1::Revocation& revocation) {
  if (revocation.before_ms() < NowMs() - absl::ToInt64Milliseconds(options_.max_ttl + options_.keep_ended)) return;
  if (revocations_.Add(revocation)) EndMatching(revocation);
}

int LeaseBook::EndMatching(const v1::Revocation& revocation) {
  int count = 0;
  const int64_t now = NowMs();
  for (Shard& shard : shards_) {
    std::vector<Ended> ended;
    {
      absl::MutexLock lock(&shard.mu);
      std::vector<LeaseId> matching;  // Settle may erase entries, so not while iterating
      for (const auto& [id, entry] : shard.leases) {
        if (entry.ended_ms == 0 && Matches(revocation, entry.record.claims())) matching.push_back(id);
      }
      for (const LeaseId& id : matching) {
        const auto found = shard.leases.find(id);
        if (found == shard.leases.end()) continue;
        if (StateAt(found->second.record, now) == v1::LEASE_STATE_ACTIVE) ++count;
        found->second.record.set_state(v1::LEASE_STATE_REVOKED);
        if (auto end = Settle(shard, id, found->second, now)) ended.push_back(*std::move(end));
      }
    }
    for (Ended& end : ended) Tell(std::move(end));
  }
  return count;
}

std::vector<v1::LeaseRecord> LeaseBook::List(const Filter& filter, const std::optional<LeaseId>& after,
                                             size_t limit) const {
  const auto matches = [&filter](const v1::LeaseRecord& record) {
    return (filter.tenant.empty() || record.claims().tenant() == filter.tenant) &&
           (filter.service.empty() || record.claims().service() == filter.service) &&
           (filter.holder.empty() || record.holder() == filter.holder);
  };
  std::vector<v1::LeaseRecord> found;
  const int64_t now = NowMs();
  for (const Shard& shard : shards_) {
    size_t taken = 0;
    absl::MutexLock lock(&shard.mu);
    auto it = after ? shard.leases.upper_bound(*after) : shard.leases.begin();
    for (; it != shard.leases.end() && taken < limit; ++it) {
      const v1::LeaseRecord& record = it->second.record;
      if (it->second.stripped || StateAt(record, now) != v1::LEASE_STATE_ACTIVE || !matches(record)) continue;
      found.push_back(record);
      ++taken;
    }
  }
  std::ranges::sort(found, {},
                    [](const v1::LeaseRecord& record) -> const std::string& { return record.claims().id(); });
  if (found.size() > limit) found.resize(limit);
  return found;
}

absl::StatusOr<LeaseBook::Standing> LeaseBook::Check(const v1::LeaseClaims& claims) const {
  LH_ASSIGN_OR_RETURN(const LeaseId id, LeaseId::FromBytes(claims.id()));
  Standing standing{claims.expire_ms(), claims.tenant(), "", ""};
  v1::LeaseState state = v1::LEASE_STATE_ACTIVE;
  {
    const Shard& shard = ShardOf(id);
    absl::MutexLock lock(&shard.mu);
    if (const auto found = shard.leases.find(id); found != shard.leases.end()) {
      const v1::LeaseRecord& record = found->second.record;
      state = record.state();
      standing = {std::max(claims.expire_ms(), record.expire_ms()), record.current_tenant(), record.holder(),
                  record.principal()};
    }
  }
  LH_RETURN_IF_ERROR(StatusOfState(state));
  if (revocations_.Covers(claims)) return StatusOfState(v1::LEASE_STATE_REVOKED);
  if (standing.expire_ms <= NowMs()) return StatusOfState(v1::LEASE_STATE_EXPIRED);
  return standing;
}

void LeaseBook::Adopt(const v1::LeaseClaims& claims) {
  const auto id = LeaseId::FromBytes(claims.id());
  if (!id.ok()) return;
  std::optional<Ended> ended;
  {
    Shard& shard = ShardOf(*id);
    absl::MutexLock lock(&shard.mu);
    if (shard.leases.contains(*id)) return;
    v1::LeaseRecord record = RecordOf(claims);
    counts_.Add(record);
    ended = Settle(shard, *id, Insert(shard, *id, std::move(record)), NowMs());
  }
  Tell(ended);
}

void LeaseBook::Learn(const v1::LeaseRecord& record) {
  if (Merge(record)) outbox_.Add(IdOf(record), LeaseOutbox::Urgency::kChange);
}

bool LeaseBook::Merge(const v1::LeaseRecord& record) {
  const LeaseId id = IdOf(record);
  const int64_t now = NowMs();
  if (record.expire_ms() < now - absl::ToInt64Milliseconds(options_.keep_ended)) return false;
  std::optional<Ended> ended;
  bool other_behind = false;
  {
    Shard& shard = ShardOf(id);
    absl::MutexLock lock(&shard.mu);
    const auto found = shard.leases.find(id);
    if (found == shard.leases.end()) {
      counts_.Add(record);
      Entry& entry = Insert(shard, id, record);
      entry.record.clear_writer();
      ended = Settle(shard, id, entry, now);
    } else if (!found->second.stripped) {
      // Its principal may become known.
      const bool counted = found->second.ended_ms == 0;
      if (counted) counts_.Remove(found->second.record);
      const Merged merged = MergeRecord(found->second.record, record);
      if (counted) counts_.Add(found->second.record);
      other_behind = merged.other_behind;
      if (merged.mine_changed) ended = Settle(shard, id, found->second, now);
    }
  }
  if (!record.request_id().empty() && record.state() == v1::LEASE_STATE_ACTIVE) {
    absl::MutexLock lock(&requests_mu_);
    requests_.try_emplace(RequestOf(record), id);
  }
  Tell(ended);
  return other_behind;
}

LeaseBook::Entry& LeaseBook::Insert(Shard& shard, const LeaseId& id, v1::LeaseRecord record) {
  Entry& entry = shard.leases[id];
  entry.record = std::move(record);
  if (revocations_.Covers(entry.record.claims())) entry.record.set_state(v1::LEASE_STATE_REVOKED);
  size_.fetch_add(1, std::memory_order_relaxed);
  live_.fetch_add(1, std::memory_order_relaxed);
  return entry;
}

std::optional<LeaseBook::Ended> LeaseBook::Settle(Shard& shard, const LeaseId& id, Entry& entry, int64_t now) {
  const v1::LeaseState state = StateAt(entry.record, now);
  if (state == v1::LEASE_STATE_ACTIVE) {
    if (entry.ended_ms != 0) {  // it had expired here, and then another gateway's renewal arrived
      entry.ended_ms = 0;
      live_.fetch_add(1, std::memory_order_relaxed);
      counts_.Add(entry.record);
    }
    // A renewal needs no new node: the old one comes up early and is planned anew.
    if (entry.due_ms == 0 || entry.due_ms > entry.record.expire_ms()) Plan(shard, id, entry, entry.record.expire_ms());
    return std::nullopt;
  }
  if (entry.ended_ms != 0) return std::nullopt;
  entry.ended_ms = now;
  live_.fetch_sub(1, std::memory_order_relaxed);
  counts_.Remove(entry.record);
  if (entry.due_ms == 0) Plan(shard, id, entry, entry.record.expire_ms());
  Ended ended{.id = id, .why = StatusOfState(state)};
  if (state == v1::LEASE_STATE_EXPIRED && entry.given_out_here && options_.on_expiry) ended.expired = entry.record;
  shard.ended.push_back(id);
  CutEnded(shard, now);
  return ended;
}

void LeaseBook::Plan(Shard& shard, const LeaseId& id, Entry& entry, int64_t due_ms) {
  entry.due_ms = due_ms;
  shard.heap.push_back({due_ms, id});
  std::ranges::push_heap(shard.heap, std::ranges::greater(), &Due::ms);
}

void LeaseBook::Forget(Shard& shard, absl::btree_map<LeaseId, Entry>::iterator entry) {
  const v1::LeaseRecord& record = entry->second.record;
  if (!record.request_id().empty()) shard.forgotten.emplace_back(RequestOf(record), entry->first);
  shard.leases.erase(entry);
  size_.fetch_sub(1, std::memory_order_relaxed);
}

void LeaseBook::CutEnded(Shard& shard, int64_t now) {
  while (shard.ended.size() > options_.max_ended / kShards) {
    const auto found = shard.leases.find(shard.ended.front());
    shard.ended.pop_front();
    if (found == shard.leases.end() || found->second.ended_ms == 0) continue;
    if (found->second.record.expire_ms() <= now) {
      Forget(shard, found);
      continue;
    }
    // Its credentials have not run out, so that it has ended must stay known.
    v1::LeaseRecord rest;
    rest.set_state(found->second.record.state());
    rest.set_expire_ms(found->second.record.expire_ms());
    if (!found->second.record.request_id().empty()) {
      rest.set_request_id(found->second.record.request_id());
      rest.set_principal(found->second.record.principal());
    }
    found->second.record.Swap(&rest);
    found->second.stripped = true;
  }
}

void LeaseBook::Tick() {
  const int64_t now = NowMs();
  for (Shard& shard : shards_) {
    while (TickShard(shard, now)) {
    }
  }
  if (now - swept_ms_.load(std::memory_order_relaxed) >= kSweepMs) {
    swept_ms_.store(now, std::memory_order_relaxed);
    revocations_.ForgetBefore(now - absl::ToInt64Milliseconds(options_.max_ttl + options_.keep_ended));
  }
}

bool LeaseBook::TickShard(Shard& shard, int64_t now) {
  const int64_t keep_ms = absl::ToInt64Milliseconds(options_.keep_ended);
  std::vector<Ended> ended;
  std::vector<std::pair<std::string, LeaseId>> forgotten_requests;
  bool more = false;
  {
    absl::MutexLock lock(&shard.mu);
    for (int i = 0; !shard.heap.empty() && shard.heap.front().ms <= now; ++i) {
      if (i == kBatch) {
        more = true;
        break;
      }
      std::ranges::pop_heap(shard.heap, std::ranges::greater(), &Due::ms);
      const Due due = std::move(shard.heap.back());
      shard.heap.pop_back();
      const auto found = shard.leases.find(due.id);
      if (found == shard.leases.end() || found->second.due_ms != due.ms) continue;
      Entry& entry = found->second;
      if (StateAt(entry.record, now) == v1::LEASE_STATE_ACTIVE) {  // renewed
        Plan(shard, due.id, entry, entry.record.expire_ms());
        continue;
      }
      const int64_t ended_ms = entry.ended_ms == 0 ? now : entry.ended_ms;
      const int64_t forget_ms = std::max(ended_ms + keep_ms, entry.record.expire_ms());
      if (forget_ms > now) {
        Plan(shard, due.id, entry, forget_ms);
        if (auto end = Settle(shard, due.id, entry, now)) ended.push_back(*std::move(end));
        continue;
      }
      Forget(shard, found);
    }
    forgotten_requests.swap(shard.forgotten);
    while (!shard.ended.empty() && !shard.leases.contains(shard.ended.front())) shard.ended.pop_front();
  }
  for (Ended& end : ended) Tell(std::move(end));
  if (!forgotten_requests.empty()) {
    absl::MutexLock lock(&requests_mu_);
    for (const auto& [request, id] : forgotten_requests) {
      const auto found = requests_.find(request);
      if (found != requests_.end() && found->second == id) requests_.erase(found);
    }
  }
  return more;
}

}  // namespace leasehold::gateway
