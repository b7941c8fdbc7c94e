// A reconciler on a real instance, which is there once for all tests of a program. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/testing/instance_suite.h"
#include "services/provisioner/testing/reconciler_ground.h"

namespace leasehold::provisioner {

inline TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

class InstanceTest : public InstanceSuite, protected ReconcilerGround<> {
 protected:
  InstanceTest() : ReconcilerGround(*test_, /*connections=*/6) {}

  static void SetUpTestSuite() { StartInstance({"authentication_timeout=60s"}); }

  // Makes the reconciler anew, and prepares what it works on.
  void Build(Reconciler::Options options, std::function<void()> on_status) {
    Reconciler::Parts parts = PartsWith(std::move(on_status));
    parts.on_copying = [this](const TenantId& id, const v1::CopyStatus& copy) { OnCopying(id, copy); };
    reconciler_ = std::make_unique<Reconciler>(std::move(options), std::move(parts));
    ASSERT_EQ(reconciler_->Prepare(), absl::OkStatus());
  }
  virtual void OnCopying(const TenantId& /*id*/, const v1::CopyStatus& /*copy*/) {}
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

  std::unique_ptr<Reconciler> reconciler_;
};

}  // namespace leasehold::provisioner
