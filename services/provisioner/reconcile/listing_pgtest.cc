// How far an event is believed, and what the registry's list says over it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/provisioner/reconcile/reconciler_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

TEST_F(ReconcilerTest, AnEventAloneRemovesNothing) {
  gateway_.Set("keep", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  gateway_.SetDown(true);
  ASSERT_EQ(reconciler_->Want(Id("keep"), {.generation = 2, .state = v1::DESIRED_STATE_ABSENT}), absl::OkStatus());
  WorkAll();
  PassAndWork();
  EXPECT_EQ(Exists("keep"), "1");
  EXPECT_EQ(CanLogIn("keep"), "f") << "but nobody gets in any more";
  EXPECT_EQ(Get("keep").state, v1::SERVICE_STATE_PENDING);

  gateway_.SetDown(false);
  gateway_.Set("keep", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  EXPECT_EQ(Exists("keep"), "0");
  EXPECT_EQ(Get("keep").state, v1::SERVICE_STATE_REMOVED);
  EXPECT_EQ(PassAndWork(), 0);
}

TEST_F(ReconcilerTest, ARemovalThatTheRegistryTookBackRemovesNothing) {
  gateway_.Set("back", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  ASSERT_EQ(reconciler_->Want(Id("back"), {.generation = 2, .state = v1::DESIRED_STATE_ABSENT}), absl::OkStatus());
  gateway_.Set("back", 3, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(Exists("back"), "1");
  EXPECT_EQ(CanLogIn("back"), "t");
}

TEST_F(ReconcilerTest, AGenerationThatTheRegistryDoesNotKnowLastsUntilTheNextListing) {
  constexpr int64_t kBogus = int64_t{1} << 60;
  gateway_.Set("fenced", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  ASSERT_EQ(reconciler_->Want(Id("fenced"), {.generation = kBogus, .state = v1::DESIRED_STATE_CLOSED}),
            absl::OkStatus());
  WorkAll();
  EXPECT_EQ(CanLogIn("fenced"), "f");
  PassAndWork();
  EXPECT_EQ(CanLogIn("fenced"), "t");
  EXPECT_EQ(Get("fenced").generation, 1);
  EXPECT_EQ(Get("fenced").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("fenced").state_generation, 1);
  EXPECT_EQ(PassAndWork(), 0);
  ASSERT_EQ(reconciler_->Want(Id("fenced"), {.generation = 2, .state = v1::DESIRED_STATE_CLOSED}), absl::OkStatus());
  WorkAll();
  EXPECT_EQ(CanLogIn("fenced"), "f") << "the registry's next word is heard";
}

TEST_F(ReconcilerTest, AnEventThatComesWhileTheListIsOnItsWayIsNewerThanTheList) {
  gateway_.Set("racing", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  gateway_.Meanwhile([&] {
    ASSERT_EQ(reconciler_->Want(Id("racing"), {.generation = 2, .state = v1::DESIRED_STATE_CLOSED}), absl::OkStatus());
  });
  PassAndWork();
  EXPECT_EQ(Get("racing").generation, 2);
  EXPECT_EQ(CanLogIn("racing"), "f");
  // Also when the record that the pass saw is one to be overruled.
  gateway_.Set("racing", 1, v1::DESIRED_STATE_PRESENT);
  gateway_.Meanwhile([&] {
    ASSERT_EQ(reconciler_->Want(Id("racing"), {.generation = 3, .state = v1::DESIRED_STATE_CLOSED}), absl::OkStatus());
  });
  PassAndWork();
  EXPECT_EQ(Get("racing").generation, 3);
  gateway_.Set("racing", 3, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  EXPECT_EQ(Get("racing").generation, 3);
  EXPECT_TRUE(Get("racing").confirmed);
}

TEST_F(ReconcilerTest, ARestoredRegistryIsFollowedButDropsNothingThatItForgot) {
  gateway_.Set("kept", 5, v1::DESIRED_STATE_PRESENT);
  gateway_.Set("forged", 1, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  test_->Ask("tenant_kept_identity", "INSERT INTO note VALUES ('precious')");
  ASSERT_EQ(reconciler_->Want(Id("forged"), {.generation = 9, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  ASSERT_EQ(Exists("forged"), "1");
  gateway_.Set("kept", 3, v1::DESIRED_STATE_CLOSED);
  PassAndWork();
  EXPECT_EQ(Get("kept").generation, 3);
  EXPECT_EQ(CanLogIn("kept"), "f");
  EXPECT_EQ(Exists("forged"), "0") << "no registry ever wanted it";

  gateway_.Set("kept", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  PassAndWork();
  EXPECT_EQ(Exists("kept"), "1");
  EXPECT_EQ(Get("kept").generation, 3);
  gateway_.Set("kept", 3, v1::DESIRED_STATE_PRESENT);  // made again
  PassAndWork();
  EXPECT_EQ(test_->Ask("tenant_kept_identity", "SELECT text FROM note"), "precious");
  EXPECT_EQ(CanLogIn("kept"), "t");
}

TEST_F(ReconcilerTest, WhatARegistryCountsOnThatForgotThePurgeIsMadeAgainAndCounted) {
  gateway_.Set("purged", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  gateway_.Set("purged", 3, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  ASSERT_EQ(Exists("purged"), "0");
  gateway_.Set("purged", 1, v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY, 1);
  PassAndWork();
  EXPECT_EQ(Exists("purged"), "1");
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_recreated_total 1"));
}

TEST_F(ReconcilerTest, ATombstoneKeepsOldEventsOutAndANewTenantIn) {
  gateway_.Set("tomb", 1, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  const std::string first = Get("tomb").database_id;
  gateway_.Set("tomb", 2, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  gateway_.Clear();
  ASSERT_EQ(reconciler_->Want(Id("tomb"), {.generation = 1, .state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  ASSERT_EQ(reconciler_->Want(Id("tomb"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  PassAndWork();
  EXPECT_EQ(Exists("tomb"), "0");
  gateway_.Set("tomb", 3, v1::DESIRED_STATE_PRESENT);
  PassAndWork();
  EXPECT_EQ(Exists("tomb"), "1");
  EXPECT_NE(Get("tomb").database_id, first) << "a new tenant does not get the old one's passwords";
}

TEST_F(ReconcilerTest, ANewTenantNeverGetsTheDatabaseOfAPurgedOne) {
  gateway_.SetNew("again", 1);
  PassAndWork();
  const std::string first = Get("again").database_id;
  test_->Ask("tenant_again_identity", "INSERT INTO note VALUES ('of another customer')");
  // It was purged and made again while this service was out of the configuration: generations 2 and 3 came to nobody.
  gateway_.SetNew("again", 4);
  PassAndWork();
  EXPECT_EQ(Get("again").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("again").state_generation, 4);
  EXPECT_NE(Get("again").database_id, first);
  EXPECT_EQ(test_->Ask("tenant_again_identity", "SELECT count(*) FROM note"), "0");
  EXPECT_EQ(PassAndWork(), 0);
}

TEST_F(ReconcilerTest, AnEventOfANewTenantNeitherOpensNorDropsWhatThePurgedOneLeft) {
  gateway_.SetNew("event", 1);
  PassAndWork();
  const std::string first = Get("event").database_id;
  gateway_.SetDown(true);
  ASSERT_EQ(reconciler_->Want(Id("event"), {.generation = 3, .state = v1::DESIRED_STATE_ABSENT}), absl::OkStatus());
  WorkAll();
  ASSERT_EQ(
      reconciler_->Want(Id("event"), {.generation = 4, .state = v1::DESIRED_STATE_PRESENT, .create_generation = 4}),
      absl::OkStatus());
  WorkAll();
  PassAndWork();
  EXPECT_EQ(CanLogIn("event"), "f");
  EXPECT_EQ(Get("event").database_id, first);
  EXPECT_EQ(Get("event").state, v1::SERVICE_STATE_PENDING);
  gateway_.SetDown(false);
  gateway_.SetNew("event", 4);
  PassAndWork();
  EXPECT_EQ(CanLogIn("event"), "t");
  EXPECT_NE(Get("event").database_id, first);
}

TEST_F(ReconcilerTest, AnEventThatMakesUpANewTenantCostsNoData) {
  gateway_.SetNew("made-up", 1);
  PassAndWork();
  const std::string first = Get("made-up").database_id;
  ASSERT_EQ(
      reconciler_->Want(Id("made-up"), {.generation = 9, .state = v1::DESIRED_STATE_PRESENT, .create_generation = 9}),
      absl::OkStatus());
  WorkAll();
  EXPECT_EQ(CanLogIn("made-up"), "f");
  PassAndWork();
  EXPECT_EQ(CanLogIn("made-up"), "t");
  EXPECT_EQ(Get("made-up").database_id, first);
}

TEST_F(ReconcilerTest, AnAnnouncedTenantKeepsItsDatabaseWhenTheRegistryMakesItItsOwn) {
  gateway_.SetDown(true);
  ASSERT_EQ(reconciler_->Want(Id("announced"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  const std::string first = Get("announced").database_id;
  gateway_.SetDown(false);
  gateway_.SetNew("announced", 7);
  PassAndWork();
  EXPECT_EQ(Get("announced").database_id, first);
  EXPECT_EQ(Get("announced").state_generation, 7);
  gateway_.SetNew("announced", 10);
  PassAndWork();
  EXPECT_NE(Get("announced").database_id, first);
}

TEST_F(ReconcilerTest, WhatWasMadeForAnAnnouncementStaysUntilTheRegistryRefusesIt) {
  ASSERT_EQ(reconciler_->Want(Id("refused"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  WorkAll();
  PassAndWork();
  EXPECT_EQ(Exists("refused"), "1") << "the registry may not have heard of it yet";
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_unlisted_tenants 1"));
  gateway_.Set("refused", 1, v1::DESIRED_STATE_ABSENT);
  PassAndWork();
  EXPECT_EQ(Exists("refused"), "0");
  EXPECT_EQ(Get("refused").state, v1::SERVICE_STATE_REMOVED);
  EXPECT_EQ(Get("refused").state_generation, 1);
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_provisioner_unlisted_tenants 0"));
  ASSERT_EQ(reconciler_->Want(Id("refused"), {.state = v1::DESIRED_STATE_PRESENT}), absl::OkStatus());
  EXPECT_EQ(WorkAll(), 0) << "the announcement comes late";
  gateway_.SetNew("refused", 2);
  PassAndWork();
  EXPECT_EQ(Get("refused").state, v1::SERVICE_STATE_READY);
}

}  // namespace
}  // namespace leasehold::provisioner
