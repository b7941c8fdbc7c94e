#include "services/provisioner/steps/tenant_lock.h"

#include <gtest/gtest.h>

#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {
namespace {

class TenantLockTest : public InstanceSuite {
 protected:
  // A connection of another provisioner's process.
  static postgres::Connection Of(std::string_view process) {
    postgres::ConnectOptions options = test_->instance().AsLogin("identity_central");
    options.application_name = std::string(kProcessPrefix) + std::string(process);
    return postgres::Connection(options);
  }
  static bool Take(TenantLock& lock, absl::Duration patience = kSilence) {
    const auto taken = lock.TryTake(patience);
    EXPECT_TRUE(taken.ok()) << taken.status();
    return taken.ok() && *taken;
  }

  const std::string tenant_ = "acme";
};

TEST_F(TenantLockTest, OneAtATimeAndNobodyWaits) {
  postgres::Connection first = Of("first"), second = Of("second");
  TenantLock held(first, tenant_), wanted(second, tenant_);
  ASSERT_TRUE(Take(held));
  EXPECT_FALSE(Take(wanted));
  TenantLock other(second, "globex");
  EXPECT_TRUE(Take(other));
  held.Release();
  EXPECT_TRUE(Take(wanted));
}

TEST_F(TenantLockTest, ItGoesWithItsHolder) {
  postgres::Connection first = Of("first");
  postgres::Connection second = Of("second");
  {
    TenantLock held(first, tenant_);
    ASSERT_TRUE(Take(held));
    test_->Ask("postgres",
               "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
               "WHERE application_name = 'leasehold-provisioner/first'");
    TenantLock wanted(second, tenant_);
    EXPECT_TRUE(Take(wanted));
    // Whoever had it cannot go on over a new connection, which would not have it.
    EXPECT_TRUE(postgres::IsConnectionFailure(first.ExecAlone("SELECT 1").status()));
    EXPECT_TRUE(
        postgres::IsConnectionFailure(first.InTransaction([&](postgres::Transaction& tx) { return held.Check(tx); })));
  }
  EXPECT_TRUE(first.ExecAlone("SELECT 1").ok()) << "afterwards it is a connection like any other";
}

TEST_F(TenantLockTest, WhichTraceASessionWorksForIsNoPartOfWhoseItIs) {
  postgres::Connection first = Of("first 4bf92f3577b34da6a3ce929d0e0e4736"), again = Of("first");
  postgres::Connection second = Of("second 4bf92f3577b34da6a3ce929d0e0e4736");
  TenantLock held(first, tenant_), same(again, tenant_), wanted(second, tenant_);
  ASSERT_TRUE(Take(held));
  EXPECT_FALSE(Take(same, absl::ZeroDuration())) << "a process does not end its own sessions";
  EXPECT_TRUE(first.ExecAlone("SELECT 1").ok());
  EXPECT_FALSE(Take(wanted, absl::ZeroDuration()));
  EXPECT_FALSE(first.ExecAlone("SELECT 1").ok());
}

TEST_F(TenantLockTest, OneThatStandsStillLosesIt) {
  postgres::Connection still = Of("still 4bf92f3577b34da6a3ce929d0e0e4736"), inside = Of("still");
  postgres::Connection second = Of("second");
  ASSERT_TRUE(inside.Connect().ok());
  TenantLock held(still, tenant_), wanted(second, tenant_);
  ASSERT_TRUE(Take(held));
  EXPECT_FALSE(Take(wanted, absl::Hours(1))) << "it has just said something";
  EXPECT_TRUE(still.ExecAlone("SELECT 1").ok());
  EXPECT_FALSE(Take(wanted, absl::ZeroDuration()));
  bool taken = false;
  for (int i = 0; i < 500 && !taken; ++i) {
    taken = Take(wanted, absl::Hours(1));
    if (!taken) test_->Ask("postgres", "SELECT pg_sleep(0.01)");
  }
  EXPECT_TRUE(taken);
  EXPECT_FALSE(still.ExecAlone("SELECT 1").ok()) << "it wakes up and cannot go on";
  EXPECT_EQ(test_->Ask("postgres",
                       "SELECT count(*) FROM pg_stat_activity "
                       "WHERE starts_with(application_name, 'leasehold-provisioner/still')"),
            "0");
}

}  // namespace
}  // namespace leasehold::provisioner
