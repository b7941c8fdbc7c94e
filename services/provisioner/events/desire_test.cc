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

TEST(DesireOf, ItIsOfTheEventsTrace) {
  for (events::TenantEvent event : {Event("created"), Event("suspended", 7, v1::DESIRED_STATE_CLOSED)}) {
    event.trace = ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    EXPECT_EQ((*DesireOf(event))->traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  }
}

TEST(DesireOf, AnotherServiceCannotSuspendOrDelete) {
  for (const char* what : {"updated", "suspended", "resumed", "deleted"}) {
    const auto desire = DesireOf(Event(what));
    ASSERT_TRUE(desire.ok()) << what;
    EXPECT_EQ(*desire, std::nullopt) << what;
  }
}

// Who may only announce tenants cannot suspend one, nor outrun the registry, by calling it created.
TEST(IsHearsay, WhatIsCalledCreatedSpeaksOfNewTenants) {
  EXPECT_FALSE(IsHearsay(Event("created")));
  EXPECT_FALSE(IsHearsay(Event("created", 1, v1::DESIRED_STATE_PRESENT)));
  EXPECT_FALSE(IsHearsay(Event("suspended", 7, v1::DESIRED_STATE_CLOSED)));
  for (const v1::DesiredState desired : {v1::DESIRED_STATE_PRESENT, v1::DESIRED_STATE_CLOSED}) {
    EXPECT_TRUE(IsHearsay(Event("created", 7, desired)));
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
