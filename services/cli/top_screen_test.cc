#include "services/cli/top_screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/config/config.h"
#include "services/cli/terminal.h"
#include "services/cli/top_figures.h"

namespace leasehold::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Not;
using ::testing::ResultOf;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

void AddTenant(v1::Pool& pool, const std::string& id, int clients, int waiting, int64_t queries,
               int64_t evictions = 0) {
  v1::PoolTenant& tenant = *pool.add_tenants();
  tenant.set_tenant(id);
  tenant.set_clients(clients);
  tenant.set_waiting(waiting);
  tenant.set_servers(2);
  tenant.set_max_connections(10);
  tenant.set_evictions(evictions);
  tenant.mutable_queries()->set_count(queries);
  v1::DurationHistogram::Bucket& bucket = *tenant.mutable_queries()->add_buckets();
  *bucket.mutable_from() = FromDuration(absl::Milliseconds(2));
  *bucket.mutable_to() = FromDuration(absl::Milliseconds(4));
  bucket.set_count(queries);
}

// One service `core` with tenants acme and globex at it, and initech, which it has failed to make.
TopSample Sample(absl::Time time, int64_t queries) {
  TopSample sample{.time = time, .status = {}, .pools = {}};
  v1::GatewayStatus& gateway = *sample.status.mutable_gateway();
  gateway.set_name("here/0011aabb");
  gateway.set_ready(true);
  *gateway.mutable_start_time() = FromTime(time - absl::Hours(3));
  v1::TenantCount& count = *sample.status.add_tenants();
  count.set_state(v1::TENANT_STATE_ACTIVE);
  count.set_count(2);
  v1::ServiceOverview& service = *sample.status.add_services();
  service.set_service("core");
  service.mutable_provisioner();
  v1::ServiceTenants& failed = *service.add_tenants();
  failed.set_state(v1::SERVICE_STATE_FAILED);
  failed.set_count(1);
  v1::UnreadyTenant& unready = *sample.status.add_unready();
  unready.set_tenant("initech");
  unready.set_service("core");
  unready.set_state(v1::SERVICE_STATE_FAILED);
  unready.set_message("no space left");
  *unready.mutable_since_time() = FromTime(time - absl::Minutes(2));
  v1::Pool& pool = *sample.pools.add_pools();
  pool.set_service("core");
  pool.set_clients(8);
  pool.set_servers(4);
  pool.set_max_connections(50);
  AddTenant(pool, "acme", 3, 0, queries);
  AddTenant(pool, "globex", 5, 2, 7, queries / 100);
  return sample;
}

std::vector<std::string> Names(const std::vector<TopRow>& rows) {
  std::vector<std::string> names;
  for (const TopRow& row : rows) names.push_back(row.tenant);
  return names;
}

const TopRow& RowOf(const TopFigures& figures, std::string_view tenant) {
  for (const TopRow& row : figures.rows) {
    if (row.tenant == tenant) return row;
  }
  static const TopRow kNone;
  ADD_FAILURE() << tenant;
  return kNone;
}

TEST(FiguresOf, RatesAreBetweenTwoLooks) {
  const TopSample before = Sample(kNow, 1'000);
  const TopFigures figures = FiguresOf(&before, Sample(kNow + absl::Seconds(2), 1'600));
  EXPECT_EQ(RowOf(figures, "acme").load.queries, 300);
  EXPECT_EQ(RowOf(figures, "globex").load.queries, 0);
  EXPECT_EQ(RowOf(figures, "globex").load.evictions, 3);
  ASSERT_TRUE(RowOf(figures, "acme").load.p99.has_value());
  EXPECT_NEAR(absl::ToDoubleMilliseconds(RowOf(figures, "acme").load.p99->at), 3.98, 0.001);
  EXPECT_FALSE(RowOf(figures, "globex").load.p99.has_value()) << "none of its queries ended between them";
}

TEST(FiguresOf, OneLookOrAGatewayThatBeganAnewHasNoRates) {
  EXPECT_FALSE(RowOf(FiguresOf(nullptr, Sample(kNow, 1'000)), "acme").load.queries.has_value());
  const TopSample before = Sample(kNow, 1'000);
  EXPECT_FALSE(RowOf(FiguresOf(&before, Sample(kNow + absl::Seconds(2), 10)), "acme").load.queries.has_value());
}

TEST(FiguresOf, TenantsThatAreNotReadyHaveRowsToo) {
  const TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  EXPECT_EQ(RowOf(figures, "initech").state, v1::SERVICE_STATE_FAILED);
  EXPECT_EQ(RowOf(figures, "acme").state, v1::SERVICE_STATE_READY);
  EXPECT_THAT(figures.errors, ElementsAre("initech in core, 2m ago: no space left"));
  ASSERT_THAT(figures.services, SizeIs(1));
  EXPECT_EQ(figures.services[0].failed, 1);
}

TEST(Arranged, ByWhatIsAskedFor) {
  const TopSample before = Sample(kNow, 1'000);
  const std::vector<TopRow> rows = FiguresOf(&before, Sample(kNow + absl::Seconds(2), 1'600)).rows;
  EXPECT_THAT(Names(Arranged(rows, TopSort::kWaiting, "")), ElementsAre("globex", "acme", "initech"));
  EXPECT_THAT(Names(Arranged(rows, TopSort::kQueries, "")), ElementsAre("acme", "globex", "initech"));
  EXPECT_THAT(Names(Arranged(rows, TopSort::kSlowest, "")), ElementsAre("acme", "globex", "initech"));
  EXPECT_THAT(Names(Arranged(rows, TopSort::kTenant, "")), ElementsAre("acme", "globex", "initech"));
  EXPECT_THAT(Names(Arranged(rows, TopSort::kTenant, "e")), ElementsAre("acme", "globex", "initech"));
  EXPECT_THAT(Names(Arranged(rows, TopSort::kTenant, "glo")), ElementsAre("globex"));
  EXPECT_THAT(Names(Arranged(rows, TopSort::kTenant, "core")), SizeIs(3)) << "the service's name";
  EXPECT_THAT(Arranged(rows, TopSort::kTenant, "nobody"), IsEmpty());
}

TEST(TopSortWords, AreThereAndBack) {
  for (int i = 0; i < kTopSorts; ++i) {
    const auto sort = static_cast<TopSort>(i);
    EXPECT_EQ(TopSortOf(WordOf(sort)), sort);
  }
  EXPECT_EQ(TopSortOf("age"), std::nullopt);
}

TEST(Between, IsWhatCameSince) {
  const v1::DurationHistogram before = Sample(kNow, 10).pools.pools(0).tenants(0).queries();
  const v1::DurationHistogram now = Sample(kNow, 25).pools.pools(0).tenants(0).queries();
  EXPECT_EQ(Between(before, now).count(), 15);
  EXPECT_EQ(Between(now, before).count(), 10) << "counted anew";
  EXPECT_EQ(Between(now, now).count(), 0);
}

std::vector<std::string> LinesOf(const TopView& view) {
  std::vector<std::string> lines = absl::StrSplit(TopFrame(view, false), '\n');
  lines.pop_back();
  return lines;
}

TEST(TopScreen, FitsWhateverTheTerminalIs) {
  const TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  for (const auto& [width, height] : {std::pair(80, 24), std::pair(120, 40), std::pair(200, 12), std::pair(80, 5)}) {
    const std::vector<std::string> lines = LinesOf({.figures = figures, .width = width, .height = height});
    EXPECT_THAT(lines, SizeIs(Le(static_cast<size_t>(height))));
    EXPECT_THAT(lines, Each(ResultOf(DisplayWidth, Le(static_cast<size_t>(width)))));
  }
}

TEST(TopScreen, AWideTerminalPartsNoTenantFromItsFigures) {
  TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  ASSERT_FALSE(figures.rows.empty());
  figures.rows[0].tenant = std::string(36, 'a');  // the longest
  figures.rows[0].service = "sixteen-letters1";   // the longest
  const std::vector<std::string> lines = LinesOf({.figures = figures, .width = 200, .height = 24});
  EXPECT_THAT(lines, Each(ResultOf(DisplayWidth, Le(static_cast<size_t>(120)))));
  EXPECT_THAT(lines, Contains(HasSubstr(figures.rows[0].tenant + " " + figures.rows[0].service + " ")));
}

TEST(TopScreen, TenantsThatDifferAtTheirEndsAreToldApart) {
  TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  ASSERT_FALSE(figures.rows.empty());
  figures.rows[0].tenant = "customer-of-europe-000123";
  const std::vector<std::string> lines = LinesOf({.figures = figures, .width = 80, .height = 24});
  EXPECT_THAT(lines, Contains(HasSubstr("custome…-000123 ")));
  EXPECT_THAT(lines, Each(ResultOf(DisplayWidth, Le(static_cast<size_t>(80)))));
}

TEST(TopScreen, AtEightyByTwentyFourEverythingIsThere) {
  const TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  const std::string frame = TopFrame({.figures = figures}, false);
  EXPECT_THAT(frame, AllOf(HasSubstr("here/0011aabb  ready  up 3h"), HasSubstr("tenants: 2 active"), HasSubstr("4/50"),
                           HasSubstr("initech in core, 2m ago: no space left"), HasSubstr("EV/S\n"),
                           HasSubstr("failed"), HasSubstr("q quit  s sort: waiting"), HasSubstr("1-3 of 3")));
  EXPECT_THAT(frame, Not(HasSubstr("\033")));
}

TEST(TopScreen, ManyRowsScroll) {
  TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  for (int i = 0; i < 100; ++i) figures.rows.push_back({.tenant = absl::StrCat("t", 100 + i), .service = "core"});
  TopView view{.figures = figures, .sort = TopSort::kTenant};
  const size_t fit = TopRowsThatFit(view);
  EXPECT_THAT(TopFrame(view, false), HasSubstr(absl::StrCat("1-", fit, " of 103")));
  view.first = 103 - fit;
  EXPECT_THAT(TopFrame(view, false), AllOf(HasSubstr("t199"), HasSubstr("-103 of 103")));
}

TEST(TopScreen, TheFilterWhileItIsTypedAndWhatWentWrong) {
  const TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  const std::string frame =
      TopFrame({.figures = figures, .filter = "ac", .editing = true, .trouble = "the gateway does not answer"}, false);
  EXPECT_THAT(frame,
              AllOf(HasSubstr("filter: ac"), HasSubstr("the gateway does not answer"), Not(HasSubstr("globex"))));
}

TEST(TopScreen, LongNamesAndManyErrorsAreCut) {
  TopFigures figures = FiguresOf(nullptr, Sample(kNow, 1));
  for (int i = 0; i < 5; ++i) figures.errors.push_back(std::string(200, 'x'));
  figures.rows.push_back({.tenant = "0a1b2c3d-0a1b-4c2d-8e3f-0a1b2c3d4e5f", .service = "core"});
  const std::vector<std::string> lines = LinesOf({.figures = figures});
  EXPECT_THAT(lines, Each(ResultOf(DisplayWidth, Le(80u))));
  EXPECT_THAT(TopFrame({.figures = figures}, false),
              AllOf(HasSubstr("(and 3 more: leasehold status)"), HasSubstr("0a1b2c3…c3d4e5f")));
}

}  // namespace
}  // namespace leasehold::cli
