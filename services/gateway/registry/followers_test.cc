#include "services/gateway/registry/followers.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/synchronization/notification.h"

namespace leasehold::gateway {
namespace {

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

TenantNews View(std::string_view id, int64_t generation) {
  return std::make_shared<TenantView>(
      TenantView{.id = Id(id), .state = v1::TENANT_STATE_ACTIVE, .generation = generation, .services = {}});
}

TEST(FollowersTest, NewsOfOneTenantReplaceEachOtherWhileTheyWait) {
  std::string heard;
  Follower follower([&heard](const TenantId& id, const TenantNews& news) {
    heard += id.str() + std::to_string((*news)->generation) + " ";
  });
  follower.Post(Id("a"), View("a", 1));
  follower.Post(Id("b"), View("b", 1));
  follower.Post(Id("a"), View("a", 2));
  follower.Deliver();
  EXPECT_EQ(heard, "a2 b1 ");
}

TEST(FollowersTest, OnlyThoseWhoAskedHear) {
  auto followers = std::make_shared<Followers>();
  auto [one, one_handle] = followers->Add(Id("a"), [](const TenantId&, const TenantNews&) {});
  auto [all, all_handle] = followers->Add(std::nullopt, [](const TenantId&, const TenantNews&) {});
  EXPECT_EQ(followers->Of(Id("a")).size(), 2u);
  EXPECT_EQ(followers->Of(Id("b")).size(), 1u);
  all_handle.reset();
  EXPECT_FALSE(followers->Any(Id("b")));
  EXPECT_EQ(followers->Followed().size(), 1u);
  one_handle.reset();
  EXPECT_TRUE(followers->Followed().empty());
}

TEST(FollowersTest, ADroppedHandleNeverRunsAgainAlsoFromInside) {
  auto followers = std::make_shared<Followers>();
  TenantDirectory::Handle handle;
  int runs = 0;
  auto [follower, made] = followers->Add(std::nullopt, [&](const TenantId&, const TenantNews&) {
    ++runs;
    handle.reset();
  });
  handle = std::move(made);
  follower->Post(Id("a"), View("a", 1));
  follower->Post(Id("b"), View("b", 1));
  follower->Deliver();
  EXPECT_EQ(runs, 1);
  follower->Post(Id("c"), View("c", 1));
  follower->Deliver();
  EXPECT_EQ(runs, 1);
}

TEST(FollowersTest, DroppingWaitsForTheCallbackOnAnotherThread) {
  auto followers = std::make_shared<Followers>();
  absl::Notification inside, go_on;
  std::atomic<bool> left = false;
  auto [follower, handle] = followers->Add(std::nullopt, [&](const TenantId&, const TenantNews&) {
    inside.Notify();
    go_on.WaitForNotification();
    left = true;
  });
  follower->Post(Id("a"), View("a", 1));
  std::thread deliverer([&follower] { follower->Deliver(); });
  inside.WaitForNotification();
  std::thread releaser([&go_on] { go_on.Notify(); });
  handle.reset();
  EXPECT_TRUE(left) << "the destructor returned while the callback ran";
  deliverer.join();
  releaser.join();
}

TEST(FollowersTest, AHandleMayOutliveThem) {
  auto followers = std::make_shared<Followers>();
  auto [follower, handle] = followers->Add(Id("a"), [](const TenantId&, const TenantNews&) {});
  followers.reset();
  handle.reset();
}

}  // namespace
}  // namespace leasehold::gateway
