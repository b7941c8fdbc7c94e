#include <gmock/gmock.h>

#include <thread>

#include "services/gateway/lease/book_fixture.h"

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(BookTest, TellsOnceOfWhatWasGivenOutHereAndNobodyRenewed) {
  Add("expires");
  book_.Learn(RecordOf(Claims("elsewhere")));
  book_.Adopt(Claims("proven"));
  ASSERT_TRUE(book_.Release(IdOf(Add("released"))).ok());
  v1::Revocation conditions;
  conditions.set_tenant("revoked");
  Add("revoked");
  EXPECT_EQ(book_.Revoke(conditions), 1);
  const v1::LeaseRecord renewed = Add("renewed");
  ASSERT_TRUE(book_.Renew(IdOf(renewed), absl::Minutes(3)).ok());
  EXPECT_THAT(expired_, IsEmpty());
  Pass(absl::Minutes(1));
  EXPECT_THAT(expired_, ElementsAre("expires"));
  Pass(absl::Minutes(1));
  EXPECT_THAT(expired_, ElementsAre("expires"));
  Pass(absl::Minutes(1));
  EXPECT_THAT(expired_, ElementsAre("expires", "renewed"));
}

TEST_F(BookTest, QuotasCountWhatLivesWhoeverGaveItOut) {
  const LeaseBounds two = {.principal_leases = 2, .tenant_leases = 0, .sessions_per_lease = 0};
  const auto record_of = [this](const std::string& principal) {
    v1::LeaseRecord record = RecordOf(Claims());
    record.set_principal(principal);
    return record;
  };
  const auto add = [&](const std::string& principal, const LeaseBounds& bounds) {
    return ReasonOf(book_.Add(record_of(principal), bounds).status());
  };
  EXPECT_EQ(add("a", two), v1::REASON_UNSPECIFIED);
  const v1::LeaseRecord elsewhere = record_of("a");
  book_.Learn(elsewhere);
  EXPECT_EQ(add("a", two), v1::REASON_QUOTA_EXCEEDED);
  book_.Learn(elsewhere);
  EXPECT_EQ(add("b", two), v1::REASON_UNSPECIFIED);
  // Known from its credentials first, and its principal only then.
  const v1::LeaseRecord late = record_of("b");
  book_.Adopt(late.claims());
  EXPECT_EQ(add("b", {.principal_leases = 1, .tenant_leases = 0, .sessions_per_lease = 0}), v1::REASON_QUOTA_EXCEEDED);
  book_.Learn(late);
  EXPECT_EQ(add("b", two), v1::REASON_QUOTA_EXCEEDED);
  EXPECT_EQ(add("c", {.principal_leases = 0, .tenant_leases = 4, .sessions_per_lease = 0}), v1::REASON_QUOTA_EXCEEDED);
  // It ends in each of the ways that there are.
  ASSERT_TRUE(book_.Release(IdOf(late)).ok());
  ASSERT_TRUE(book_.Release(IdOf(late)).ok());
  EXPECT_EQ(add("b", two), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(add("b", two), v1::REASON_QUOTA_EXCEEDED);
  v1::Revocation all;
  all.set_tenant("acme");
  EXPECT_EQ(book_.Revoke(all), 4);
  clock_.Advance(absl::Milliseconds(1));
  for (const char* principal : {"a", "b"}) {
    EXPECT_EQ(add(principal, two), v1::REASON_UNSPECIFIED);
    EXPECT_EQ(add(principal, two), v1::REASON_UNSPECIFIED);
    EXPECT_EQ(add(principal, two), v1::REASON_QUOTA_EXCEEDED);
  }
  Pass(absl::Minutes(1));
  EXPECT_EQ(add("a", two), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(book_.live(), 1u);
}

TEST_F(BookTest, LeaseExpiresOnTimeAndItsSessionsHear) {
  const auto record = Add();
  const auto watch = Watch(record);
  Pass(absl::Minutes(1) - absl::Milliseconds(1));
  EXPECT_EQ(Check(record), v1::REASON_UNSPECIFIED);
  EXPECT_THAT(heard_, IsEmpty());
  EXPECT_EQ(book_.live(), 1u);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(Check(record), v1::REASON_LEASE_EXPIRED);
  EXPECT_THAT(heard_, ElementsAre(v1::REASON_LEASE_EXPIRED));
  EXPECT_EQ(book_.Get(IdOf(record))->state(), v1::LEASE_STATE_EXPIRED);
  EXPECT_EQ(book_.live(), 0u);
}

TEST_F(BookTest, EndedLeaseIsForgottenAfterAnHour) {
  const auto record = Add();
  Pass(absl::Minutes(1));
  Pass(absl::Hours(1) - absl::Milliseconds(1));
  EXPECT_TRUE(book_.Get(IdOf(record)).ok());
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(ReasonOf(book_.Get(IdOf(record)).status()), v1::REASON_LEASE_NOT_FOUND);
  EXPECT_EQ(book_.size(), 0u);
}

TEST_F(BookTest, ReleasedLeaseStaysKnownUntilItsCredentialsRunOut) {
  const auto record = Add("acme", absl::Hours(24));
  const auto watch = Watch(record);
  EXPECT_EQ(book_.Release(IdOf(record))->state(), v1::LEASE_STATE_RELEASED);
  EXPECT_THAT(heard_, ElementsAre(v1::REASON_LEASE_RELEASED));
  Pass(absl::Hours(23));
  EXPECT_EQ(Check(record), v1::REASON_LEASE_RELEASED);
  Pass(absl::Hours(2));
  EXPECT_EQ(book_.size(), 0u);
  EXPECT_EQ(Check(record), v1::REASON_LEASE_EXPIRED);
}

TEST_F(BookTest, ReleasingTwiceChangesNothing) {
  const auto record = Add();
  EXPECT_TRUE(book_.Release(IdOf(record)).ok());
  Told();
  EXPECT_EQ(book_.Release(IdOf(record))->state(), v1::LEASE_STATE_RELEASED);
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(BookTest, RenewalMovesTheExpiryButNeverBack) {
  const auto record = Add();
  EXPECT_EQ(book_.Renew(IdOf(record), absl::Seconds(1))->expire_ms(), record.expire_ms());
  EXPECT_EQ(book_.Renew(IdOf(record), absl::Minutes(5))->expire_ms(), record.expire_ms() + 240'000);
  Pass(absl::Minutes(4));
  EXPECT_EQ(Check(record), v1::REASON_UNSPECIFIED);
  Pass(absl::Minutes(1));
  EXPECT_EQ(Check(record), v1::REASON_LEASE_EXPIRED);
  EXPECT_EQ(ReasonOf(book_.Renew(IdOf(record), absl::Minutes(5)).status()), v1::REASON_LEASE_EXPIRED);
}

TEST_F(BookTest, UnknownLeaseIsNotFound) {
  const auto id = IdOf(RecordOf(Claims()));
  EXPECT_EQ(ReasonOf(book_.Get(id).status()), v1::REASON_LEASE_NOT_FOUND);
  EXPECT_EQ(ReasonOf(book_.Renew(id, absl::Minutes(1)).status()), v1::REASON_LEASE_NOT_FOUND);
  EXPECT_EQ(ReasonOf(book_.Release(id).status()), v1::REASON_LEASE_NOT_FOUND);
}

TEST_F(BookTest, ReadSeesWhatIsStoredAndTheStateAsOfNow) {
  const auto record = Add("acme", absl::Minutes(1));
  const auto read = [this](const LeaseId& id) {
    v1::LeaseState state = v1::LEASE_STATE_UNSPECIFIED;
    const absl::Status status = book_.Read(id, [&](const v1::LeaseRecord& stored, v1::LeaseState now) {
      EXPECT_EQ(stored.state(), v1::LEASE_STATE_ACTIVE);
      EXPECT_EQ(stored.claims().tenant(), "acme");
      state = now;
    });
    return std::pair(ReasonOf(status), state);
  };
  EXPECT_EQ(read(IdOf(record)), std::pair(v1::REASON_UNSPECIFIED, v1::LEASE_STATE_ACTIVE));
  Pass(absl::Minutes(1));
  EXPECT_EQ(read(IdOf(record)), std::pair(v1::REASON_UNSPECIFIED, v1::LEASE_STATE_EXPIRED));
  EXPECT_EQ(read(LeaseId::Make(1, std::array<uint8_t, 10>{}.data())),
            std::pair(v1::REASON_LEASE_NOT_FOUND, v1::LEASE_STATE_UNSPECIFIED));
}

TEST_F(BookTest, SwitchMovesWhereNewSessionsStart) {
  const auto record = Add();
  EXPECT_EQ(book_.Switch(IdOf(record), "globex")->current_tenant(), "globex");
  EXPECT_EQ(book_.Check(record.claims())->current_tenant, "globex");
}

TEST_F(BookTest, RepeatedRequestFindsItsLease) {
  v1::LeaseRecord first = RecordOf(Claims());
  first.set_request_id("r1");
  first.set_request_hash(7);
  EXPECT_FALSE(book_.Add(first)->has_value());
  v1::LeaseRecord again = RecordOf(Claims());
  again.set_request_id("r1");
  again.set_request_hash(7);
  const auto repeated = book_.Add(again);
  ASSERT_TRUE(repeated.ok() && repeated->has_value());
  EXPECT_EQ((*repeated)->claims().id(), first.claims().id());
  EXPECT_EQ((*book_.FindRequest("", "r1", 7))->claims().id(), first.claims().id());
  EXPECT_EQ(book_.size(), 1u);

  again.set_request_hash(8);
  EXPECT_EQ(ReasonOf(book_.Add(again).status()), v1::REASON_REQUEST_ID_REUSED);
  EXPECT_EQ(ReasonOf(book_.FindRequest("", "r1", 8).status()), v1::REASON_REQUEST_ID_REUSED);

  EXPECT_TRUE(book_.Release(IdOf(first)).ok());
  EXPECT_EQ(*book_.FindRequest("", "r1", 7), std::nullopt);
  EXPECT_FALSE(book_.Add(again)->has_value());
}

TEST_F(BookTest, AnotherPrincipalsRequestIsAnother) {
  v1::LeaseRecord mine = RecordOf(Claims());
  mine.set_principal("token:a");
  mine.set_request_id("r1");
  mine.set_request_hash(7);
  EXPECT_FALSE(book_.Add(mine)->has_value());
  v1::LeaseRecord theirs = RecordOf(Claims());
  theirs.set_principal("token:b");
  theirs.set_request_id("r1");
  theirs.set_request_hash(7);
  EXPECT_EQ(*book_.FindRequest("token:b", "r1", 7), std::nullopt);
  EXPECT_FALSE(book_.Add(theirs)->has_value());
  EXPECT_EQ((*book_.FindRequest("token:a", "r1", 7))->claims().id(), mine.claims().id());
  EXPECT_EQ((*book_.FindRequest("token:b", "r1", 7))->claims().id(), theirs.claims().id());
}

TEST_F(BookTest, RequestIdsOfOtherGatewaysAreKnown) {
  v1::LeaseRecord record = RecordOf(Claims());
  record.set_request_id("r1");
  record.set_request_hash(7);
  book_.Learn(record);
  EXPECT_EQ((*book_.FindRequest("", "r1", 7))->claims().id(), record.claims().id());
}

TEST_F(BookTest, ListsLivingLeasesInTheOrderOfIssue) {
  std::vector<std::string> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(Add(i % 2 == 0 ? "acme" : "globex").claims().id());
    clock_.Advance(absl::Milliseconds(1));
  }
  EXPECT_TRUE(book_.Release(*LeaseId::FromBytes(ids[3])).ok());
  ids.erase(ids.begin() + 3);
  std::vector<std::string> listed;
  std::optional<LeaseId> after;
  while (true) {
    const auto page = book_.List({}, after, 7);
    if (page.empty()) break;
    EXPECT_LE(page.size(), 7u);
    for (const auto& record : page) listed.push_back(record.claims().id());
    after = LeaseId::FromBytes(listed.back()).value();
  }
  EXPECT_EQ(listed, ids);
  EXPECT_THAT(book_.List({.tenant = "acme", .service = "", .holder = ""}, std::nullopt, 100), SizeIs(25));
  EXPECT_THAT(book_.List({.tenant = "acme", .service = "core", .holder = ""}, std::nullopt, 100), IsEmpty());
}

TEST_F(BookTest, LearnsRenewalsReleasesAndSwitches) {
  const v1::LeaseRecord record = Add();
  const auto watch = Watch(record);
  Told();
  v1::LeaseRecord remote = record;
  remote.set_expire_ms(record.expire_ms() + 60'000);
  remote.set_switch_ms(5);
  remote.set_current_tenant("globex");
  book_.Learn(remote);
  EXPECT_EQ(book_.Check(record.claims())->expire_ms, remote.expire_ms());
  EXPECT_EQ(book_.Check(record.claims())->current_tenant, "globex");
  EXPECT_THAT(Told(), IsEmpty()) << "nothing that the others do not know";
  remote.set_state(v1::LEASE_STATE_RELEASED);
  book_.Learn(remote);
  EXPECT_THAT(heard_, ElementsAre(v1::REASON_LEASE_RELEASED));
}

TEST_F(BookTest, TellsAnotherGatewayThatIsBehind) {
  const v1::LeaseRecord record = Add();
  EXPECT_TRUE(book_.Release(IdOf(record)).ok());
  Told();
  book_.Learn(record);  // it still believes that the lease lives
  EXPECT_THAT(Told(), SizeIs(1));
  EXPECT_EQ(Check(record), v1::REASON_LEASE_RELEASED);
}

TEST_F(BookTest, OldNewsTeachWhatIsNewAndAreNotAnswered) {
  const v1::LeaseRecord elsewhere = RecordOf(Claims());
  book_.LearnNews(elsewhere);
  EXPECT_EQ(book_.size(), 1u);
  EXPECT_TRUE(book_.Release(IdOf(elsewhere)).ok());
  Told();
  book_.LearnNews(elsewhere);  // read again after a reconnection
  EXPECT_THAT(Told(), IsEmpty()) << "the release was told, and news do not undo it";
  EXPECT_EQ(Check(elsewhere), v1::REASON_LEASE_RELEASED);
}

TEST_F(BookTest, RenewalThatArrivesAfterTheExpiryRevives) {
  const v1::LeaseRecord record = Add();
  Pass(absl::Minutes(1));
  EXPECT_EQ(book_.live(), 0u);
  v1::LeaseRecord renewed = record;
  renewed.set_expire_ms(record.expire_ms() + 60'000);
  book_.Learn(renewed);
  EXPECT_EQ(book_.live(), 1u);
  EXPECT_EQ(Check(record), v1::REASON_UNSPECIFIED);
  const auto watch = Watch(record);
  Pass(absl::Minutes(1));
  EXPECT_THAT(heard_, ElementsAre(v1::REASON_LEASE_EXPIRED));
  EXPECT_EQ(book_.live(), 0u);
}

TEST_F(BookTest, AdoptedLeaseExpiresHereToo) {
  const v1::LeaseRecord elsewhere = RecordOf(Claims());
  const auto watch = Watch(elsewhere);
  book_.Adopt(elsewhere.claims());
  book_.Adopt(elsewhere.claims());
  EXPECT_EQ(book_.size(), 1u);
  EXPECT_THAT(Told(), IsEmpty());
  Pass(absl::Minutes(1));
  EXPECT_THAT(heard_, ElementsAre(v1::REASON_LEASE_EXPIRED));
}

TEST_F(BookTest, IsBounded) {
  LeaseBook book(clock_, watchers_, outbox_, {.max_leases = 100, .max_ended = 16});
  std::vector<v1::LeaseRecord> records;
  for (int i = 0; i < 100; ++i) {
    records.push_back(RecordOf(Claims()));
    ASSERT_TRUE(book.Add(records.back()).ok());
  }
  EXPECT_EQ(ReasonOf(book.Add(RecordOf(Claims())).status()), v1::REASON_TOO_MANY_CLIENTS);
  int known = 0;
  for (const auto& record : records) EXPECT_TRUE(book.Release(IdOf(record)).ok());
  for (const auto& record : records) {
    known += book.Get(IdOf(record)).ok();
    EXPECT_EQ(ReasonOf(book.Check(record.claims()).status()), v1::REASON_LEASE_RELEASED) << "must never be forgotten";
  }
  EXPECT_LE(known, 16);
  EXPECT_GE(known, 1);
  clock_.Advance(absl::Hours(2));
  book.Tick();
  EXPECT_EQ(book.size(), 0u);
  EXPECT_TRUE(book.Add(RecordOf(Claims())).ok());
}

TEST_F(BookTest, ChangesOvertakeNewsAndAreToldOnce) {
  const v1::LeaseRecord first = Add();
  const v1::LeaseRecord second = Add();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(book_.Renew(IdOf(second), absl::Minutes(2 + i)).ok());
  const auto told = Told();
  ASSERT_THAT(told, SizeIs(2));
  EXPECT_EQ(std::get<LeaseOutbox::Change>(told[0]).id, IdOf(second));
  EXPECT_THAT(std::get<LeaseOutbox::News>(told[1]), ElementsAre(IdOf(first)));
}

TEST_F(BookTest, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const v1::LeaseRecord record = RecordOf(Claims(t % 2 == 0 ? "acme" : "globex"));
        ASSERT_TRUE(book_.Add(record).ok());
        const LeaseId id = IdOf(record);
        if (i % 3 == 0) book_.Renew(id, absl::Minutes(2)).IgnoreError();
        if (i % 5 == 0) book_.Release(id).IgnoreError();
        if (i % 50 == 0) book_.Tick();
        if (i == 250 && t == 0) {
          v1::Revocation conditions;
          conditions.set_tenant("globex");
          book_.Revoke(conditions);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  size_t living = 0;
  for (const auto& record : book_.List({}, std::nullopt, 10'000)) {
    EXPECT_EQ(Check(record), v1::REASON_UNSPECIFIED);
    ++living;
  }
  EXPECT_EQ(living, book_.live());
  EXPECT_EQ(book_.size(), 2000u);
}

}  // namespace
}  // namespace leasehold::gateway
