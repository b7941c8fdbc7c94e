// Watched buckets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "common/jetstream/natstest_fixture.h"

namespace leasehold::jetstream {
namespace {

using ::testing::IsEmpty;

// What a watch has seen.
class View {
 public:
  KeyValueWatch Watch() {
    return {.on_entry =
                [this](const std::string& key, std::optional<std::string_view> value) {
                  absl::MutexLock lock(&mu_);
                  if (value) {
                    entries_[key] = *value;
                  } else {
                    entries_.erase(key);
                  }
                },
            .on_synced =
                [this] {
                  absl::MutexLock lock(&mu_);
                  ++syncs_;
                }};
  }
  std::map<std::string, std::string> entries() {
    absl::MutexLock lock(&mu_);
    return entries_;
  }
  int syncs() {
    absl::MutexLock lock(&mu_);
    return syncs_;
  }
  bool Becomes(const std::map<std::string, std::string>& expected) {
    return Eventually([&] { return entries() == expected; });
  }
  bool Synced(int times) {
    return Eventually([&] { return syncs() >= times; });
  }

 private:
  absl::Mutex mu_;
  std::map<std::string, std::string> entries_ ABSL_GUARDED_BY(mu_);
  int syncs_ ABSL_GUARDED_BY(mu_) = 0;
};

class KeyValueTest : public JetStreamTest {
 protected:
  std::unique_ptr<KeyValue> Open(View& view, KeyValueOptions options = {.bucket = "leases"}) {
    auto bucket = client_->OpenKeyValue(options, view.Watch());
    EXPECT_TRUE(bucket.ok()) << bucket.status();
    return *std::move(bucket);
  }
};

TEST_F(KeyValueTest, WatchersSeeWhatIsThereAndWhatChanges) {
  View first;
  View second;
  auto bucket = Open(first);
  EXPECT_TRUE(first.Synced(1));  // of an empty bucket too
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(bucket->Put("b.c", std::string("\0x", 2)).ok());
  ASSERT_TRUE(bucket->Put("a", "2").ok());
  ASSERT_TRUE(bucket->Put("empty", "").ok());
  EXPECT_TRUE(first.Becomes({{"a", "2"}, {"b.c", std::string("\0x", 2)}, {"empty", ""}}));
  auto other = Open(second);
  EXPECT_TRUE(second.Synced(1));
  EXPECT_EQ(second.entries(), first.entries());  // complete at the first sync
  ASSERT_TRUE(other->Delete("a").ok());
  ASSERT_TRUE(other->Delete("never-there").ok());
  EXPECT_TRUE(first.Becomes({{"b.c", std::string("\0x", 2)}, {"empty", ""}}));
}

TEST_F(KeyValueTest, RefusesBadKeysAndBuckets) {
  View view;
  auto bucket = Open(view);
  for (const char* key : {"", "a b", "a..b", ".a", "a.", "*", ">", "a\r\nb", "ä"}) {
    EXPECT_EQ(ReasonOf(bucket->Put(key, "x")), v1::REASON_INVALID_FIELD) << key;
    EXPECT_EQ(ReasonOf(bucket->Delete(key)), v1::REASON_INVALID_FIELD) << key;
  }
  EXPECT_EQ(ReasonOf(client_->OpenKeyValue({.bucket = "a.b"}, {}).status()), v1::REASON_INVALID_FIELD);
}

TEST_F(KeyValueTest, EntriesExpire) {
  View view;
  auto bucket = Open(view, {.bucket = "leases", .ttl = absl::Seconds(1)});
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  EXPECT_TRUE(view.Becomes({{"a", "1"}}));
  EXPECT_TRUE(Eventually([&] {
    View fresh;
    auto again = Open(fresh, {.bucket = "leases", .ttl = absl::Seconds(1)});
    return fresh.Synced(1) && fresh.entries().empty();
  }));
}

TEST_F(KeyValueTest, AnotherTtlIsApplied) {
  View view;
  Open(view, {.bucket = "leases"});
  auto bucket = Open(view, {.bucket = "leases", .ttl = absl::Seconds(1)});
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  EXPECT_TRUE(Eventually([&] {
    View fresh;
    auto again = Open(fresh, {.bucket = "leases", .ttl = absl::Seconds(1)});
    return fresh.Synced(1) && fresh.entries().empty();
  }));
}

TEST_F(KeyValueTest, TheWatchGoesOnAfterARestart) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  const int syncs = view.syncs();
  server_->Kill();
  EXPECT_TRUE(Eventually([&] { return !client_->connected(); }));
  EXPECT_EQ(ReasonOf(bucket->Put("a", "lost")), v1::REASON_NATS_UNAVAILABLE);
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(view.Synced(syncs + 1));
  auto other = Connect();
  View other_view;
  auto other_bucket = other->OpenKeyValue({.bucket = "leases"}, other_view.Watch());
  ASSERT_TRUE(other_bucket.ok());
  ASSERT_TRUE((*other_bucket)->Put("b", "2").ok());
  EXPECT_TRUE(view.Becomes({{"a", "1"}, {"b", "2"}}));
}

TEST_F(KeyValueTest, DeletionsMissedWhileAwayAreSeenLater) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  // The second client is quicker: its deletion may reach the server before the first is connected again.
  auto other = Connect();
  View other_view;
  auto other_bucket = other->OpenKeyValue({.bucket = "leases"}, other_view.Watch());
  ASSERT_TRUE(other_bucket.ok());
  server_->Kill();
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return (*other_bucket)->Delete("a").ok(); }));
  EXPECT_TRUE(view.Becomes({}));
}

TEST_F(KeyValueTest, ALostBucketIsMadeAgain) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  const int syncs = view.syncs();
  LoseEverything();
  EXPECT_TRUE(view.Synced(syncs + 1));
  EXPECT_TRUE(Eventually([&] { return bucket->Put("b", "2").ok(); }));
  EXPECT_TRUE(view.Becomes({{"a", "1"}, {"b", "2"}}));  // what merely vanished is not announced
}

TEST_F(KeyValueTest, ABucketDeletedByHandIsMadeAgain) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(bucket->Put("a", "1").ok());
  ASSERT_TRUE(view.Becomes({{"a", "1"}}));
  const int syncs = view.syncs();
  Operator(server_->Url()).DeleteStream("KV_leases");
  ASSERT_TRUE(bucket->Put("b", "2").ok());  // makes it again at once
  EXPECT_TRUE(view.Becomes({{"a", "1"}, {"b", "2"}}));
  EXPECT_GT(view.syncs(), syncs);
}

TEST_F(KeyValueTest, ClosingAWatchIsQuickAndFinal) {
  View view;
  auto bucket = Open(view);
  ASSERT_TRUE(view.Synced(1));
  auto other = Connect();
  View other_view;
  auto other_bucket = other->OpenKeyValue({.bucket = "leases"}, other_view.Watch());
  ASSERT_TRUE(other_bucket.ok());
  const absl::Time begin = absl::Now();
  bucket.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
  ASSERT_TRUE((*other_bucket)->Put("late", "x").ok());
  EXPECT_TRUE(other_view.Becomes({{"late", "x"}}));
  EXPECT_THAT(view.entries(), IsEmpty());
}

}  // namespace
}  // namespace leasehold::jetstream
