#include "services/gateway/pool/restraint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace leasehold::gateway {
namespace {

constexpr int kCap = 48;

// A tenant with clients that always have a next statement, or none.
struct Tenant {
  Restraint::Party party = {};
  int clients = 0;
  int most = 0;  // it had at work since this was set to 0
  int answers = 0;
  struct Statement {
    absl::Duration began;
    double left = 0;  // ms of a core, or of sleep
  };
  std::vector<Statement> statements = {};
};

// What an instance does all day: compute, on so many cores, or sleep, of which it can do any number at a time.
struct Load {
  int cores = 2;  // 0: its statements sleep
  double statement_ms = 0.4;
  double gain = 1;       // times as many answers in all, with each doubling of those at work beyond the cores
  bool hiccups = false;  // for some milliseconds now and then, somebody else has the cores
};

// A pool on a PostgreSQL, both reduced to what the restraint sees of them.
class Instance {
 public:
  explicit Instance(Restraint& restraint) : restraint_(restraint) {}

  void Run(const Load& load, const std::vector<Tenant*>& tenants, absl::Duration duration) {
    const absl::Duration step = absl::Milliseconds(std::min(load.statement_ms, 10.0)) / 20;
    for (const absl::Duration end = now_ + duration; now_ < end; now_ += step) {
      for (bool begun = true; begun;) {  // in turns
        begun = false;
        for (Tenant* tenant : tenants) begun |= Begin(load, *tenant);
      }
      const double part = Hiccup(load) ? 0 : PartOfACore(load, restraint_.working());
      for (Tenant* tenant : tenants) {
        for (Tenant::Statement& statement : tenant->statements) {
          statement.left -= part * absl::ToDoubleMilliseconds(step);
        }
        for (const Tenant::Statement& statement : std::vector(tenant->statements)) {
          if (statement.left > 0) continue;
          ++tenant->answers;
          restraint_.Ended(tenant->party, statement.began, now_);
          Begin(load, *tenant);  // whose server is free
        }
        std::erase_if(tenant->statements, [](const Tenant::Statement& statement) { return statement.left <= 0; });
      }
      restraint_.Look(now_);
    }
  }

 private:
  static double PartOfACore(const Load& load, int working) {
    if (working <= load.cores || load.cores == 0) return 1;
    const double times = static_cast<double>(working) / load.cores;
    return std::pow(load.gain, std::log2(times)) / times;
  }

  // Of 4 ms, 5 to 30 ms apart.
  bool Hiccup(const Load& load) {
    if (!load.hiccups) return false;
    if (now_ >= hiccup_ + absl::Milliseconds(4)) {
      hiccup_ = now_ + absl::Milliseconds(std::uniform_int_distribution(5, 30)(random_));
    }
    return now_ >= hiccup_;
  }

  bool Begin(const Load& load, Tenant& tenant) {
    if (tenant.party.working >= tenant.clients) return false;
    // At the cap the pool makes room for who has none.
    if (restraint_.working() >= kCap && tenant.party.working > 0) return false;
    if (restraint_.Holds(tenant.party)) {
      restraint_.NoteHeld();
      return false;
    }
    restraint_.Began(tenant.party, now_);
    tenant.statements.push_back({.began = now_, .left = load.statement_ms});
    tenant.most = std::max(tenant.most, tenant.party.working);
    return true;
  }

  Restraint& restraint_;
  absl::Duration now_ = absl::Seconds(1'000);
  absl::Duration hiccup_ = absl::ZeroDuration();
  std::mt19937 random_{1};
};

constexpr Load kComputes = {.cores = 2};
constexpr Load kComputesOnMany = {.cores = 16};
constexpr Load kSleeps = {.cores = 0, .statement_ms = 10};

class RestraintTest : public testing::Test {
 protected:
  // Until a bound has been found.
  void Settle(const Load& load) { instance_.Run(load, {&flood_, &neighbour_}, absl::Seconds(1)); }
  // The flood's, in a second.
  int Answers(const Load& load, const std::vector<Tenant*>& tenants) {
    flood_.most = flood_.answers = 0;
    instance_.Run(load, tenants, absl::Seconds(1));
    return flood_.answers;
  }

  Restraint restraint_{kCap, true};
  Instance instance_{restraint_};
  Tenant flood_{.clients = 200};
  Tenant neighbour_{.clients = 1};
};

TEST_F(RestraintTest, AloneAFloodHasTheWholeCap) {
  Answers(kComputes, {&flood_});
  EXPECT_EQ(flood_.most, kCap);
  EXPECT_EQ(restraint_.bound(), std::nullopt);
}

TEST_F(RestraintTest, NobodyIsHeldBackWithoutACrowd) {
  Tenant other{.clients = 3};
  instance_.Run(kComputes, {&neighbour_, &other}, absl::Seconds(1));
  EXPECT_EQ(other.most, 3);
  EXPECT_EQ(restraint_.bound(), kCap);
}

TEST_F(RestraintTest, AComputingFloodComesToAboutAsManyAsThereAreCores) {
  const int alone = Answers(kComputes, {&flood_});
  instance_.Run(kComputes, {&flood_, &neighbour_}, absl::Milliseconds(300));
  ASSERT_TRUE(restraint_.bound());
  EXPECT_LE(*restraint_.bound(), 4);
  const int beside = Answers(kComputes, {&flood_, &neighbour_});
  EXPECT_LE(flood_.most, 8) << "in a trial, at that";
  // The neighbour, which never pauses either, takes a third.
  EXPECT_GE(beside, 0.6 * alone);
}

TEST_F(RestraintTest, WhoComesByAFloodMeetsAFewFromTheStart) {
  Answers(kComputes, {&flood_});
  // As long as what has begun takes.
  instance_.Run(kComputes, {&flood_, &neighbour_}, absl::Milliseconds(30));
  flood_.most = 0;
  instance_.Run(kComputes, {&flood_, &neighbour_}, absl::Milliseconds(200));
  EXPECT_LE(flood_.most, 4);
}

TEST_F(RestraintTest, HiccupsOfTheMachineAreNotTakenForWorthOfMoreServers) {
  constexpr Load kHiccups = {.cores = 2, .hiccups = true};
  Answers(kHiccups, {&flood_});
  Settle(kHiccups);
  for (int i = 0; i < 20; ++i) {
    Answers(kHiccups, {&flood_, &neighbour_});
    EXPECT_LE(flood_.most, 8) << "in second " << i;
  }
}

TEST_F(RestraintTest, ManyCoresAreNotLeftIdle) {
  Settle(kComputesOnMany);
  ASSERT_TRUE(restraint_.bound());
  EXPECT_GE(*restraint_.bound(), 12);
  EXPECT_LE(*restraint_.bound(), 32);
}

TEST_F(RestraintTest, ASleepingFloodLosesNothing) {
  const int alone = Answers(kSleeps, {&flood_});
  Settle(kSleeps);
  int beside = 0;
  for (int i = 0; i < 5; ++i) beside += Answers(kSleeps, {&flood_, &neighbour_});
  EXPECT_GE(beside, 0.95 * 5 * alone) << "of which a fiftieth is the neighbour's share";
}

TEST_F(RestraintTest, SmallLossesDoNotAddUp) {
  constexpr Load kWaitsALittle = {.cores = 2, .gain = 1.12};
  const int alone = Answers(kWaitsALittle, {&flood_});
  Settle(kWaitsALittle);
  int all = 0;
  neighbour_.answers = 0;
  for (int i = 0; i < 10; ++i) all += Answers(kWaitsALittle, {&flood_, &neighbour_});
  EXPECT_LT(*restraint_.bound(), kCap) << "one halving is worth its loss";
  EXPECT_GE(all + neighbour_.answers, 0.8 * 10 * alone);
}

TEST_F(RestraintTest, AFloodThatGoesToSleepGetsItsServersBack) {
  Settle(kComputes);
  ASSERT_LE(*restraint_.bound(), 4);
  instance_.Run(kSleeps, {&flood_, &neighbour_}, absl::Seconds(2));
  EXPECT_GE(*restraint_.bound(), kCap / 2);
}

TEST_F(RestraintTest, SlowStatementsAreNotHeldBackOnAGuess) {
  Settle(kComputes);
  ASSERT_LE(*restraint_.bound(), 4);
  constexpr Load kSlow = {.cores = 0, .statement_ms = 30'000};
  instance_.Run(kSlow, {&flood_, &neighbour_}, 8 * Restraint::kPatience);
  EXPECT_GE(flood_.party.working, kCap - 1);
}

TEST_F(RestraintTest, WhenTheNeighbourLeavesTheFloodHasAllAgain) {
  Settle(kComputes);
  neighbour_.clients = 0;
  instance_.Run(kComputes, {&flood_, &neighbour_}, Restraint::kPresence / 2);
  EXPECT_LE(flood_.party.working, 8) << "it may be back at once";
  instance_.Run(kComputes, {&flood_, &neighbour_}, Restraint::kPresence);
  EXPECT_EQ(flood_.party.working, kCap);
  EXPECT_EQ(restraint_.bound(), std::nullopt);
  // What was found is known when it comes back.
  neighbour_.clients = 1;
  instance_.Run(kComputes, {&flood_, &neighbour_}, absl::Milliseconds(50));
  EXPECT_LE(flood_.party.working, 8);
}

TEST_F(RestraintTest, WhoHasNoneAtWorkNeverWaits) {
  Settle(kComputes);
  const Restraint::Party third;
  ASSERT_TRUE(restraint_.full());
  EXPECT_TRUE(restraint_.Holds(flood_.party));
  EXPECT_FALSE(restraint_.Holds(third));
}

TEST_F(RestraintTest, TwoFloodsShareByWeight) {
  Tenant heavy{.party = {.weight = 3}, .clients = 200};
  instance_.Run(kComputesOnMany, {&flood_, &heavy}, absl::Seconds(1));
  flood_.answers = heavy.answers = 0;
  instance_.Run(kComputesOnMany, {&flood_, &heavy}, absl::Seconds(1));
  const double ratio = static_cast<double>(heavy.answers) / flood_.answers;
  EXPECT_GT(ratio, 2);
  EXPECT_LT(ratio, 4);
}

TEST_F(RestraintTest, SwitchedOffItOnlyCounts) {
  Restraint off(kCap, false);
  Instance instance(off);
  instance.Run(kComputes, {&flood_, &neighbour_}, absl::Seconds(1));
  EXPECT_EQ(off.bound(), std::nullopt);
  EXPECT_GE(off.working(), kCap);
}

}  // namespace
}  // namespace leasehold::gateway
