#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/provisioner/events/tenant_events.h"

namespace leasehold::provisioner {
namespace {

events::TenantEvent Event(std::string what, int64_t generation = 0,
                          v1::DesiredState desired = v1::DESIRED_STATE_UNSPECIFIED) {
  events::TenantEvent event;
  event.what = std::move(what);
  event.data.set_id("acme");
  event.data.set_generation(generation);
  event.data.set_desired(desired);
  return event;
}

TEST(DesireOf, TheGatewaysWordCounts) {
  const auto desire = DesireOf(Event("suspended", 7, v1::DESIRED_STATE_CLOSED));
  ASSERT_TRUE(desire.ok() && desire->has_value());
  EXPECT_EQ((*desire)->generation, 7);
  EXPECT_EQ((*desire)->state, v1::DESIRED_STATE_CLOSED);
  EXPECT_FALSE((*desire)->confirmed) << "an event is a hint";
}

TEST(DesireOf, AnotherServicesEventMeansCreateIfAbsent) {
  const auto desire = DesireOf(Event("created"));
  ASSERT_TRUE(desire.ok() && desire->has_value());
  EXPECT_EQ((*desire)->generation, std::nullopt);
  EXPECT_EQ((*desire)->state, v1::DESIRED_STATE_PRESENT);

  events::TenantEvent inactive = Event("created");
  inactive.data.set_is_active(false);
  EXPECT_EQ((*DesireOf(inactive))->state, v1::DESIRED_STATE_CLOSED);
}

TEST(DesireOf, AnotherServiceCannotSuspendOrDelete) {
  for (const char* what : {"updated", "suspended", "resumed", "deleted"}) {
    const auto desire = DesireOf(Event(what));
    ASSERT_TRUE(desire.ok()) << what;
    EXPECT_EQ(*desire, std::nullopt) << what;
  }
}

// Who may only announce tenants cannot suspend one, nor outrun the registry, by calling it created.
TEST(DesireOf, WhatIsCalledCreatedSpeaksOfNewTenants) {
  EXPECT_FALSE((*DesireOf(Event("created", 1, v1::DESIRED_STATE_PRESENT)))->hearsay);
  EXPECT_FALSE((*DesireOf(Event("suspended", 7, v1::DESIRED_STATE_CLOSED)))->hearsay);
  for (const v1::DesiredState desired : {v1::DESIRED_STATE_PRESENT, v1::DESIRED_STATE_CLOSED}) {
    EXPECT_TRUE((*DesireOf(Event("created", 7, desired)))->hearsay);
  }
}

TEST(DesireOf, NonsenseIsMalformed) {
  EXPECT_EQ(ReasonOf(DesireOf(Event("created", -1, v1::DESIRED_STATE_PRESENT)).status()), v1::REASON_MALFORMED_EVENT);
  EXPECT_EQ(ReasonOf(DesireOf(Event("created", 1)).status()), v1::REASON_MALFORMED_EVENT);
  events::TenantEvent future = Event("created", 3, v1::DESIRED_STATE_PRESENT);
  for (const int64_t generation : {-1, 4}) {
    future.data.set_create_generation(generation);
    EXPECT_EQ(ReasonOf(DesireOf(future).status()), v1::REASON_MALFORMED_EVENT);
  }
  future.data.set_create_generation(3);
  EXPECT_EQ((*DesireOf(future))->create_generation, 3);
}

}  // namespace
}  // namespace leasehold::provisioner
