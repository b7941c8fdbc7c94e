#include "services/cli/show.h"

#include <gmock/gmock.h>

#include "common/config/config.h"
#include "services/cli/progress.h"
#include "services/cli/relative_time.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

TEST(Table, AlignsByCharactersNotBytes) {
  Table table({"ID", "NAME", "X"});
  table.AddRow({"acme", "Äpfel", "1"});
  table.AddRow({"a", "", "2"});
  EXPECT_EQ(table.Render(Terminal{}),
            "ID    NAME   X\n"
            "acme  Äpfel  1\n"
            "a     -      2\n");
}

TEST(Table, ColoursDoNotCount) {
  Terminal colours;
  colours.out_colours = true;
  Table table;
  table.AddRow({{"ok", Colour::kGreen}, "x"});
  table.AddRow({"long", "y"});
  EXPECT_EQ(table.Render(colours), "\033[32mok\033[0m    x\nlong  y\n");
}

TEST(ShortDuration, TwoUnits) {
  EXPECT_EQ(ShortDuration(absl::ZeroDuration()), "0s");
  EXPECT_EQ(ShortDuration(absl::Milliseconds(850)), "850ms");
  EXPECT_EQ(ShortDuration(absl::Seconds(59)), "59s");
  EXPECT_EQ(ShortDuration(absl::Seconds(125)), "2m 5s");
  EXPECT_EQ(ShortDuration(absl::Minutes(200)), "3h 20m");
  EXPECT_EQ(ShortDuration(absl::Hours(168)), "7d");
}

TEST(ShortDuration, CanBeTypedAgain) {
  using absl::Hours, absl::Milliseconds, absl::Minutes, absl::Seconds;
  const auto again = [](absl::Duration d) { return ParseDurationField("d", ShortDuration(d)); };
  for (const absl::Duration d : {absl::ZeroDuration(), Milliseconds(850), Seconds(59), Seconds(60), Seconds(125),
                                 Minutes(60), Minutes(200), Hours(24), Hours(97), Hours(168), Hours(24 * 3650 + 5)}) {
    ASSERT_TRUE(again(d).ok()) << again(d).status();
    EXPECT_EQ(*again(d), d) << ShortDuration(d);
  }
  // What does not fit into two units is cut off once, not twice.
  for (const absl::Duration d : {Milliseconds(1999), Seconds(3661), Hours(25) + Minutes(59) + Seconds(59)}) {
    ASSERT_TRUE(again(d).ok()) << again(d).status();
    EXPECT_LT(*again(d), d);
    EXPECT_EQ(ShortDuration(*again(d)), ShortDuration(d));
  }
}

TEST(Relative, PastAndFuture) {
  EXPECT_EQ(Relative({}, kNow), "");
  EXPECT_EQ(Relative(FromTime(kNow), kNow), "now");
  EXPECT_EQ(Relative(FromTime(kNow - absl::Seconds(182)), kNow), "3m 2s ago");
  EXPECT_EQ(Relative(FromTime(kNow + absl::Minutes(15)), kNow), "in 15m");
  EXPECT_EQ(Relative(FromTime(kNow + absl::Hours(168) - absl::Milliseconds(3)), kNow), "in 7d");
}

TEST(Word, IsTheNameWithoutItsEnum) {
  EXPECT_EQ(Word(v1::TENANT_STATE_ACTIVE), "active");
  EXPECT_EQ(Word(v1::OPERATION_KIND_CREATE), "create");
  EXPECT_EQ(TenantStateOf("Suspended"), v1::TENANT_STATE_SUSPENDED);
  EXPECT_EQ(TenantStateOf("bored"), v1::TENANT_STATE_UNSPECIFIED);
  EXPECT_THAT(TenantStateWords(), ::testing::Contains("degraded"));
  EXPECT_THAT(TenantStateWords(), ::testing::Not(::testing::Contains("unspecified")));
}

TEST(ShowTenant, SaysWhyAServiceIsNotReady) {
  v1::Tenant tenant;
  tenant.set_id("acme");
  tenant.set_state(v1::TENANT_STATE_DEGRADED);
  (*tenant.mutable_settings())["plan"] = "gold";
  v1::ServiceStatus* core = tenant.add_services();
  core->set_service("core");
  core->set_state(v1::SERVICE_STATE_FAILED);
  core->set_message("the migration 0002 failed");
  core->set_attempts(2);
  *core->mutable_next_attempt_time() = FromTime(kNow + absl::Seconds(4));
  const Terminal plain;
  const std::string text = ShowTenant(tenant, {plain, kNow});
  EXPECT_THAT(text, HasSubstr("plan=gold"));
  EXPECT_THAT(text, HasSubstr("the migration 0002 failed; attempt 3 in 4s"));
}

TEST(ShowLeases, NamesTheConnection) {
  v1::ListLeasesResponse list;
  v1::Lease* lease = list.add_leases();
  lease->set_id("01h");
  lease->set_service("core");
  lease->set_connection("central");
  const Terminal plain;
  EXPECT_THAT(ShowLeases(list.leases(), {plain, kNow}), HasSubstr("(central)"));
}

TEST(ShowPools, TenantsStandBelow) {
  v1::ListPoolsResponse list;
  v1::Pool* core = list.add_pools();
  core->set_service("core");
  core->set_clients(12);
  core->set_max_connections(20);
  core->set_servers(4);
  core->set_working(2);
  core->set_working_bound(2);
  core->set_idle(1);
  core->set_dialling(1);
  core->set_closing(1);
  core->set_waiting(2);
  core->set_hits(970);
  core->set_waits(30);
  core->set_hit_rate(0.97);
  core->set_evictions(3);
  core->set_dials(9);
  core->set_bytes_in(999);
  core->set_bytes_out(1'250'000);
  v1::DurationHistogram& queries = *core->mutable_queries();
  queries.set_count(100);
  const auto add = [&queries](absl::Duration from, absl::Duration to, int count) {
    auto& bucket = *queries.add_buckets();
    *bucket.mutable_from() = FromDuration(from);
    if (to != absl::InfiniteDuration()) *bucket.mutable_to() = FromDuration(to);
    bucket.set_count(count);
  };
  add(absl::ZeroDuration(), absl::Microseconds(100), 30);
  add(absl::Milliseconds(1), absl::Milliseconds(3), 40);
  add(absl::Milliseconds(50), absl::Milliseconds(100), 30);
  v1::PoolTenant* central = core->add_tenants();
  central->set_clients(1);
  central->set_max_connections(5);
  v1::PoolTenant* acme = core->add_tenants();
  acme->set_tenant("acme");
  acme->set_clients(11);
  acme->set_max_connections(5);
  acme->set_servers(3);
  acme->set_working(2);
  acme->set_idle(1);
  acme->set_dialling(1);
  acme->set_waiting(2);
  central->mutable_queries()->set_count(1);
  central->mutable_queries()->add_buckets()->set_count(1);
  *central->mutable_queries()->mutable_buckets(0)->mutable_from() = FromDuration(absl::Minutes(1));
  EXPECT_EQ(ShowPools(list.pools(), Terminal{}),
            "SERVICE  CLIENTS  WAITING  SERVERS  WORKING  IDLE  DIALLING  CLOSING  DIALS  EVICTIONS  WAITS  HIT RATE  "
            "QUERIES  P50    P99   IN     OUT\n"
            "core     12       2        4/20     2/2      1     1         1        9      3          30     97.0%     "
            "100      2.0ms  98ms  999 B  1.2 MiB\n"
            "\n"
            "SERVICE  TENANT     CLIENTS  WAITING  SERVERS  WORKING  IDLE  DIALLING  EVICTIONS  WAITS  HIT RATE  "
            "QUERIES  P50   P99   IN   OUT\n"
            "core     (central)  1        0        0/5      0        0     0         0          0      -         "
            "1        >60s  >60s  0 B  0 B\n"
            "core     acme       11       2        3/5      2        1     1         0          0      -         "
            "0        -     -     0 B  0 B\n");
}

TEST(ShowPools, NoRateBeforeTheFirstTransaction) {
  v1::ListPoolsResponse list;
  EXPECT_EQ(ShowPools(list.pools(), Terminal{}), "no pools\n");
  list.add_pools()->set_service("core");
  list.mutable_pools(0)->set_max_connections(20);
  const std::string text = ShowPools(list.pools(), Terminal{});
  EXPECT_THAT(text, HasSubstr("  -  "));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("%")));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("TENANT")));
}

TEST(ShowDiagnosis, SaysWhetherItNeedsSomebody) {
  v1::DiagnoseResponse diagnosis;
  diagnosis.add_services()->set_service("core");
  const View view{.terminal = Terminal{}, .now = kNow};
  EXPECT_FALSE(NeedsSomebody(diagnosis));
  EXPECT_EQ(ShowDiagnosis(diagnosis, view),
            "SERVICE  LAST PASS  FAILED  PENDING  MESSAGE\n"
            "core     never      0       0        -\n"
            "\n"
            "nothing amiss on the instances\n");
  v1::Finding& finding = *diagnosis.add_findings();
  finding.set_service("core");
  finding.set_tenant("acme");
  finding.set_kind(v1::FINDING_KIND_GRANT_WIDENED);
  finding.set_object("tenant_acme_core");
  finding.set_message("granted to PUBLIC");
  finding.set_remedy(v1::FINDING_REMEDY_REPAIRED);
  *finding.mutable_first_seen_time() = FromTime(kNow - absl::Minutes(2));
  EXPECT_FALSE(NeedsSomebody(diagnosis)) << "nobody has to do anything";
  EXPECT_THAT(ShowDiagnosis(diagnosis, view),
              HasSubstr("core     acme    grant widened  tenant_acme_core  repaired  2m ago  granted to PUBLIC\n"));
  finding.set_remedy(v1::FINDING_REMEDY_REPORTED);
  EXPECT_TRUE(NeedsSomebody(diagnosis));
  diagnosis.clear_findings();
  diagnosis.mutable_services(0)->set_message("no provisioner of it has ever looked at its instance");
  EXPECT_TRUE(NeedsSomebody(diagnosis));
  EXPECT_THAT(ShowDiagnosis(diagnosis, view), ::testing::Not(HasSubstr("nothing amiss")));
}

TEST(Bar, Fills) {
  EXPECT_EQ(Bar(0, 3, 6), "[------]");
  EXPECT_EQ(Bar(2, 3, 6), "[####--]");
  EXPECT_EQ(Bar(3, 3, 6), "[######]");
  EXPECT_EQ(Bar(5, 0, 4), "[----]");
}

TEST(ProgressLine, FitsTheTerminal) {
  v1::Operation operation;
  operation.set_kind(v1::OPERATION_KIND_CREATE);
  operation.set_tenant("acme");
  operation.set_done(1);
  operation.set_total(3);
  operation.set_message("waiting for core and employee, which have a long story to tell: äöü äöü äöü");
  EXPECT_THAT(ProgressLine(operation, absl::Milliseconds(1250), 200),
              HasSubstr("create acme  [######--------------] 1/3  1.2s  waiting for core"));
  EXPECT_EQ(DisplayWidth(ProgressLine(operation, absl::Seconds(1), 60)), 59U);
}

TEST(ProgressLine, BytesAreThoseOfAllServices) {
  v1::Operation operation;
  operation.set_kind(v1::OPERATION_KIND_CLONE);
  operation.set_tenant("acme");
  operation.set_total(2);
  operation.set_state(v1::OPERATION_STATE_RUNNING);
  const auto add = [&operation](const char* name, int64_t bytes, int64_t total) {
    v1::ServiceProgress& service = *operation.add_services();
    service.set_service(name);
    service.set_bytes(bytes);
    service.set_total_bytes(total);
    return &service;
  };
  v1::ServiceProgress* core = add("core", 0, 0);
  EXPECT_EQ(WrittenOf(operation), "");
  EXPECT_EQ(PlainLine(operation), "clone acme: 0/2 services, running");
  v1::ServiceProgress* identity = add("identity", 12 << 20, 40 << 20);
  EXPECT_EQ(WrittenOf(operation), "12 MiB") << "core has not begun";
  EXPECT_EQ(PercentOf(operation), -1);
  core->set_total_bytes(20 << 20);
  EXPECT_THAT(ProgressLine(operation, absl::Seconds(1), 200), HasSubstr("0/2  1.0s  12 MiB of 60 MiB"));
  EXPECT_EQ(PlainLine(operation), "clone acme: 0/2 services, 20% written, running");
  identity->set_bytes(13 << 20);
  EXPECT_EQ(PlainLine(operation), "clone acme: 0/2 services, 20% written, running") << "no line for each percent";
  core->set_bytes(90 << 20);
  EXPECT_EQ(PercentOf(operation), 100) << "the total is an estimate";
  core->set_bytes(0);
  core->set_total_bytes(0);
  core->set_done(true);
  EXPECT_EQ(WrittenOf(operation), "13 MiB of 40 MiB") << "core had nothing to copy";
  EXPECT_THAT(ShowOperation(operation, {Terminal{}, absl::Now()}), HasSubstr("identity  no    13 MiB of 40 MiB"));
  google::protobuf::RepeatedPtrField<v1::Operation> list;
  *list.Add() = operation;
  EXPECT_THAT(ShowOperations(list, {Terminal{}, absl::Now()}), HasSubstr("13 MiB of 40 MiB"));
}

}  // namespace
}  // namespace leasehold::cli
