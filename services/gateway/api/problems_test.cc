#include "services/gateway/api/problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace leasehold::gateway {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Property;

v1::Component ComponentOf(const std::string& name, v1::ComponentState state, const std::string& error = "") {
  v1::Component component;
  component.set_name(name);
  component.set_state(state);
  component.set_required(true);
  component.set_last_error(error);
  return component;
}

// A gateway with all it stands on, and one service that is well.
v1::GetStatusResponse Well() {
  v1::GetStatusResponse status;
  for (const char* name : {"leases", "listeners", "nats", "registry"}) {
    *status.mutable_gateway()->add_components() = ComponentOf(name, v1::COMPONENT_STATE_OK);
  }
  v1::ServiceOverview& service = *status.add_services();
  service.set_service("core");
  *service.mutable_instance() = ComponentOf("instance/core", v1::COMPONENT_STATE_OK);
  service.mutable_provisioner()->set_version("0.1.0");
  service.mutable_health()->set_service("core");
  return status;
}

auto Is(const char* subject, const char* text) {
  return AllOf(Property(&v1::Problem::subject, std::string(subject)), Property(&v1::Problem::message, HasSubstr(text)),
               Property(&v1::Problem::advice, Not(IsEmpty())));
}

TEST(Problems, NoneIfAllIsWell) {
  v1::GetStatusResponse status = Well();
  status.add_problems()->set_message("of before");
  FindProblems(status);
  EXPECT_THAT(status.problems(), IsEmpty());
}

TEST(Problems, AComponentThatFailsOrThatNothingIsKnownOf) {
  v1::GetStatusResponse status = Well();
  *status.mutable_gateway()->mutable_components(3) =
      ComponentOf("registry", v1::COMPONENT_STATE_FAILING, "the registry does not answer");
  *status.mutable_gateway()->mutable_components(0) = ComponentOf("leases", v1::COMPONENT_STATE_UNKNOWN);
  FindProblems(status);
  EXPECT_THAT(status.problems(),
              ElementsAre(Is("leases", "nothing has been heard"), Is("registry", "the registry does not answer")));
}

TEST(Problems, WhatWasWrongOnceIsNotAProblem) {
  v1::GetStatusResponse status = Well();
  status.mutable_gateway()->mutable_components(2)->set_last_error("not connected");
  FindProblems(status);
  EXPECT_THAT(status.problems(), IsEmpty());
}

TEST(Problems, AProvisionerThatDoesNotAnswer) {
  v1::GetStatusResponse status = Well();
  status.mutable_services(0)->clear_provisioner();
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("core", "no provisioner of it answers")));
  EXPECT_THAT(status.problems(0).advice(), HasSubstr("leasehold-provisioner --service core"));
}

TEST(Problems, WithoutNatsOrItsInstanceAProvisionersSilenceIsNoProblemOfItsOwn) {
  v1::GetStatusResponse status = Well();
  status.mutable_services(0)->clear_provisioner();
  *status.mutable_gateway()->mutable_components(2) = ComponentOf("nats", v1::COMPONENT_STATE_FAILING, "not connected");
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("nats", "not connected")));

  status = Well();
  status.mutable_services(0)->clear_provisioner();
  *status.mutable_services(0)->mutable_instance() =
      ComponentOf("instance/core", v1::COMPONENT_STATE_FAILING, "does not answer");
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("core", "its instance: does not answer")));
}

TEST(Problems, ChangesThatJetStreamDoesNotTakeAreOneUnlessItIsAway) {
  v1::GetStatusResponse status = Well();
  *status.mutable_gateway()->add_components() =
      ComponentOf("outbox", v1::COMPONENT_STATE_FAILING, "has taken no changes");
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("outbox", "has taken no changes")));
  EXPECT_THAT(status.problems(0).advice(), HasSubstr("its disk may be full"));
  *status.mutable_gateway()->mutable_components(2) = ComponentOf("nats", v1::COMPONENT_STATE_FAILING, "not connected");
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("nats", "not connected")));
}

TEST(Problems, ClientsThatWaitForServers) {
  v1::GetStatusResponse status = Well();
  *status.mutable_gateway()->add_components() =
      ComponentOf("pool/core", v1::COMPONENT_STATE_FAILING, "all 50 are taken");
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("pool/core", "all 50 are taken")));
  EXPECT_THAT(status.problems(0).advice(), HasSubstr("leasehold pools"));
}

TEST(Problems, AMigrationRunThatStoppedOrFailed) {
  v1::GetStatusResponse status = Well();
  v1::MigrationRun& run = *status.mutable_services(0)->mutable_provisioner()->mutable_run();
  run.set_id("core.7");
  run.set_message("3 databases failed");
  for (const auto state :
       {v1::MIGRATION_RUN_STATE_RUNNING, v1::MIGRATION_RUN_STATE_SUCCEEDED, v1::MIGRATION_RUN_STATE_CANCELLED}) {
    run.set_state(state);
    FindProblems(status);
    EXPECT_THAT(status.problems(), IsEmpty()) << state;
  }
  run.set_state(v1::MIGRATION_RUN_STATE_STOPPED);
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("core", "migration run core.7 stopped: 3 databases failed")));
  run.set_state(v1::MIGRATION_RUN_STATE_FAILED);
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("core", "core.7 failed")));
}

TEST(Problems, WhatTheDoctorSaysOfAService) {
  v1::GetStatusResponse status = Well();
  status.mutable_services(0)->mutable_health()->set_message("tenant acme: no space left");
  status.mutable_services(0)->mutable_health()->set_advice("mend it");
  FindProblems(status);
  EXPECT_THAT(status.problems(), ElementsAre(Is("core", "no space left")));
}

}  // namespace
}  // namespace leasehold::gateway
