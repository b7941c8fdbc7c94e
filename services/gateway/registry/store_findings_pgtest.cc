// What provisioners report of their passes, and what a diagnosis makes of it.
#include <gtest/gtest.h>

#include "services/gateway/registry/store_fixture.h"

namespace leasehold::gateway {
namespace {

v1::ReportFindingsRequest Found(std::initializer_list<std::pair<v1::FindingKind, std::string>> findings) {
  v1::ReportFindingsRequest report;
  report.set_service("identity");
  report.set_provisioner("one");
  for (const auto& [kind, object] : findings) {
    v1::Finding& finding = *report.add_findings();
    finding.set_kind(kind);
    finding.set_tenant("acme");
    finding.set_object(object);
    finding.set_message("it's \"odd\"");
    finding.set_remedy(v1::FINDING_REMEDY_REPORTED);
  }
  return report;
}

TEST_F(StoreTest, FindingsAreThoseOfTheLastReport) {
  const auto diagnose = [&](const std::string& service, const std::string& tenant) {
    const auto diagnosis = store_->Diagnose(service, tenant, absl::Minutes(1));
    EXPECT_TRUE(diagnosis.ok()) << diagnosis.status();
    return diagnosis.ok() ? *diagnosis : v1::DiagnoseResponse();
  };
  EXPECT_EQ(diagnose("", "").services_size(), 2);
  EXPECT_FALSE(diagnose("", "").services(1).has_last_pass_time());
  const absl::Time first = clock_.Now();
  ASSERT_TRUE(store_
                  ->ReportFindings(Found({{v1::FINDING_KIND_FOREIGN, "a"},
                                          {v1::FINDING_KIND_FOREIGN, "a"},
                                          {v1::FINDING_KIND_UNSPECIFIED, "c"},
                                          {v1::FINDING_KIND_LEFTOVER, "b"}}))
                  .ok());
  clock_.Advance(absl::Minutes(2));
  ASSERT_TRUE(store_->ReportFindings(Found({{v1::FINDING_KIND_FOREIGN, "a"}, {v1::FINDING_KIND_UNLISTED, "d"}})).ok());
  const v1::DiagnoseResponse now = diagnose("identity", "acme");
  ASSERT_EQ(now.findings_size(), 2);
  EXPECT_EQ(now.findings(0).object(), "a");
  EXPECT_EQ(now.findings(0).kind(), v1::FINDING_KIND_FOREIGN);
  EXPECT_EQ(now.findings(0).remedy(), v1::FINDING_REMEDY_REPORTED);
  EXPECT_EQ(now.findings(0).message(), "it's \"odd\"");
  EXPECT_EQ(now.findings(0).first_seen_time().seconds(), absl::ToUnixSeconds(first));
  EXPECT_EQ(now.findings(0).last_seen_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(now.findings(1).object(), "d");
  ASSERT_EQ(now.services_size(), 1);
  EXPECT_EQ(now.services(0).last_pass_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(diagnose("", "globex").findings_size(), 0);
  EXPECT_EQ(diagnose("core", "").findings_size(), 0);
  ASSERT_TRUE(store_->ReportFindings(Found({})).ok());
  EXPECT_EQ(diagnose("", "").findings_size(), 0);
}

TEST_F(StoreTest, AReportOfFindingsWaitsForNoDiskAndWhatFollowsDoes) {
  postgres::Connection connection(Options(database_));
  ASSERT_TRUE(
      connection
          .ExecAlone("CREATE TABLE writes (what text);"
                     "CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                     "INSERT INTO writes VALUES (TG_TABLE_NAME || ' ' || current_setting('synchronous_commit'));"
                     "RETURN NULL; END $$;"
                     "CREATE TRIGGER note_write AFTER INSERT OR UPDATE ON leasehold.passes FOR EACH ROW "
                     "EXECUTE FUNCTION note_write();"
                     "CREATE TRIGGER note_write AFTER INSERT ON leasehold.findings FOR EACH ROW "
                     "EXECUTE FUNCTION note_write();"
                     "CREATE TRIGGER note_write AFTER INSERT ON leasehold.tenants FOR EACH ROW "
                     "EXECUTE FUNCTION note_write()")
          .ok());
  pool_.emplace(Options(database_), 1);  // what follows has the same session
  store_.emplace(*pool_, clock_, kServices, absl::Hours(24 * 7));
  ASSERT_TRUE(store_->ReportFindings(Found({{v1::FINDING_KIND_FOREIGN, "a"}})).ok());
  ASSERT_TRUE(store_->Create(Acme()).ok());
  const auto writes = connection.ExecAlone("SELECT string_agg(what, ', ') FROM writes");
  ASSERT_TRUE(writes.ok()) << writes.status();
  EXPECT_EQ((*writes)[0][0].as<std::string>(), "passes off, findings off, tenants on");
}

TEST_F(StoreTest, APassThatCouldNotBeMadeLeavesWhatTheLastOneFound) {
  v1::ReportFindingsRequest trouble;
  trouble.set_service("identity");
  trouble.set_provisioner("one");
  trouble.set_trouble("the instance does not answer");
  ASSERT_TRUE(store_->ReportFindings(trouble).ok());
  auto diagnosis = store_->Diagnose("identity", "", absl::Minutes(1));
  ASSERT_TRUE(diagnosis.ok()) << diagnosis.status();
  EXPECT_FALSE(diagnosis->services(0).has_last_pass_time());
  EXPECT_EQ(diagnosis->services(0).trouble(), "the instance does not answer");
  ASSERT_TRUE(store_->ReportFindings(Found({{v1::FINDING_KIND_FOREIGN, "a"}})).ok());
  diagnosis = store_->Diagnose("identity", "", absl::Minutes(1));
  ASSERT_TRUE(diagnosis.ok()) << diagnosis.status();
  EXPECT_EQ(diagnosis->services(0).trouble(), "");
  const absl::Time passed = clock_.Now();
  clock_.Advance(absl::Minutes(1));
  ASSERT_TRUE(store_->ReportFindings(trouble).ok());
  diagnosis = store_->Diagnose("identity", "", absl::Minutes(1));
  ASSERT_TRUE(diagnosis.ok()) << diagnosis.status();
  EXPECT_EQ(diagnosis->services(0).trouble(), "the instance does not answer");
  EXPECT_EQ(diagnosis->services(0).last_pass_time().seconds(), absl::ToUnixSeconds(passed));
  EXPECT_EQ(diagnosis->findings_size(), 1);
}

TEST_F(StoreTest, ADiagnosisCountsTenantsThatFailedOrWait) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  v1::ServiceStatus failed = Status("identity", v1::SERVICE_STATE_FAILED, 1);
  failed.set_message("the name is taken");
  ASSERT_TRUE(store_->Report(Id("acme"), failed).ok());
  auto diagnosis = store_->Diagnose("", "", absl::Minutes(1));
  ASSERT_TRUE(diagnosis.ok()) << diagnosis.status();
  EXPECT_EQ(diagnosis->services(0).pending(), 0) << "not for long";
  EXPECT_EQ(diagnosis->services(1).failed(), 1);
  EXPECT_EQ(diagnosis->services(1).message(), "acme: the name is taken");
  clock_.Advance(absl::Minutes(2));
  diagnosis = store_->Diagnose("core", "acme", absl::Minutes(1));
  ASSERT_TRUE(diagnosis.ok()) << diagnosis.status();
  ASSERT_EQ(diagnosis->services_size(), 1);
  EXPECT_EQ(diagnosis->services(0).pending(), 1);
  EXPECT_EQ(diagnosis->services(0).failed(), 0);
}

}  // namespace
}  // namespace leasehold::gateway
