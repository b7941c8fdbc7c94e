// A book of leases under a clock of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/clock/clock.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/gateway/lease/book.h"
#include "services/gateway/lease/claims.h"
#include "services/gateway/lease/record.h"

namespace leasehold::gateway {

inline LeaseId IdOf(const v1::LeaseRecord& record) { return *LeaseId::FromBytes(record.claims().id()); }

inline v1::LeaseClaims ClaimsFor(LeaseBook& book, const std::string& tenant, absl::Duration ttl) {
  v1::LeaseClaims claims;
  uint8_t random[10];
  RandomBytes(random);
  claims.set_issue_ms(book.IssueMs());
  claims.set_id(std::string(LeaseId::Make(claims.issue_ms(), random).bytes()));
  claims.set_expire_ms(claims.issue_ms() + absl::ToInt64Milliseconds(ttl));
  claims.set_service("identity");
  claims.set_tenant(tenant);
  claims.set_database_id("00112233445566aa");
  claims.set_access(v1::ACCESS_READ_WRITE);
  return claims;
}

class BookTest : public testing::Test {
 protected:
  v1::LeaseClaims Claims(const std::string& tenant = "acme", absl::Duration ttl = absl::Minutes(1)) {
    return ClaimsFor(book_, tenant, ttl);
  }
  v1::LeaseRecord Add(const std::string& tenant = "acme", absl::Duration ttl = absl::Minutes(1)) {
    v1::LeaseRecord record = RecordOf(Claims(tenant, ttl));
    const auto earlier = book_.Add(record);
    EXPECT_TRUE(earlier.ok()) << earlier.status();
    return record;
  }
  v1::LeaseRecord AddFor(const std::string& holder) {
    v1::LeaseClaims claims = Claims();
    claims.set_holder_hash(HolderHash(holder));
    v1::LeaseRecord record = RecordOf(claims);
    record.set_holder(holder);
    EXPECT_TRUE(book_.Add(record).ok());
    return record;
  }
  Reason Check(const v1::LeaseRecord& record) { return ReasonOf(book_.Check(record.claims()).status()); }
  // The reason that a session of the lease hears.
  std::unique_ptr<LeaseWatchers::Watch> Watch(const v1::LeaseRecord& record) {
    return watchers_.Add(IdOf(record), LeaseWatchers::Kind::kSession,
                         [this](const absl::Status& why) { heard_.push_back(ReasonOf(why)); });
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    book_.Tick();
  }
  std::vector<LeaseOutbox::Item> Told() {
    std::vector<LeaseOutbox::Item> items;
    while (auto item = outbox_.Take(absl::ZeroDuration(), 1)) items.push_back(*std::move(item));
    return items;
  }

  FakeClock clock_;
  LeaseWatchers watchers_;
  LeaseOutbox outbox_;
  std::vector<std::string> expired_;  // their tenants
  LeaseBook book_{clock_, watchers_, outbox_, {.on_expiry = [this](const v1::LeaseRecord& lease) {
                    expired_.push_back(lease.claims().tenant());
                  }}};
  std::vector<Reason> heard_;
};

}  // namespace leasehold::gateway
