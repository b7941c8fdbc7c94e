// Who gets which server, and what becomes of servers, against a PostgreSQL that does as it is told.
#include "services/gateway/pool/instance_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>

#include <array>
#include <atomic>
#include <deque>

#include "services/gateway/pool/pool_rig.h"

namespace leasehold::gateway {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

TEST_F(InstancePoolTest, AServerIsUsedAgain) {
  Rig rig(Options());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Use(rig, "acme"), "served");
  EXPECT_EQ(postgres_.logins(), 1);
  const PoolReport report = rig.Report();
  EXPECT_EQ(report.tally.waits, 1u);
  EXPECT_EQ(report.tally.hits, 4u);
  EXPECT_EQ(report.idle, 1);
  EXPECT_EQ(report.dials, 1u);
}

TEST_F(InstancePoolTest, WhoWaitsLongestIsNext) {
  Rig rig(WithCap(1));
  Client first(rig), second(rig), third(rig);
  ASSERT_EQ(first.Ask("acme").Outcome(), "served");
  second.Ask("acme");
  third.Ask("acme");
  first.Release();
  EXPECT_EQ(second.Outcome(), "served");
  EXPECT_TRUE(third.waits());
  second.Release();
  EXPECT_EQ(third.Outcome(), "served");
}

TEST_F(InstancePoolTest, WhoHasLeftGetsNothing) {
  Rig rig(WithCap(1));
  Client holder(rig), leaver(rig);
  ASSERT_EQ(holder.Ask("acme").Outcome(), "served");
  leaver.Ask("acme");
  EXPECT_EQ(rig.Report().waiting, 1);
  for (int i = 0; i < 2; ++i) rig.On([&] { rig.pool().Leave(leaver); });
  holder.Release();
  EXPECT_TRUE(leaver.waits());
  EXPECT_EQ(rig.Report().waiting, 0);
  EXPECT_EQ(rig.Report().idle, 1);
}

TEST_F(InstancePoolTest, TheCapIsNeverExceededAndEverybodyIsServed) {
  Rig rig(WithCap(3));
  std::vector<std::jthread> clients;
  std::atomic<int> served = 0;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back([&, tenant = "tenant" + std::to_string(i % 5)] {
      for (int n = 0; n < 20; ++n) served += Use(rig, tenant) == "served" ? 1 : 0;
    });
  }
  clients.clear();
  EXPECT_EQ(served, 12 * 20);
  EXPECT_LE(postgres_.most(), 3u);
}

TEST_F(InstancePoolTest, AtTheCapTheColdestGivesWay) {
  Rig rig(WithCap(3));
  for (int i = 0; i < 5; ++i) Use(rig, "hot");
  for (int i = 0; i < 3; ++i) Use(rig, "warm");
  Use(rig, "cold");
  EXPECT_THAT(postgres_.open(), UnorderedElementsAre("hot", "warm", "cold"));
  EXPECT_EQ(Use(rig, "new"), "served");
  EXPECT_TRUE(rig.Becomes(NoneIsClosing));
  EXPECT_THAT(postgres_.open(), UnorderedElementsAre("hot", "warm", "new"));
  const PoolReport report = rig.Report({.absent = true});
  EXPECT_EQ(report.tally.evictions, 1u);
  ASSERT_EQ(report.tenants[0].tenant, "cold");
  EXPECT_EQ(report.tenants[0].tally.evictions, 1u) << "it was its server";
}

TEST_F(InstancePoolTest, AServerThatComesFreeGoesToWhoHasNone) {
  Rig rig(WithCap(2));
  Client one(rig), two(rig), three(rig), other(rig);
  ASSERT_EQ(one.Ask("many").Outcome(), "served");
  ASSERT_EQ(two.Ask("many").Outcome(), "served");
  three.Ask("many");
  other.Ask("few");
  one.Release();
  EXPECT_EQ(other.Outcome(), "served");
  EXPECT_TRUE(three.waits());
  two.Release();
  EXPECT_EQ(three.Outcome(), "served") << "one each is even";
}

TEST_F(InstancePoolTest, WeightsCount) {
  for (const double weight : {1.0, 4.0}) {
    InstanceOptions options = WithCap(3);
    options.tenant_shares.push_back({.tenants = "few*", .weight = weight});
    Rig rig(std::move(options));
    Client one(rig), two(rig), three(rig), four(rig), five(rig);
    ASSERT_EQ(one.Ask("few").Outcome(), "served");
    ASSERT_EQ(two.Ask("many").Outcome(), "served");
    ASSERT_EQ(three.Ask("many").Outcome(), "served");
    // Who has a server already waits as long as connecting takes before it claims another.
    four.Ask("few");
    ASSERT_TRUE(rig.Becomes([&](const PoolReport&) { return rig.On([&] { return rig.LineOf("few").claims; }); }));
    five.Ask("many");
    two.Release();
    // 2 servers / 4 are no more than 1 / 1; 2 / 1 are.
    Client& served = weight > 1 ? four : five;
    EXPECT_EQ(served.Outcome(), "served") << weight;
    EXPECT_TRUE((weight > 1 ? five : four).waits()) << weight;
  }
}

TEST_F(InstancePoolTest, ATenantsLimitIsItsOwnAndNamed) {
  InstanceOptions options = WithCap(5);
  options.tenant_max_connections = 1;
  options.tenant_shares.push_back({.tenants = "big", .max_connections = 2});
  options.connection_timeout = absl::Seconds(1);
  Rig rig(std::move(options));
  Client one(rig), two(rig), big_one(rig), big_two(rig), big_three(rig);
  ASSERT_EQ(one.Ask("acme").Outcome(), "served");
  EXPECT_THAT(two.Ask("acme").Outcome(),
              AllOf(HasSubstr("53300"), HasSubstr("all 1"), HasSubstr("tenant_max_connections")));
  ASSERT_EQ(big_one.Ask("big").Outcome(), "served");
  ASSERT_EQ(big_two.Ask("big").Outcome(), "served");
  EXPECT_THAT(big_three.Ask("big").Outcome(), HasSubstr("all 2"));
}

TEST_F(InstancePoolTest, TheCapIsNamedToWhoWaitedInVain) {
  InstanceOptions options = WithCap(1);
  options.connection_timeout = absl::Seconds(1);
  Rig rig(std::move(options));
  Client holder(rig), other(rig);
  ASSERT_EQ(holder.Ask("acme").Outcome(), "served");
  EXPECT_THAT(other.Ask("globex").Outcome(), AllOf(HasSubstr("53300"), HasSubstr("all 1 of its max_connections")));
  EXPECT_THAT(rig.Exposed(), HasSubstr("leasehold_sql_pool_wait_seconds_count{service=\"identity\"} 2\n"));
  EXPECT_THAT(rig.Exposed(), HasSubstr("leasehold_sql_pool_wait_seconds_bucket{service=\"identity\",le=\"0.5\"} 1\n"));
  holder.Release();
  EXPECT_EQ(other.Ask("globex").Outcome(), "served");
}

// As when thousands log in, and one server tells them all what they need to know.
TEST_F(InstancePoolTest, ThousandsThatAreDoneAtOnce) {
  class Hasty final : public ServerClient {
   public:
    Hasty(InstancePool& pool, int& served) : pool_(pool), served_(served) {}
    void OnServer(Server& server) override {
      ++served_;
      pool_.Release(server, Leftover::kNothing);
    }
    void OnNoServer(const pgwire::ErrorFields&) override {}
    void OnServerReady(Server&) override {}

   private:
    InstancePool& pool_;
    int& served_;
  };
  constexpr int kClients = 100'000;
  int served = 0;
  std::deque<Hasty> clients;
  Rig rig(WithCap(1));
  rig.On([&] {
    for (int i = 0; i < kClients; ++i) {
      rig.pool().Acquire(rig.LineOf("acme"), clients.emplace_back(rig.pool(), served));
    }
  });
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.waiting == 0; }));
  EXPECT_EQ(rig.On([&] { return served; }), kClients);
}

TEST_F(InstancePoolTest, AServerThatSaysMoreThanItsGreetingIsNotUsed) {
  postgres_.SayBehindGreeting(std::string("S\0\0", 3));
  Rig rig(Options());
  EXPECT_EQ(Use(rig, "acme"), "served");
  EXPECT_EQ(postgres_.logins(), 2);
}

TEST_F(InstancePoolTest, WhatWillNotPassIsToldAtOnceAndTouchesNobodyElse) {
  Rig rig(Options());
  for (const auto& [sqlstate, says] :
       {std::pair("3D000", "57P03: the database is not on the identity instance"),
        std::pair("28000", "57P03: the identity instance does not let the database's role"),
        std::pair("28P01", "57P03: the identity instance does not know the database's role"),
        std::pair("42501", "57P03: the database's role may not connect"),
        std::pair("55000", "57P03: the database takes no connections"),
        std::pair("XX000", "08006: the identity instance refuses connections")}) {
    postgres_.Refuse(sqlstate, sqlstate);
    EXPECT_THAT(Use(rig, sqlstate), HasSubstr(says));
    EXPECT_EQ(Use(rig, "acme"), "served") << sqlstate;
    postgres_.Refuse(sqlstate, std::nullopt);
    EXPECT_EQ(Use(rig, sqlstate), "served") << "and not for ever";
  }
}

TEST_F(InstancePoolTest, WhatMayPassIsTriedAgain) {
  Rig rig(Options());
  for (const char* sqlstate : {"53300", "57P03", ""}) {
    const std::string tenant = "tenant" + std::string(sqlstate);
    postgres_.Refuse(tenant, sqlstate);
    Client client(rig);
    client.Ask(tenant);
    const uint64_t dials = rig.Report().dials;
    EXPECT_TRUE(rig.Becomes([dials](const PoolReport& report) { return report.dials > dials + 1; }));
    EXPECT_TRUE(client.waits());
    postgres_.Refuse(tenant, std::nullopt);
    EXPECT_EQ(client.Outcome(), "served") << sqlstate;
  }
}

TEST_F(InstancePoolTest, AnInstanceWithLessRoomThanTheCapIsSharedAsIfThatWereTheCap) {
  InstanceOptions options = WithCap(5);
  options.connection_timeout = absl::Seconds(10);
  Rig rig(std::move(options));
  postgres_.SetRoom(2);
  for (int round = 0; round < 3; ++round) {
    for (const char* tenant : {"one", "two", "three", "four"}) EXPECT_EQ(Use(rig, tenant), "served") << tenant;
  }
  const PoolReport report = rig.Report();
  EXPECT_EQ(report.room, 2);
  EXPECT_TRUE(report.up) << "who refuses one more answers";
  EXPECT_LE(postgres_.most(), 2u);
  postgres_.SetRoom(5);
  EXPECT_TRUE(rig.Becomes([](const PoolReport& r) { return r.room == 5; }));
}

TEST_F(InstancePoolTest, WhatAnInstanceHasRoomForIsNamedToWhoWaitedInVain) {
  InstanceOptions options = WithCap(5);
  options.connection_timeout = absl::Milliseconds(500);
  Rig rig(std::move(options));
  postgres_.SetRoom(1);
  Client holder(rig), second(rig), other(rig);
  ASSERT_EQ(holder.Ask("acme").Outcome(), "served");
  EXPECT_THAT(second.Ask("acme").Outcome(),
              AllOf(HasSubstr("53300"), HasSubstr("all 1 that it has room for (of max_connections 5) are in use")));
  holder.Release();
  EXPECT_EQ(other.Ask("globex").Outcome(), "served");
}

TEST_F(InstancePoolTest, WhoWaitedInVainForWhatMayPassIsToldWhatItWas) {
  InstanceOptions options = Options();
  options.connection_timeout = absl::Milliseconds(100);
  for (const auto& [sqlstate, says] : {std::pair("53300", "53300: the identity instance has no connection left"),
                                       std::pair("57P03", "08006: the identity instance is starting or stopping"),
                                       std::pair("", "08006: the identity instance does not answer (waited 100ms)")}) {
    Rig rig(options);
    const std::string tenant = "tenant" + std::string(sqlstate);
    postgres_.Refuse(tenant, sqlstate);
    EXPECT_THAT(Use(rig, tenant), HasSubstr(says));
  }
}

TEST_F(InstancePoolTest, AServerThatWentIsForgotten) {
  Rig rig(Options());
  ASSERT_EQ(Use(rig, "acme"), "served");
  postgres_.HangUp();
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.servers == 0; }));
  EXPECT_EQ(Use(rig, "acme"), "served");
  EXPECT_EQ(postgres_.logins(), 2);
}

TEST_F(InstancePoolTest, WhatWorksOnIsCancelledAndCountsUntilItIsClosed) {
  Rig rig(WithCap(1));
  Client client(rig);
  ASSERT_EQ(client.Ask("acme").Outcome(), "served");
  client.With([](InstancePool& pool, Server& server) {
    pool.Retire(server, true);
    const PoolReport report = pool.Report({});
    EXPECT_EQ(report.servers, 1);
    EXPECT_EQ(report.closing, 1);
  });
  EXPECT_EQ(Use(rig, "acme"), "served");
  EXPECT_EQ(postgres_.logins(), 2);
  EXPECT_EQ(postgres_.most(), 1u);
  while (postgres_.cancels() == 0) rig.Report();
}

TEST_F(InstancePoolTest, NobodyGetsAServerThatACancelIsOnItsWayTo) {
  Rig rig(Options());
  Client client(rig);
  ASSERT_EQ(client.Ask("acme").Outcome(), "served");
  std::promise<int> idle_at_the_signal;
  client.With([&](InstancePool& pool, Server& server) {
    pool.Cancel(server, [&] { idle_at_the_signal.set_value(pool.Report({}).idle); });
    pool.Release(server, Leftover::kNothing);
    EXPECT_EQ(pool.Report({}).idle, 0);
  });
  EXPECT_EQ(idle_at_the_signal.get_future().get(), 0);
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.idle == 1; }));
  EXPECT_EQ(postgres_.cancels(), 1);
}

TEST_F(InstancePoolTest, WhatALogInToTheDatabaseBeforeSaysIsNotOfTheOneThatIsThereNow) {
  postgres_.Refuse("acme", "28P01");
  Rig rig(Options());
  Client client(rig);
  rig.On([&] {
    Line& line = rig.LineOf("acme");
    ASSERT_EQ(rig.pool().Acquire(line, client), nullptr);
    LoginTarget replaced = line.target;
    replaced.database_id = "another";
    rig.pool().LineFor(replaced);
  });
  EXPECT_THAT(client.Outcome(), HasSubstr("another password"));
  EXPECT_EQ(rig.Report().dials, 2u) << "the one with the new password decides";
}

TEST_F(InstancePoolTest, WhoSpeaksWhileACancelIsOnItsWayIsNotUsedAgain) {
  Rig rig(WithCap(1));
  Client client(rig), next(rig);
  ASSERT_EQ(client.Ask("acme").Outcome(), "served");
  std::string parameter;
  pgwire::ParameterStatus(parameter, "TimeZone", "Europe/Berlin");
  client.With([&](InstancePool& pool, Server& server) {
    pool.Cancel(server, [] {});
    pool.Release(server, Leftover::kNothing);
    postgres_.Say(parameter.substr(0, 10));
    pollfd ready = {.fd = server.transport().fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&ready, 1, 30'000), 1);
    server.OnReady(EPOLLIN);  // as the loop says it in its next round
  });
  EXPECT_EQ(next.Ask("acme").Outcome(), "served");
  EXPECT_EQ(postgres_.logins(), 2);
}

TEST_F(InstancePoolTest, WhatIsLeftBehindIsCleanedUpFirst) {
  Rig rig(WithCap(1));
  Client messy(rig), next(rig);
  ASSERT_EQ(messy.Ask("acme").Outcome(), "served");
  next.Ask("acme");
  messy.Release(Leftover::kUnknown);
  EXPECT_EQ(next.Outcome(), "served");
  EXPECT_THAT(postgres_.queries(), Contains(AllOf(HasSubstr("RESET ALL"), HasSubstr("DISCARD TEMP"))));
  EXPECT_EQ(postgres_.logins(), 1);
}

TEST_F(InstancePoolTest, AServerThatCannotBeCleanedUpIsReplaced) {
  InstanceOptions options = WithCap(1);
  options.health_check_timeout = absl::Milliseconds(50);
  Rig rig(std::move(options));
  Client messy(rig);
  ASSERT_EQ(messy.Ask("acme").Outcome(), "served");
  postgres_.FallSilent();
  messy.Release(Leftover::kUnknown);
  EXPECT_EQ(Use(rig, "acme"), "served");
  EXPECT_EQ(postgres_.logins(), 2);
}

TEST_F(InstancePoolTest, ASignOfLifeIsAskedForAfterARest) {
  InstanceOptions options = WithCap(1);
  options.health_check_interval = absl::ZeroDuration();
  options.health_check_timeout = absl::Milliseconds(50);
  Rig rig(std::move(options));
  ASSERT_EQ(Use(rig, "acme"), "served");
  EXPECT_THAT(postgres_.queries(), testing::IsEmpty());
  ASSERT_EQ(Use(rig, "acme"), "served");
  EXPECT_THAT(postgres_.queries(), Contains(";"));
  EXPECT_EQ(postgres_.logins(), 1);
  postgres_.FallSilent();
  EXPECT_EQ(Use(rig, "acme"), "served") << "by another";
  EXPECT_EQ(postgres_.logins(), 2);
}

TEST_F(InstancePoolTest, AnOldServerIsNotUsedAgain) {
  InstanceOptions options = Options();
  options.max_age = absl::ZeroDuration();
  Rig rig(std::move(options));
  ASSERT_EQ(Use(rig, "acme"), "served");
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.servers == 0; }));
}

TEST_F(InstancePoolTest, AServerThatNobodyHasNeededForTooLongIsClosed) {
  InstanceOptions options = Options();
  options.idle_timeout = absl::ZeroDuration();
  Rig rig(std::move(options));
  Client busy(rig);
  ASSERT_EQ(busy.Ask("acme").Outcome(), "served");
  ASSERT_EQ(Use(rig, "acme"), "served");
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.servers == 1; })) << "the one that is in use";
  busy.Release();
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.servers == 0; }));
}

TEST_F(InstancePoolTest, AClosedPoolKeepsNothing) {
  Rig rig(Options());
  Client busy(rig);
  ASSERT_EQ(busy.Ask("acme").Outcome(), "served");
  ASSERT_EQ(Use(rig, "globex"), "served");
  rig.On([&] { rig.pool().Close(); });
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.servers == 1; }));
  busy.Release();
  EXPECT_TRUE(rig.Becomes([](const PoolReport& report) { return report.servers == 0; }));
}

TEST_F(InstancePoolTest, ReportsNameTheBusiest) {
  Rig rig(Options());
  for (const auto& [tenant, times] : {std::pair("a", 1), std::pair("b", 5), std::pair("c", 3)}) {
    for (int i = 0; i < times; ++i) ASSERT_EQ(Use(rig, tenant), "served");
  }
  const auto names = [](const PoolReport& report) {
    std::string all;
    for (const PoolReport::Tenant& tenant : report.tenants) all += tenant.tenant;
    return all;
  };
  EXPECT_EQ(names(rig.Report()), "abc");
  EXPECT_EQ(names(rig.Report({.most_tenants = 2})), "bc");
  EXPECT_EQ(names(rig.Report({.most_tenants = 1})), "b");
  EXPECT_EQ(names(rig.Report({.most_tenants = 0})), "");
  const PoolReport one = rig.Report({.most_tenants = 1});
  EXPECT_EQ(one.tally.hits + one.tally.waits, 9u) << "of all";
  EXPECT_EQ(one.idle, 3);
  EXPECT_EQ(one.servers, 3);
  EXPECT_EQ(one.closing, 0);
}

}  // namespace
}  // namespace leasehold::gateway
