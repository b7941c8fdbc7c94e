// What a reconciler stands on in a test: a real instance, once for all tests of a program, and a gateway that says what
// a test wants. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/testing/fake_gateway.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {

inline TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

class InstanceTest : public InstanceSuite {
 protected:
  static void SetUpTestSuite() { StartInstance({"authentication_timeout=60s"}); }

  // Makes the reconciler anew, and prepares what it works on.
  void Build(Reconciler::Options options, std::function<void()> on_status) {
    reconciler_ =
        std::make_unique<Reconciler>(std::move(options), Reconciler::Parts{.instance = test_->instance(),
                                                                           .central = pool_,
                                                                           .records = records_,
                                                                           .desired = gateway_,
                                                                           .instance_health = instance_health_,
                                                                           .gateway_health = gateway_health_,
                                                                           .clock = clock_,
                                                                           .metrics = metrics_,
                                                                           .on_status = std::move(on_status)});
    ASSERT_EQ(reconciler_->Prepare(), absl::OkStatus());
  }
  int WorkAll() {
    int worked = 0;
    while (reconciler_->WorkOne()) ++worked;
    return worked;
  }
  int PassAndWork() {
    EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
    return WorkAll();
  }
  TenantRecord Get(std::string_view id) { return **records_.Get(Id(id)); }

  FakeClock clock_;
  Metrics metrics_;
  Health health_{clock_};
  Dependency instance_health_{health_, "instance"};
  Dependency gateway_health_{health_, "gateway"};
  postgres::ConnectionPool pool_{test_->instance().AsLogin("identity_central"), 6};
  Records records_{pool_, clock_};
  FakeGateway gateway_;
  std::unique_ptr<Reconciler> reconciler_;
};

}  // namespace leasehold::provisioner
