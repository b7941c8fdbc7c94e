#include "services/gateway/lease/replicator.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/gateway/lease/book_fixture.h"
#include "services/gateway/lease/claims.h"
#include "services/gateway/lease/record.h"

namespace leasehold::gateway {
namespace {

using testing::SizeIs;

// Waits for a condition; how long it took, or forever if it never came.
absl::Duration TimeUntil(const std::function<bool()>& condition, absl::Duration patience = absl::Seconds(20)) {
  const absl::Time start = absl::Now();
  while (absl::Now() - start < patience) {
    if (condition()) return absl::Now() - start;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return absl::InfiniteDuration();
}

// What one gateway has of leases.
struct Gateway {
  explicit Gateway(const std::string& url)
      : client(*jetstream::Client::Connect({.url = url, .name = "gateway", .on_state = [](const absl::Status&) {}})),
        book(clock, watchers, outbox, {}),
        replicator(*client, book, outbox, {}) {
    replicator.Start();
  }
  ~Gateway() { replicator.Stop(); }

  v1::LeaseRecord Add(const std::string& tenant, absl::Duration ttl = absl::Minutes(10),
                      const std::string& holder = "payroll") {
    v1::LeaseRecord record = RecordOf(ClaimsFor(book, tenant, ttl));
    record.set_holder(holder);
    EXPECT_TRUE(book.Add(record).ok());
    return record;
  }
  v1::LeaseState StateOf(const v1::LeaseRecord& record) {
    const auto found = book.Get(*LeaseId::FromBytes(record.claims().id()));
    return found.ok() ? found->state() : v1::LEASE_STATE_UNSPECIFIED;
  }
  bool Knows(const v1::LeaseRecord& record) { return StateOf(record) == v1::LEASE_STATE_ACTIVE; }

  SystemClock clock;
  std::unique_ptr<jetstream::Client> client;
  LeaseWatchers watchers;
  LeaseOutbox outbox;
  LeaseBook book;
  LeaseReplicator replicator;
};

LeaseId IdOf(const v1::LeaseRecord& record) { return *LeaseId::FromBytes(record.claims().id()); }

class ReplicatorTest : public testing::Test {
 protected:
  ReplicatorTest() : nats_(*localserver::NatsServer::Start({.data_dir = directory_.path() + "/nats"})) {}

  std::unique_ptr<Gateway> Start() {
    auto gateway = std::make_unique<Gateway>(nats_->Url());
    EXPECT_NE(TimeUntil([&] { return gateway->replicator.synced(); }), absl::InfiniteDuration());
    return gateway;
  }

  // Of each entry's value.
  std::vector<size_t> SizesInBucket() {
    const auto client = jetstream::Client::Connect({.url = nats_->Url(), .name = "test"});
    absl::Mutex mu;
    std::vector<size_t> sizes;
    bool synced = false;
    jetstream::KeyValueWatch watch;
    watch.on_entry = [&](const std::string&, std::optional<std::string_view> value) {
      absl::MutexLock lock(&mu);
      sizes.push_back(value ? value->size() : 0);
    };
    watch.on_synced = [&] {
      absl::MutexLock lock(&mu);
      synced = true;
    };
    auto bucket = absl::StatusOr<std::unique_ptr<jetstream::KeyValue>>(absl::UnavailableError("not connected yet"));
    EXPECT_NE(TimeUntil([&] {
                bucket = (*client)->OpenKeyValue({.bucket = "leases", .replicas = 1, .ttl = absl::Hours(25)}, watch);
                return bucket.ok();
              }),
              absl::InfiniteDuration());
    EXPECT_NE(TimeUntil([&] {
                absl::MutexLock lock(&mu);
                return synced;
              }),
              absl::InfiniteDuration());
    bucket->reset();
    return sizes;
  }

  localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::NatsServer> nats_;
};

TEST_F(ReplicatorTest, ChangesReachTheOtherGatewayWithinASecond) {
  const auto a = Start(), b = Start();
  const auto record = a->Add("acme");
  EXPECT_LT(TimeUntil([&] { return b->Knows(record); }), absl::Seconds(1));
  EXPECT_EQ(b->book.Get(IdOf(record))->holder(), "payroll");

  const auto renewed = b->book.Renew(IdOf(record), absl::Hours(1));
  ASSERT_TRUE(renewed.ok());
  EXPECT_LT(TimeUntil([&] { return a->book.Check(record.claims())->expire_ms == renewed->expire_ms(); }),
            absl::Seconds(1));
  ASSERT_TRUE(a->book.Switch(IdOf(record), "globex").ok());
  EXPECT_LT(TimeUntil([&] { return b->book.Check(record.claims())->current_tenant == "globex"; }), absl::Seconds(1));

  absl::Mutex mu;
  absl::Status heard;
  const auto watch = b->watchers.Add(IdOf(record), LeaseWatchers::Kind::kSession, [&](const absl::Status& why) {
    absl::MutexLock lock(&mu);
    heard = why;
  });
  ASSERT_TRUE(a->book.Release(IdOf(record)).ok());
  EXPECT_LT(TimeUntil([&] {
              absl::MutexLock lock(&mu);
              return ReasonOf(heard) == v1::REASON_LEASE_RELEASED;
            }),
            absl::Seconds(1));
}

TEST_F(ReplicatorTest, RevocationReachesLeasesThatOnlyTheOtherKnows) {
  const auto a = Start(), b = Start();
  // Known to nobody's book, as a lease whose gateway never got to tell of it.
  Gateway lonely("nats://127.0.0.1:1");
  const auto record = lonely.Add("acme");
  EXPECT_TRUE(b->book.Check(record.claims()).ok());
  v1::Revocation conditions;
  conditions.set_tenant("acme");
  EXPECT_EQ(a->book.Revoke(conditions), 0);
  EXPECT_LT(TimeUntil([&] { return ReasonOf(b->book.Check(record.claims()).status()) == v1::REASON_LEASE_REVOKED; }),
            absl::Seconds(1));
  EXPECT_TRUE(b->book.Check(b->Add("globex").claims()).ok());
}

TEST_F(ReplicatorTest, RestartedGatewayLearnsAgain) {
  auto a = Start();
  const auto living = a->Add("acme");
  const auto released = a->Add("acme");
  ASSERT_TRUE(a->book.Renew(IdOf(living), absl::Hours(2)).ok());
  ASSERT_TRUE(a->book.Release(IdOf(released)).ok());
  v1::Revocation conditions;
  conditions.set_tenant("globex");
  const auto revoked = a->Add("globex");
  a->book.Revoke(conditions);
  a.reset();  // Stop() tells what has not been told
  const auto b = Start();
  EXPECT_GT(b->book.Check(living.claims())->expire_ms, living.claims().expire_ms());
  EXPECT_EQ(ReasonOf(b->book.Check(released.claims()).status()), v1::REASON_LEASE_RELEASED);
  EXPECT_EQ(ReasonOf(b->book.Check(revoked.claims()).status()), v1::REASON_LEASE_REVOKED);
}

TEST_F(ReplicatorTest, ManyNewLeasesAreToldTogether) {
  auto a = Start();
  const auto b = Start();
  std::vector<v1::LeaseRecord> records;
  for (int i = 0; i < 1000; ++i) records.push_back(a->Add("acme"));
  EXPECT_LT(TimeUntil([&] { return std::ranges::all_of(records, [&](const auto& r) { return b->Knows(r); }); }),
            absl::Seconds(2));
  EXPECT_THAT(b->book.List({.tenant = "", .service = "", .holder = "payroll"}, std::nullopt, 2000), SizeIs(1000));
  ASSERT_TRUE(b->book.Release(IdOf(records[500])).ok());
  ASSERT_NE(TimeUntil([&] { return a->StateOf(records[500]) == v1::LEASE_STATE_RELEASED; }), absl::InfiniteDuration());
  EXPECT_LT(SizesInBucket().size(), 250u);

  const auto last = a->Add("globex");
  a.reset();  // at once: Stop() tells what has not been told
  const auto c = Start();
  EXPECT_EQ(c->book.live(), 1000u) << "of the thousand one was released, and then there is the last";
  EXPECT_EQ(c->StateOf(records[500]), v1::LEASE_STATE_RELEASED);
  EXPECT_TRUE(c->Knows(last));
  EXPECT_EQ(c->outbox.size(), 0u);
}

TEST_F(ReplicatorTest, NewsOfLargeLeasesFitIntoEntries) {
  const auto a = Start(), b = Start();
  std::string holder;
  for (int i = 0; i < 128; ++i) holder += "😀";
  std::vector<v1::LeaseRecord> records;
  for (int i = 0; i < 1500; ++i) records.push_back(a->Add("acme", absl::Minutes(10), holder));
  EXPECT_NE(TimeUntil([&] { return std::ranges::all_of(records, [&](const auto& r) { return b->Knows(r); }); }),
            absl::InfiniteDuration());
  const std::vector<size_t> sizes = SizesInBucket();
  EXPECT_GT(sizes.size(), 2u);
  EXPECT_LT(std::ranges::max(sizes), 300u * 1024);
}

TEST_F(ReplicatorTest, EachKnowsTheOthersLeasesWithinASecondUnderLoad) {
  const auto a = Start(), b = Start();
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 2000; ++i) {
      a->Add("acme");
      b->Add("acme");
    }
    const auto of_a = a->Add("globex"), of_b = b->Add("globex");
    EXPECT_LT(TimeUntil([&] { return b->Knows(of_a) && a->Knows(of_b); }), absl::Seconds(1)) << round;
    ASSERT_TRUE(a->book.Release(IdOf(of_b)).ok());
    EXPECT_LT(TimeUntil([&] { return b->StateOf(of_b) == v1::LEASE_STATE_RELEASED; }), absl::Seconds(1)) << round;
  }
  EXPECT_EQ(a->outbox.dropped() + b->outbox.dropped(), 0u);
  EXPECT_NE(TimeUntil([&] { return a->book.live() == b->book.live(); }), absl::InfiniteDuration());
  EXPECT_EQ(a->book.live(), 10u * (2 * 2000 + 1)) << "all but those released";
}

// As gateways did before there were news, which may run beside this one during an update.
TEST_F(ReplicatorTest, LearnsFromAGatewayThatTellsEachLeaseByItself) {
  const auto a = Start();
  auto bucket = a->client->OpenKeyValue(
      {.bucket = "leases", .replicas = 1, .ttl = absl::Hours(25)},
      {.on_entry = [](const std::string&, std::optional<std::string_view>) {}, .on_synced = [] {}});
  ASSERT_TRUE(bucket.ok()) << bucket.status();
  Gateway lonely("nats://127.0.0.1:1");
  v1::LeaseRecord record = lonely.Add("acme");
  record.set_writer(7);
  ASSERT_TRUE((*bucket)->Put(IdOf(record).str(), record.SerializeAsString()).ok());
  EXPECT_LT(TimeUntil([&] { return a->Knows(record); }), absl::Seconds(1));
  EXPECT_EQ(a->outbox.size(), 0u) << "there is nothing to add to it";
  const auto b = Start();
  EXPECT_TRUE(b->Knows(record));
}

TEST_F(ReplicatorTest, NothingWaitsForNatsAndNothingIsLostWithIt) {
  const auto a = Start(), b = Start();
  const auto before = a->Add("acme");
  ASSERT_NE(TimeUntil([&] { return b->Knows(before); }), absl::InfiniteDuration());

  nats_->Kill();
  const absl::Time start = absl::Now();
  const auto during = a->Add("acme");
  ASSERT_TRUE(a->book.Release(IdOf(before)).ok());
  ASSERT_TRUE(b->book.Renew(IdOf(before), absl::Hours(3)).ok());  // b has not heard of the release
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(100));

  ASSERT_TRUE(nats_->Restart().ok());
  EXPECT_LT(TimeUntil([&] { return b->Knows(during); }), absl::Seconds(15));
  EXPECT_LT(TimeUntil([&] { return b->StateOf(before) == v1::LEASE_STATE_RELEASED; }), absl::Seconds(15));
  EXPECT_NE(TimeUntil([&] { return a->book.Get(IdOf(before))->expire_ms() > before.expire_ms(); }),
            absl::InfiniteDuration())
      << "both sides end up with all that either knew";
  // Whoever wrote last, the bucket says so too.
  EXPECT_NE(TimeUntil([&] { return a->outbox.size() + b->outbox.size() == 0; }), absl::InfiniteDuration());
  const auto c = Start();
  EXPECT_EQ(c->StateOf(before), v1::LEASE_STATE_RELEASED);
}

TEST_F(ReplicatorTest, RubbishInTheBucketIsIgnored) {
  const auto a = Start();
  jetstream::KeyValueWatch watch{.on_entry = [](const std::string&, std::optional<std::string_view>) {},
                                 .on_synced = [] {}};
  auto bucket = a->client->OpenKeyValue({.bucket = "leases", .replicas = 1, .ttl = absl::Hours(25)}, watch);
  ASSERT_TRUE(bucket.ok()) << bucket.status();
  const auto record = a->Add("acme");
  v1::LeaseRecord forged = record;
  forged.set_state(v1::LEASE_STATE_RELEASED);
  EXPECT_TRUE((*bucket)->Put("not-a-lease", "\xff\xff").ok());
  EXPECT_TRUE((*bucket)->Put("revocation.x", "\xff\xff").ok());
  EXPECT_TRUE((*bucket)->Put("00000000000000000000000000", forged.SerializeAsString()).ok());
  forged.mutable_claims()->set_service("No Service");
  EXPECT_TRUE((*bucket)->Put(IdOf(record).str(), forged.SerializeAsString()).ok());
  EXPECT_TRUE((*bucket)->Put("news.x", "\xff\xff").ok());
  v1::LeaseNews news;
  *news.add_records() = forged;
  Gateway lonely("nats://127.0.0.1:1");
  const auto good = lonely.Add("initech");
  *news.add_records() = good;
  EXPECT_TRUE((*bucket)->Put("news.y", news.SerializeAsString()).ok());
  const auto next = a->Add("globex");  // what came before it has been read once it is back
  const auto b = Start();
  EXPECT_NE(TimeUntil([&] { return b->Knows(next); }), absl::InfiniteDuration());
  EXPECT_TRUE(a->Knows(record));
  EXPECT_TRUE(b->Knows(good)) << "one wrong record does not spoil the others";
}

}  // namespace
}  // namespace leasehold::gateway
