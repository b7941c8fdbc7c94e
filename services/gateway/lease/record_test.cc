#include "services/gateway/lease/record.h"

#include <gmock/gmock.h>

#include <vector>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

v1::LeaseRecord Make(v1::LeaseState state, int64_t expire_ms, int64_t switch_ms, const std::string& tenant,
                     const std::string& holder) {
  v1::LeaseRecord record;
  record.set_state(state);
  record.set_expire_ms(expire_ms);
  record.set_switch_ms(switch_ms);
  record.set_current_tenant(tenant);
  record.set_holder(holder);
  return record;
}

v1::LeaseRecord Fold(v1::LeaseRecord mine, const v1::LeaseRecord& other) {
  MergeRecord(mine, other);
  return mine;
}

TEST(Record, MergeIsTheSameInAnyOrder) {
  std::vector<v1::LeaseRecord> records;
  for (const auto state : {v1::LEASE_STATE_ACTIVE, v1::LEASE_STATE_RELEASED, v1::LEASE_STATE_REVOKED}) {
    for (const int64_t ms : {1, 2}) {
      records.push_back(Make(state, ms, 3 - ms, ms == 1 ? "acme" : "globex", ms == 1 ? "" : "payroll"));
      records.push_back(Make(state, ms, ms, ms == 1 ? "globex" : "acme", "payroll"));
    }
  }
  for (const auto& a : records) {
    EXPECT_EQ(Fold(a, a).SerializeAsString(), a.SerializeAsString());
    for (const auto& b : records) {
      EXPECT_EQ(Fold(a, b).SerializeAsString(), Fold(b, a).SerializeAsString());
      for (const auto& c : records) {
        EXPECT_EQ(Fold(Fold(a, b), c).SerializeAsString(), Fold(a, Fold(b, c)).SerializeAsString());
      }
    }
  }
}

TEST(Record, MergeTellsWhoKnowsMore) {
  const auto active = Make(v1::LEASE_STATE_ACTIVE, 10, 0, "acme", "");
  const auto released = Make(v1::LEASE_STATE_RELEASED, 10, 0, "acme", "");
  v1::LeaseRecord mine = active;
  EXPECT_TRUE(MergeRecord(mine, released).mine_changed);
  EXPECT_EQ(mine.state(), v1::LEASE_STATE_RELEASED);
  EXPECT_TRUE(MergeRecord(mine, active).other_behind);
  const Merged same = MergeRecord(mine, released);
  EXPECT_FALSE(same.mine_changed);
  EXPECT_FALSE(same.other_behind);
}

TEST(Record, ExpiryFollowsFromTheTime) {
  auto record = Make(v1::LEASE_STATE_ACTIVE, 10, 0, "", "");
  EXPECT_EQ(StateAt(record, 9), v1::LEASE_STATE_ACTIVE);
  EXPECT_EQ(StateAt(record, 10), v1::LEASE_STATE_EXPIRED);
  record.set_state(v1::LEASE_STATE_RELEASED);
  EXPECT_EQ(StateAt(record, 9), v1::LEASE_STATE_RELEASED);
  EXPECT_TRUE(StatusOfState(v1::LEASE_STATE_ACTIVE).ok());
  EXPECT_EQ(ReasonOf(StatusOfState(v1::LEASE_STATE_EXPIRED)), v1::REASON_LEASE_EXPIRED);
  EXPECT_EQ(ReasonOf(StatusOfState(v1::LEASE_STATE_RELEASED)), v1::REASON_LEASE_RELEASED);
  EXPECT_EQ(ReasonOf(StatusOfState(v1::LEASE_STATE_REVOKED)), v1::REASON_LEASE_REVOKED);
}

}  // namespace
}  // namespace leasehold::gateway
