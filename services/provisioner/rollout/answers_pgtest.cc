// What a provisioner answers fits into one message of NATS, however large the fleet and its files are.
#include "services/provisioner/rollout/findings.h"
#include "services/provisioner/rollout/rollout_fixture.h"
#include "services/provisioner/steps/answer.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AnswersTest : public RolloutFixture {
 protected:
  v1::MigrationAnswer Ask(const v1::MigrationCall& call) {
    const std::string bytes = calls_->Answer(call.SerializeAsString());
    EXPECT_LT(bytes.size(), kMaxAnswerBytes);
    v1::MigrationAnswer answer;
    EXPECT_TRUE(answer.ParseFromString(bytes));
    EXPECT_EQ(answer.error(), "");
    return answer;
  }
};

TEST_F(AnswersTest, APlanShowsTheBeginningOfWhatIsLong) {
  AddTenants(1);
  std::string many;
  for (int i = 0; i < 40'000; ++i) many += std::format("INSERT INTO person VALUES ({}, 'somebody');\n", i);
  const std::string one = std::format("COMMENT ON TABLE person IS '{}ä'", std::string(2 << 20, 'x'));
  Restart({{"0001_a.sql", kFirst}, {"0002_b.sql", many}, {"0003_c.sql", one}, {"0004_d.sql", kSecond}});
  v1::MigrationCall call;
  call.mutable_plan();
  const v1::MigrationPlan plan = Ask(call).plan();
  ASSERT_THAT(plan.files(), SizeIs(3));
  EXPECT_EQ(plan.files(0).statement_count(), 40'000);
  EXPECT_EQ(plan.files(0).statements(0), "INSERT INTO person VALUES (0, 'somebody')");
  EXPECT_GT(plan.files(0).statements_size(), 1'000);
  EXPECT_LT(plan.files(0).statements_size(), 40'000);
  EXPECT_EQ(plan.files(1).statement_count(), 1);
  EXPECT_EQ(plan.files(2).name(), "0004_d.sql");
  EXPECT_EQ(plan.files(2).statement_count(), 1);

  Restart({{"0001_a.sql", kFirst}, {"0003_c.sql", one}});
  const std::string cut = Ask(call).plan().files(0).statements(0);
  EXPECT_TRUE(cut.starts_with("COMMENT ON TABLE person IS 'xxx")) << cut.substr(0, 40);
  EXPECT_TRUE(cut.ends_with("x…"));
}

TEST_F(AnswersTest, APlanHasPagesOfDatabases) {
  AddTenants(3);
  v1::MigrationCall call;
  call.mutable_plan()->set_page_size(2);
  v1::MigrationPlan plan = Ask(call).plan();
  EXPECT_THAT(plan.files(), SizeIs(1));
  ASSERT_THAT(plan.databases(), SizeIs(2));
  EXPECT_EQ(plan.databases(0).tenant(), "t01");
  call.mutable_plan()->set_page_token(plan.next_page_token());
  plan = Ask(call).plan();
  EXPECT_THAT(plan.files(), SizeIs(0)) << "they are on the first one";
  ASSERT_THAT(plan.databases(), SizeIs(1));
  EXPECT_EQ(plan.databases(0).tenant(), "t03");
  EXPECT_EQ(plan.next_page_token(), "");
}

// As of a verify that finds the same fifty objects amiss in each of a thousand databases.
TEST_F(AnswersTest, DatabasesInWhichMuchWasFoundComeOnSeveralPages) {
  constexpr int kDatabases = 1'000;
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_VERIFY)).id();
  v1::MigrationTask report;
  for (int i = 0; i < 50; ++i) {
    *report.add_findings() = MakeFinding(v1::MIGRATION_SEVERITY_ERROR, "drift-missing", "", std::string(40, 'o'),
                                         std::string(40, 'm'), std::string(60, 'r'));
  }
  std::string hex;
  for (const char c : report.SerializeAsString()) hex += std::format("{:02x}", static_cast<unsigned char>(c));
  ASSERT_EQ(Central(std::format("INSERT INTO leasehold.run_tasks (run, database_id, database, tenant, wave, state, "
                                "from_version, report, findings, update_time) SELECT {}, 'id' || n, "
                                "'tenant_x' || n || '_identity', 'x' || n, 1, 'done', 1, decode('{}', 'hex'), 50, "
                                "now() + n * interval '1 ms' FROM generate_series(1, {}) n",
                                *rollout_->store().NumberOf(id), hex, kDatabases)),
            "");
  v1::MigrationCall call;
  call.mutable_tasks()->set_id(id);
  call.mutable_tasks()->set_page_size(500);
  int pages = 0;
  int tasks = 0;
  do {
    const v1::MigrationAnswer answer = Ask(call);
    tasks += answer.tasks().tasks_size();
    ++pages;
    call.mutable_tasks()->set_page_token(answer.tasks().next_page_token());
  } while (!call.tasks().page_token().empty());
  EXPECT_EQ(tasks, kDatabases);
  EXPECT_GT(pages, 2);

  // By their ends, as a run is followed.
  tasks = 0;
  bool more = true;
  call.mutable_tasks()->mutable_ended_after();
  while (more) {
    const v1::MigrationAnswer answer = Ask(call);
    tasks += answer.tasks().tasks_size();
    more = !answer.tasks().next_page_token().empty();
    if (more) *call.mutable_tasks()->mutable_ended_after() = answer.tasks().tasks().rbegin()->update_time();
  }
  EXPECT_EQ(tasks, kDatabases);
}

TEST_F(AnswersTest, AListOfRunsDoesNotNameTheirTenants) {
  AddTenants(2);
  v1::MigrationSpec spec = Spec(v1::MIGRATION_KIND_PREFLIGHT);
  spec.mutable_selection()->add_setting_tenants("t01");
  (void)RunToEnd(spec);
  v1::MigrationCall call;
  call.mutable_list();
  const v1::MigrationAnswer answer = Ask(call);
  ASSERT_THAT(answer.runs().runs(), SizeIs(1));
  EXPECT_THAT(answer.runs().runs(0).spec().selection().setting_tenants(), SizeIs(0));
}

TEST(AnswerTo, WhatIsTooLargeIsSaid) {
  const auto answer_of = [](size_t bytes) {
    v1::MigrationAnswer answer;
    EXPECT_TRUE(answer.ParseFromString(AnswerTo<v1::MigrationCall, v1::MigrationAnswer>(
        "", "a MigrationCall", "looking", [bytes](const v1::MigrationCall&, v1::MigrationAnswer& large) {
          large.mutable_status()->set_files_error(std::string(bytes, 'x'));
          return absl::OkStatus();
        })));
    return answer;
  };
  EXPECT_EQ(answer_of(1'000'000).error(), "");
  v1::RpcStatus error;
  ASSERT_TRUE(error.ParseFromString(answer_of(2'000'000).error()));
  EXPECT_THAT(error.message(), HasSubstr("more than one message of NATS takes"));
}

}  // namespace
}  // namespace leasehold::provisioner
