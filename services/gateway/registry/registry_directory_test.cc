#include "services/gateway/registry/registry_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "absl/synchronization/notification.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

// A registry in memory that can be away, and whose reads can be held up.
class Catalogue {
 public:
  void Put(const std::string& id, int64_t generation, v1::TenantState state = v1::TENANT_STATE_ACTIVE) {
    absl::MutexLock lock(&mu_);
    tenants_[id].set_state(state);
    tenants_[id].set_id(id);
    tenants_[id].set_generation(generation);
    tenants_[id].set_domain(id + ".example");
  }
  void Remove(const std::string& id) {
    absl::MutexLock lock(&mu_);
    tenants_.erase(id);
  }
  void SetDown(bool down) {
    absl::MutexLock lock(&mu_);
    down_ = down;
  }
  // Reads wait until Release().
  void Hold() {
    absl::MutexLock lock(&mu_);
    held_ = true;
  }
  void Release() {
    absl::MutexLock lock(&mu_);
    held_ = false;
  }
  int reads() {
    absl::MutexLock lock(&mu_);
    return reads_;
  }
  void AwaitReads(int count) {
    absl::MutexLock lock(&mu_);
    const auto reached = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return reads_ >= count; };
    mu_.Await(absl::Condition(&reached));
  }

  RegistryDirectory::Source Source() {
    return {.read = [this](std::span<const TenantId> ids) { return Read(ids); },
            .read_domain = [this](const std::string& domain) -> absl::StatusOr<v1::Tenant> {
              absl::MutexLock lock(&mu_);
              for (const auto& [id, tenant] : tenants_) {
                if (tenant.domain() == domain) return tenant;
              }
              return Error(v1::REASON_TENANT_NOT_FOUND, "there is no such tenant");
            },
            .list_ids = [this](const std::string& after, int /*limit*/) -> absl::StatusOr<std::vector<TenantId>> {
              absl::MutexLock lock(&mu_);
              std::vector<TenantId> ids;
              for (auto at = tenants_.upper_bound(after); at != tenants_.end(); ++at) ids.push_back(Id(at->first));
              return ids;
            }};
  }

 private:
  absl::StatusOr<std::vector<v1::Tenant>> Read(std::span<const TenantId> ids) {
    absl::MutexLock lock(&mu_);
    ++reads_;
    if (down_) return Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer");
    std::vector<v1::Tenant> found;
    for (const TenantId& id : ids) {
      if (const auto at = tenants_.find(id.str()); at != tenants_.end()) found.push_back(at->second);
    }
    mu_.Await(absl::Condition(+[](bool* held) { return !*held; }, &held_));
    return found;
  }

  absl::Mutex mu_;
  std::map<std::string, v1::Tenant> tenants_ ABSL_GUARDED_BY(mu_);
  bool down_ ABSL_GUARDED_BY(mu_) = false;
  bool held_ ABSL_GUARDED_BY(mu_) = false;
  int reads_ ABSL_GUARDED_BY(mu_) = 0;
};

// What a follower of one tenant heard last.
class Heard {
 public:
  void Set(const TenantNews& news) {
    absl::MutexLock lock(&mu_);
    generation_ = news.ok() ? (*news)->generation : -static_cast<int64_t>(ReasonOf(news.status()));
    ++count_;
  }
  bool Await(int64_t generation) {
    absl::MutexLock lock(&mu_);
    const auto there = [this, generation]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return generation_ == generation; };
    return mu_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(20));
  }
  // What it is told first: a generation, or the negative reason why there is none; 0 if nothing.
  int64_t AwaitAny() {
    absl::MutexLock lock(&mu_);
    const auto told = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return count_ > 0; };
    mu_.AwaitWithTimeout(absl::Condition(&told), absl::Seconds(20));
    return generation_;
  }
  int count() {
    absl::MutexLock lock(&mu_);
    return count_;
  }

 private:
  absl::Mutex mu_;
  int64_t generation_ ABSL_GUARDED_BY(mu_) = 0;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

class RegistryDirectoryTest : public testing::Test {
 protected:
  ~RegistryDirectoryTest() override {
    catalogue_.Release();
    executor_.Stop();
  }

  TenantNews Lookup(const std::string& id) {
    absl::Notification done;
    std::optional<TenantNews> answer;
    const auto anything = [](const TenantView&) { return true; };
    directory_.Lookup(Id(id), anything, [&](TenantNews news) {
      answer = std::move(news);
      done.Notify();
    });
    done.WaitForNotification();
    return *answer;
  }
  // What one hears who can only use an active tenant.
  std::shared_ptr<Heard> LookupActive(const std::string& id) {
    auto heard = std::make_shared<Heard>();
    const auto active = [](const TenantView& view) { return view.state == v1::TENANT_STATE_ACTIVE; };
    directory_.Lookup(Id(id), active, [heard](const TenantNews& news) { heard->Set(news); });
    return heard;
  }
  int64_t GenerationOf(const std::string& id) {
    const TenantNews news = Lookup(id);
    return news.ok() ? (*news)->generation : -static_cast<int64_t>(ReasonOf(news.status()));
  }

  Catalogue catalogue_;
  FakeClock clock_;
  Executor executor_{"test", 2};
  RegistryDirectory directory_{catalogue_.Source(), executor_, clock_, {.ttl = absl::Hours(1), .max_entries = 2}};
};

TEST_F(RegistryDirectoryTest, LookupsAreCachedUntilTheTenantChangesOrTheTimeIsUp) {
  catalogue_.Put("acme", 1);
  EXPECT_EQ(GenerationOf("acme"), 1);
  catalogue_.Put("acme", 2);
  EXPECT_EQ(GenerationOf("acme"), 1) << "cached: nobody has told of the change";
  directory_.Changed(Id("acme"));
  EXPECT_EQ(GenerationOf("acme"), 2);
  catalogue_.Put("acme", 3);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(GenerationOf("acme"), 3);
  EXPECT_EQ(GenerationOf("globex"), -v1::REASON_TENANT_NOT_FOUND);
  catalogue_.Remove("acme");
  directory_.Changed(Id("acme"));
  EXPECT_EQ(GenerationOf("acme"), -v1::REASON_TENANT_NOT_FOUND);
}

TEST_F(RegistryDirectoryTest, TheCacheIsBoundedAndForgetsTheLeastUsed) {
  for (const char* id : {"a", "b", "c"}) catalogue_.Put(id, 1);
  EXPECT_EQ(GenerationOf("a"), 1);
  EXPECT_EQ(GenerationOf("b"), 1);
  EXPECT_EQ(GenerationOf("a"), 1);
  EXPECT_EQ(GenerationOf("c"), 1);
  const int reads = catalogue_.reads();
  EXPECT_EQ(GenerationOf("a"), 1);
  EXPECT_EQ(catalogue_.reads(), reads);
  EXPECT_EQ(GenerationOf("b"), 1);
  EXPECT_EQ(catalogue_.reads(), reads + 1) << "b was forgotten";
}

TEST_F(RegistryDirectoryTest, CachedTenantsServeWhileTheRegistryIsDown) {
  catalogue_.Put("acme", 1);
  EXPECT_EQ(GenerationOf("acme"), 1);
  catalogue_.SetDown(true);
  clock_.Advance(absl::Hours(2));
  EXPECT_EQ(GenerationOf("acme"), 1) << "past its time";
  EXPECT_EQ(GenerationOf("globex"), -v1::REASON_REGISTRY_UNAVAILABLE);
  catalogue_.Put("acme", 2);
  catalogue_.SetDown(false);
  directory_.Retry();
  Heard heard;
  const auto handle = directory_.Follow(Id("acme"), [&heard](const TenantNews& news) { heard.Set(news); });
  EXPECT_TRUE(heard.Await(2));
}

TEST_F(RegistryDirectoryTest, WhatWillNotDoIsReadAgainAndWhatWillDoIsNot) {
  catalogue_.Put("acme", 1, v1::TENANT_STATE_PROVISIONING);
  EXPECT_TRUE(LookupActive("acme")->Await(1)) << "just read: so it is";
  EXPECT_EQ(catalogue_.reads(), 1);
  clock_.Advance(absl::Milliseconds(100));
  catalogue_.Put("acme", 2);
  EXPECT_TRUE(LookupActive("acme")->Await(2)) << "nobody has told of the change";
  EXPECT_EQ(catalogue_.reads(), 2);
  clock_.Advance(absl::Milliseconds(100));
  catalogue_.Put("acme", 3, v1::TENANT_STATE_SUSPENDED);
  EXPECT_EQ(LookupActive("acme")->count(), 1) << "answered from the cache, at once";
  EXPECT_EQ(catalogue_.reads(), 2);
  directory_.Changed(Id("acme"));
  EXPECT_EQ(GenerationOf("acme"), 3);
  clock_.Advance(absl::Milliseconds(100));
  catalogue_.Remove("acme");
  EXPECT_TRUE(LookupActive("acme")->Await(-v1::REASON_TENANT_NOT_FOUND));
}

TEST_F(RegistryDirectoryTest, LookupsPastTheCacheShareOneReadInItsTime) {
  catalogue_.Put("acme", 1, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(GenerationOf("acme"), 1);
  clock_.Advance(absl::Milliseconds(99));
  std::vector<std::shared_ptr<Heard>> waiting;
  for (int i = 0; i < 100; ++i) waiting.push_back(LookupActive("acme"));
  EXPECT_EQ(GenerationOf("acme"), 1) << "who takes it as it is does not wait";
  EXPECT_EQ(catalogue_.reads(), 1);
  for (const auto& heard : waiting) EXPECT_EQ(heard->count(), 0) << "nobody is refused for what may have changed";
  catalogue_.Put("acme", 2);
  clock_.Advance(absl::Milliseconds(1));
  for (const auto& heard : waiting) EXPECT_TRUE(heard->Await(2));
  EXPECT_EQ(catalogue_.reads(), 2);
}

TEST_F(RegistryDirectoryTest, LookupsDuringAReadShareTheNextOne) {
  catalogue_.Put("acme", 1, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(GenerationOf("acme"), 1);
  clock_.Advance(absl::Seconds(1));
  catalogue_.Hold();
  const auto first = LookupActive("acme");
  catalogue_.AwaitReads(2);  // it has read generation 1 and hangs
  catalogue_.Put("acme", 2);
  std::vector<std::shared_ptr<Heard>> later;
  for (int i = 0; i < 100; ++i) later.push_back(LookupActive("acme"));
  catalogue_.Release();
  EXPECT_TRUE(first->Await(1));
  for (const auto& heard : later) EXPECT_TRUE(heard->Await(2)) << "asked after the change";
  EXPECT_EQ(catalogue_.reads(), 3);
}

TEST_F(RegistryDirectoryTest, AChangeEndsTheWaitForATurn) {
  catalogue_.Put("acme", 1, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(GenerationOf("acme"), 1);
  const auto heard = LookupActive("acme");
  EXPECT_EQ(heard->count(), 0);
  catalogue_.Put("acme", 2);
  directory_.Changed(Id("acme"));
  EXPECT_TRUE(heard->Await(2)) << "though the clock stands still";
}

TEST_F(RegistryDirectoryTest, WhatIsCachedStandsWhenTheRegistryDoesNotAnswer) {
  catalogue_.Put("acme", 1, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(GenerationOf("acme"), 1);
  catalogue_.SetDown(true);
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_TRUE(LookupActive("acme")->Await(1));
  EXPECT_EQ(catalogue_.reads(), 2) << "it was asked";
  const auto heard = LookupActive("acme");
  EXPECT_EQ(heard->count(), 0) << "not asked again so soon, though it did not answer";
  EXPECT_EQ(catalogue_.reads(), 2);
  catalogue_.Put("acme", 2);
  catalogue_.SetDown(false);
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_TRUE(heard->Await(2)) << "nobody had to say that it is back";
}

TEST_F(RegistryDirectoryTest, TheEndLeavesNobodyWaiting) {
  catalogue_.Put("acme", 1, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(GenerationOf("acme"), 1);
  catalogue_.Put("acme", 2);
  const auto before = LookupActive("acme");
  directory_.Stop();
  const auto after = LookupActive("acme");
  executor_.Stop();
  EXPECT_TRUE(before->Await(2));
  // Read along with the other, or refused if that was being read already.
  EXPECT_THAT(after->AwaitAny(), ::testing::AnyOf(2, -v1::REASON_SHUTTING_DOWN));
}

TEST_F(RegistryDirectoryTest, FollowStartsWithThePresentAndHearsOfChangesAndTheEnd) {
  catalogue_.Put("acme", 1);
  Heard heard;
  auto handle = directory_.Follow(Id("acme"), [&heard](const TenantNews& news) { heard.Set(news); });
  EXPECT_TRUE(heard.Await(1));
  catalogue_.Put("acme", 2);
  directory_.Changed(Id("acme"));
  EXPECT_TRUE(heard.Await(2));
  catalogue_.Remove("acme");
  directory_.Changed(Id("acme"));
  EXPECT_TRUE(heard.Await(-v1::REASON_TENANT_NOT_FOUND));
  handle.reset();
  const int count = heard.count();
  catalogue_.Put("acme", 3);
  directory_.Changed(Id("acme"));
  EXPECT_EQ(GenerationOf("acme"), 3);
  EXPECT_EQ(heard.count(), count);
}

TEST_F(RegistryDirectoryTest, AChangeDuringALoadIsReadAgain) {
  catalogue_.Put("acme", 1);
  Heard heard;
  const auto handle = directory_.Follow(Id("acme"), [&heard](const TenantNews& news) { heard.Set(news); });
  ASSERT_TRUE(heard.Await(1));
  const int reads = catalogue_.reads();
  catalogue_.Hold();
  directory_.Changed(Id("acme"));
  catalogue_.AwaitReads(reads + 1);  // it has read generation 1 and hangs
  for (int generation = 2; generation <= 50; ++generation) {
    catalogue_.Put("acme", generation);
    directory_.Changed(Id("acme"));
  }
  catalogue_.Release();
  EXPECT_TRUE(heard.Await(50));
  EXPECT_LE(catalogue_.reads(), reads + 3) << "a burst costs one more load";
}

TEST_F(RegistryDirectoryTest, MissedChangesReachAllFollowers) {
  catalogue_.Put("acme", 1);
  catalogue_.Put("globex", 1);
  Heard one, all;
  const auto follow = directory_.Follow(Id("acme"), [&one](const TenantNews& news) { one.Set(news); });
  ASSERT_TRUE(one.Await(1));
  const auto follow_all = directory_.FollowAll([&all](const TenantId& id, const TenantNews& news) {
    if (id == Id("globex")) all.Set(news);
  });
  EXPECT_EQ(all.count(), 0) << "nothing at the start";
  catalogue_.Put("acme", 2);
  catalogue_.Put("globex", 2);
  directory_.ChangesMissed();
  EXPECT_TRUE(one.Await(2));
  EXPECT_TRUE(all.Await(2)) << "neither cached nor followed by itself";
}

TEST_F(RegistryDirectoryTest, LookupsByDomain) {
  catalogue_.Put("acme", 1);
  for (const auto& [domain, want] :
       {std::pair("acme.example", v1::REASON_UNSPECIFIED), std::pair("globex.example", v1::REASON_TENANT_NOT_FOUND)}) {
    absl::Notification done;
    directory_.LookupDomain(domain, [&](const TenantNews& news) {
      EXPECT_EQ(ReasonOf(news.status()), want);
      done.Notify();
    });
    done.WaitForNotification();
  }
}

TEST_F(RegistryDirectoryTest, AfterTheEndLookupsAreRefused) {
  executor_.Stop();
  EXPECT_EQ(GenerationOf("acme"), -v1::REASON_SHUTTING_DOWN);
}

}  // namespace
}  // namespace leasehold::gateway
