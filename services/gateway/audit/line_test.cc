#include "services/gateway/audit/line.h"

#include <gtest/gtest.h>

#include "services/gateway/audit/calls.h"
#include "services/gateway/audit/chain.h"

#include "common/config/config.h"
#include "common/secret/secret.h"
#include "leasehold/v1/lease.pb.h"
#include "leasehold/v1/log.pb.h"
#include "leasehold/v1/migration.pb.h"
#include "leasehold/v1/tenant.pb.h"

namespace leasehold::gateway {
namespace {

constexpr char kLease[] = "01hzy6zq3vqe8s0k1d2m3n4p5q";
const absl::Time kTime = absl::FromUnixMicros(1'800'000'000'012'345);

TEST(AuditLine, IsTheEventInProtobufsJson) {
  std::string line;
  AppendAuditLine(line, kTime,
                  {.action = v1::AUDIT_ACTION_LEASE_ACQUIRE,
                   .principal = "spiffe://example/payroll",
                   .holder = "payroll-7f9c",
                   .address = "10.1.2.3:4711",
                   .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
                   .tenant = "acme",
                   .service = "identity",
                   .lease = kLease,
                   .subject = "central",
                   .detail = "ends 900 s after its issue"});
  EXPECT_EQ(
      line,
      "{\"time\":\"2027-01-15T08:00:00.012345Z\",\"action\":\"AUDIT_ACTION_LEASE_ACQUIRE\","
      "\"principal\":\"spiffe://example/payroll\",\"holder\":\"payroll-7f9c\",\"address\":\"10.1.2.3:4711\","
      "\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"tenant\":\"acme\",\"service\":\"identity\","
      "\"lease\":\"01hzy6zq3vqe8s0k1d2m3n4p5q\",\"subject\":\"central\",\"detail\":\"ends 900 s after its issue\"}\n");
  const auto event = ParseAuditLine(line);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(ToTime(event->time()), kTime);
  EXPECT_EQ(event->action(), v1::AUDIT_ACTION_LEASE_ACQUIRE);
  EXPECT_EQ(event->outcome(), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(event->principal(), "spiffe://example/payroll");
  EXPECT_EQ(event->holder(), "payroll-7f9c");
  EXPECT_EQ(event->address(), "10.1.2.3:4711");
  EXPECT_EQ(event->trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(event->tenant(), "acme");
  EXPECT_EQ(event->service(), "identity");
  EXPECT_EQ(event->lease(), kLease);
  EXPECT_EQ(event->subject(), "central");
  EXPECT_EQ(event->detail(), "ends 900 s after its issue");
}

TEST(AuditLine, TimesGoOnWithinAndAcrossSeconds) {
  std::string line;
  AppendAuditLine(line, kTime + absl::Microseconds(987'654), {});
  EXPECT_TRUE(line.starts_with("{\"time\":\"2027-01-15T08:00:00.999999Z\"")) << line;
  line.clear();
  AppendAuditLine(line, kTime + absl::Microseconds(987'655), {});
  EXPECT_TRUE(line.starts_with("{\"time\":\"2027-01-15T08:00:01.000000Z\"")) << line;
}

TEST(AuditLine, OfARefusalKeepsNothingThatIsNoName) {
  std::string line;
  AppendAuditLine(line, kTime,
                  {.action = v1::AUDIT_ACTION_LEASE_ACQUIRE,
                   .outcome = v1::REASON_INVALID_FIELD,
                   .tenant = "postgresql://me:hunter2@host/db",
                   .service = "hunter2 hunter2",
                   .lease = "hunter2"});
  EXPECT_FALSE(line.contains("hunter2")) << line;
  const auto event = ParseAuditLine(line);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->outcome(), v1::REASON_INVALID_FIELD);
}

TEST(AuditLine, WhateverStrangersWriteIsOneLineAndValid) {
  std::string long_text(255, 'x');
  long_text += "ä";  // its second byte would be the 257th
  for (const std::string& text : {std::string("a\nb\"}{\\\"\r\t\0z", 12), std::string("\xff\xfe bad"), long_text,
                                  std::string(100'000, 'y'), std::string("\u202e\u2028")}) {
    std::string line;
    AppendAuditLine(line, kTime, {.action = v1::AUDIT_ACTION_LEASE_RENEW, .holder = text, .detail = text});
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_LT(line.size(), 4000);
    const auto event = ParseAuditLine(line);
    ASSERT_TRUE(event.ok()) << line;
    EXPECT_LE(event->holder().size(), 700);
  }
}

TEST(AuditLine, SearchMarkIsHowTheLineHasIt) {
  std::string line;
  AppendAuditLine(line, kTime, {.action = v1::AUDIT_ACTION_LEASE_RENEW, .principal = "a\"b", .tenant = "acme"});
  EXPECT_TRUE(line.contains(AuditMember("principal", "a\"b")));
  EXPECT_TRUE(line.contains(AuditMember("tenant", "acme")));
  EXPECT_FALSE(line.contains(AuditMember("tenant", "acm")));
  EXPECT_FALSE(ParseAuditLine("{\"time\":").ok());
}

// As `SELECT encode(sha256(decode(repeat('00', 32), 'hex') || convert_to(E'1\ngw/1\n{}\n', 'UTF8')), 'hex')` has it.
TEST(AuditChain, HashIsThatOfTheDocumentation) {
  EXPECT_EQ(AuditChainStart(), std::string(32, '\0'));
  const std::string text = AuditChainStart() + "1\ngw/1\n{}\n";
  const auto digest = Sha256(text);
  EXPECT_EQ(AuditHash(AuditChainStart(), 1, "gw/1", "{}\n"),
            std::string(reinterpret_cast<const char*>(digest.data()), digest.size()));
  EXPECT_NE(AuditHash(AuditChainStart(), 2, "gw/1", "{}\n"), AuditHash(AuditChainStart(), 1, "gw/1", "{}\n"));
}

TEST(AuditedCalls, TellWhatTheyAreAbout) {
  v1::AcquireLeaseRequest request;
  request.set_tenant("acme");
  request.set_service("identity-service");
  request.set_holder("me");
  v1::AcquireLeaseResponse response;
  v1::Lease& lease = *response.mutable_lease();
  lease.set_id(kLease);
  lease.set_tenant("acme");
  lease.set_service("identity");
  lease.add_switch_to("gold-*");
  lease.mutable_issue_time()->set_seconds(100);
  lease.mutable_expire_time()->set_seconds(1000);
  response.mutable_credentials()->set_password("hunter2");
  response.mutable_credentials()->set_dsn("postgresql://x:hunter2@h/d");

  const AuditedCall* const acquire = FindAuditedCall("/leasehold.v1.LeaseService/AcquireLease");
  ASSERT_NE(acquire, nullptr);
  EXPECT_FALSE(acquire->change);
  CallTold told;
  acquire->tell(&request, &response, told);
  EXPECT_EQ(told.entry.lease, kLease);
  EXPECT_EQ(told.entry.service, "identity");
  EXPECT_EQ(told.entry.detail, "ends 900 s after its issue, may switch to gold-*");
  std::string line;
  AppendAuditLine(line, kTime, told.entry);
  EXPECT_FALSE(line.contains("hunter2")) << line;

  CallTold refused;
  acquire->tell(&request, nullptr, refused);
  EXPECT_EQ(refused.entry.tenant, "acme");
  EXPECT_EQ(refused.entry.holder, "me");

  v1::SuspendTenantRequest suspend;
  suspend.set_id("globex");
  v1::TenantChange change;
  change.mutable_operation()->set_id("globex.3");
  const AuditedCall* const call = FindAuditedCall("/leasehold.v1.TenantService/SuspendTenant");
  ASSERT_NE(call, nullptr);
  EXPECT_TRUE(call->change);
  CallTold suspended;
  call->tell(&suspend, &change, suspended);
  EXPECT_EQ(suspended.entry.tenant, "globex");
  EXPECT_EQ(suspended.entry.subject, "globex.3");
  EXPECT_EQ(FindAuditedCall("/leasehold.v1.TenantService/GetTenant"), nullptr);
}

TEST(AuditedCalls, SayInWordsWhatAnEnumSays) {
  v1::StartMigrationRunRequest start;
  v1::MigrationRun run;
  run.mutable_spec()->set_kind(v1::MIGRATION_KIND_DRY_RUN);
  CallTold begun;
  FindAuditedCall("/leasehold.v1.MigrationService/StartMigrationRun")->tell(&start, &run, begun);
  EXPECT_EQ(begun.entry.detail, "dry-run");

  v1::SetLogLevelRequest level;
  level.set_level(v1::LOG_LEVEL_DEBUG);
  level.set_gateway_only(true);
  CallTold changed;
  FindAuditedCall("/leasehold.v1.LogService/SetLogLevel")->tell(&level, nullptr, changed);
  EXPECT_EQ(changed.entry.detail, "level debug of the gateway");
}

// A method that is added to these services and changes something has to be told of here, or be among the readers.
TEST(AuditedCalls, AreAllThatChangeSomething) {
  ASSERT_NE(v1::SetQueryLogRequest::descriptor(), nullptr);  // so that its file is linked
  const std::vector<std::string> readers = {"Get", "List", "Watch", "Plan"};
  for (const char* name :
       {"leasehold.v1.LeaseService", "leasehold.v1.TenantService", "leasehold.v1.BackupService",
        "leasehold.v1.OperationService", "leasehold.v1.MigrationService", "leasehold.v1.LogService"}) {
    const auto* const service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    ASSERT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string method = service->method(i)->name();
      const bool reads =
          std::ranges::any_of(readers, [&](const std::string& verb) { return method.starts_with(verb); });
      const std::string path = std::string("/") + name + "/" + method;
      EXPECT_EQ(FindAuditedCall(path) == nullptr, reads) << path;
    }
  }
}

}  // namespace
}  // namespace leasehold::gateway
