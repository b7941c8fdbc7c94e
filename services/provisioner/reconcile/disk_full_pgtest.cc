// A disk that fills up while a database is made: said so, tried again, and nothing half-made counts as done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <format>

#include "services/provisioner/testing/reconciler_ground.h"
#include "services/provisioner/testing/small_disk.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

TEST(DiskFull, ACreationIsTriedAgainUntilThereIsRoom) {
  auto test = TestInstance::Start();
  ASSERT_TRUE(test.ok()) << test.status();
  SmallDisk disk(**test);
  (*test)->server().Stop();
  if (const int error = disk.Mount("200m"); error != 0) {
    GTEST_SKIP() << "this process may not mount a small file system: " << strerror(error);
  }
  ASSERT_EQ((*test)->server().Restart(), absl::OkStatus());

  ReconcilerGround<> ground(**test, /*connections=*/4);
  Reconciler reconciler({.min_backoff = absl::Seconds(1), .max_backoff = absl::Seconds(1), .parallelism = 1},
                        ground.PartsWith([] {}));
  ASSERT_EQ(reconciler.Prepare(), absl::OkStatus());
  const auto work = [&] {
    EXPECT_EQ(reconciler.Pass(), absl::OkStatus());
    while (reconciler.WorkOne()) continue;
  };
  constexpr int kTenants = 4;
  const std::string before = (*test)->Ask("postgres", "SELECT count(*) FROM pg_database");
  // A new database takes 2 MiB at once, and more at the next checkpoint.
  disk.Fill(1 << 20);
  for (int i = 0; i < kTenants; ++i) ground.gateway_.Set(std::format("full{}", i), 1, v1::DESIRED_STATE_PRESENT);
  work();
  const auto count = [&](v1::ServiceState state) {
    int tenants = 0;
    for (int i = 0; i < kTenants; ++i) {
      const TenantRecord record = **ground.records_.Get(*TenantId::Parse(std::format("full{}", i)));
      if (record.state != state) continue;
      ++tenants;
      if (state == v1::SERVICE_STATE_FAILED) {
        EXPECT_THAT(record.message, HasSubstr("the instance's disk is full"));
      }
    }
    return tenants;
  };
  EXPECT_EQ(count(v1::SERVICE_STATE_FAILED), kTenants);
  EXPECT_EQ((*test)->Ask("postgres", "SELECT count(*) FROM pg_database"), before);
  disk.Clear();
  ground.clock_.Advance(absl::Minutes(1));
  work();
  EXPECT_EQ(count(v1::SERVICE_STATE_READY), kTenants);
  EXPECT_EQ((*test)->Ask("postgres", "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'leasehold_new_')"),
            "0");
  test->reset();
}

}  // namespace
}  // namespace leasehold::provisioner
