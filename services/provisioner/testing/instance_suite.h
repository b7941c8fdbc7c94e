// One TestInstance for all tests of a suite. Tests only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {

// A suite that prepares more calls StartInstance() in a SetUpTestSuite() of its own.
class InstanceSuite : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { StartInstance(); }
  static void TearDownTestSuite() {
    delete test_;
    test_ = nullptr;
  }

  // `settings`: as TestInstance::Start.
  static void StartInstance(std::vector<std::string> settings = {}) {
    auto started = TestInstance::Start(std::move(settings));
    ASSERT_TRUE(started.ok()) << started.status();
    test_ = started->release();
  }

  static inline TestInstance* test_ = nullptr;
};

}  // namespace leasehold::provisioner
