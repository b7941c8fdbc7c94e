// How many servers a tenant has at work while others are there, by the pool's own count.
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <thread>

#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

constexpr int kCap = 30;
constexpr const char* kComputes = "select sum(i) from generate_series(1, 2000) i";
constexpr const char* kSleeps = "select pg_sleep(0.01)";
// So long that a server is taken again at once, however late the flood's clients and the loop get the processor.
constexpr const char* kHolds = "select pg_sleep(0.3)";

class RestraintTest : public EndpointTest {
 protected:
  PoolReport Report() {
    std::promise<PoolReport> report;
    endpoint_->Pools([&report](std::vector<PoolReport> pools) { report.set_value(std::move(pools.at(0))); });
    return report.get_future().get();
  }
  // As soon as it holds of a report, or not in two minutes: on a busy machine the flood takes more than half of one to
  // log in.
  template <typename Condition>
  bool Becomes(Condition condition) {
    for (const absl::Time end = absl::Now() + absl::Minutes(2); absl::Now() < end;) {
      if (condition(Report())) return true;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return false;
  }
  static int WorkingOf(const PoolReport& report, std::string_view tenant) {
    for (const PoolReport::Tenant& one : report.tenants) {
      if (one.tenant == tenant) return one.working;
    }
    return 0;
  }

  // One after the other, until it is told to stop.
  std::jthread Asks(const std::string& tenant, const std::atomic<const char*>& sql) {
    const std::string user = "lh1." + tenant;
    const std::string password = authority_.Lease(user, {.home = tenant});
    return std::jthread([dsn = Dsn(user, password), &sql](const std::stop_token& stop) {
      Client client(dsn);
      while (!stop.stop_requested() && client.ok()) client.One(sql.load());
    });
  }
  // Until all servers are there and at work.
  std::vector<std::jthread> Flood() {
    flood_ = kHolds;
    std::vector<std::jthread> flood;
    for (int i = 0; i < 2 * kCap; ++i) flood.push_back(Asks("acme", flood_));
    EXPECT_TRUE(Becomes([](const PoolReport& report) { return WorkingOf(report, "acme") == kCap; }));
    EXPECT_EQ(Report().working_bound, std::nullopt) << "alone it has the cap";
    return flood;
  }
  bool Answers(uint64_t queries) {
    const uint64_t end = Report().tally.queries.count() + queries;
    return Becomes([end](const PoolReport& report) { return report.tally.queries.count() > end; });
  }

  std::atomic<const char*> flood_ = kHolds;
  const std::atomic<const char*> neighbours_ = "select 1";
};

TEST_F(RestraintTest, AComputingFloodIsHeldToAFewWhileAnotherIsThere) {
  Begin({.max_connections = kCap});
  const std::vector<std::jthread> flood = Flood();
  flood_ = kComputes;
  {
    const std::jthread neighbour = Asks("globex", neighbours_);
    // Servers are there for more of them, and clients who wait.
    ASSERT_TRUE(Becomes([](const PoolReport& report) {
      return report.working_bound && *report.working_bound <= kCap / 3 && WorkingOf(report, "acme") <= kCap / 3 &&
             report.waiting > 0 && report.idle > 0;
    }));
  }
  flood_ = kHolds;
  ASSERT_TRUE(
      Becomes([](const PoolReport& report) { return WorkingOf(report, "acme") >= kCap - 1 && !report.working_bound; }));
}

TEST_F(RestraintTest, SwitchedOffTheFloodHasWhatTheNeighbourLeaves) {
  Begin({.max_connections = kCap, .tenant_restraint = false});
  const std::vector<std::jthread> flood = Flood();
  flood_ = kComputes;
  const std::jthread neighbour = Asks("globex", neighbours_);
  ASSERT_TRUE(Answers(200));
  EXPECT_EQ(Report().working_bound, std::nullopt);
  flood_ = kHolds;
  ASSERT_TRUE(Becomes([](const PoolReport& report) { return WorkingOf(report, "acme") >= kCap - 1; }));
  EXPECT_EQ(Report().working_bound, std::nullopt);
}

TEST_F(RestraintTest, ASleepingFloodKeepsItsServers) {
  Begin({.max_connections = kCap});
  const std::vector<std::jthread> flood = Flood();
  flood_ = kSleeps;
  const std::jthread neighbour = Asks("globex", neighbours_);
  ASSERT_TRUE(Answers(2'000)) << "beyond the first trials";
  ASSERT_TRUE(Becomes(
      [](const PoolReport& report) { return WorkingOf(report, "acme") > kCap / 2 && report.working_bound == kCap; }));
}

TEST_F(RestraintTest, WhatIsIdleInATransactionDoesNotWork) {
  Begin({.max_connections = kCap});
  Client one = Connect();
  ASSERT_EQ(one.One("begin"), "BEGIN");
  ASSERT_TRUE(Becomes([](const PoolReport& report) { return report.working == 0; }));
  EXPECT_EQ(Report().servers - Report().idle, 1);
  ASSERT_EQ(PQsendQuery(one.get(), "select pg_sleep(30)"), 1);
  ASSERT_TRUE(Becomes([](const PoolReport& report) { return report.working == 1; }));
  EXPECT_EQ(WorkingOf(Report(), "acme"), 1);
}

TEST_F(RestraintTest, WhoSwitchesTakesHisWorkAlong) {
  Begin({.max_connections = kCap});
  Client one = Connect();
  ASSERT_EQ(one.One("select 1"), "1");
  ASSERT_EQ(one.One("set leasehold.tenant = 'globex'"), "SET");
  ASSERT_EQ(PQsendQuery(one.get(), "select pg_sleep(30)"), 1);
  ASSERT_TRUE(Becomes([](const PoolReport& report) { return WorkingOf(report, "globex") == 1; }));
  EXPECT_EQ(WorkingOf(Report(), "acme"), 0);
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
